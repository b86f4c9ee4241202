"""Work on threads: order, few items ahead, errors."""

import time
from contextlib import closing

import pytest

from components.common.errors import InputError
from components.prepare.build import in_order


def square(number):
    """Later ones are done earlier."""
    time.sleep(0.002 * (5 - number % 5))
    return number * number


def picky(number):
    if number == 3:
        raise InputError("third.png: not a readable image; fetch it again")
    return number


def test_results_come_in_order():
    assert list(in_order(square, range(40), 3)) == [number**2 for number in range(40)]


def test_few_items_are_taken_before_they_are_asked_for():
    taken = []
    with closing(in_order(square, (taken.append(i) or i for i in range(1000)), 2)) as results:
        assert [next(results), next(results)] == [0, 1]
    assert len(taken) <= 20


def test_an_error_comes_as_it_was_raised_after_what_was_before_it():
    results = in_order(picky, range(5), 2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(InputError, match=r"^third\.png: not a readable image; fetch it again$"):
        next(results)
