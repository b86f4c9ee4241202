"""How much of a map is in focus, where, and how sure it is: by hand."""

import numpy as np
import pytest

from components.views.focus import Focus, measure


def test_a_rectangle_by_hand() -> None:
    levels = np.zeros((8, 10), np.uint8)
    levels[2:5, 6:8] = 255
    assert measure(levels) == Focus(6 / 80, (7.0, 3.5), (6, 2, 8, 5), 1.0)


def test_half_is_in_focus_and_less_is_not() -> None:
    levels = np.uint8([[128, 127]])
    found = measure(levels)
    assert (found.share, found.centre, found.box) == (0.5, (0.5, 0.5), (0, 0, 1, 1))
    assert found.confidence == pytest.approx(128 / 255)


def test_confidence_by_hand() -> None:
    assert measure(np.uint8([[255, 0], [51, 204]])).confidence == pytest.approx((1 + 1 + 0.8 + 0.8) / 4)


def test_nothing_in_focus_has_no_place() -> None:
    assert measure(np.zeros((3, 4), np.uint8)) == Focus(0.0, None, None, 1.0)


def test_everything_in_focus() -> None:
    assert measure(np.full((9, 7), 255, np.uint8)) == Focus(1.0, (3.5, 4.5), (0, 0, 7, 9), 1.0)


def test_specks_do_not_stretch_the_box() -> None:
    """Of 1009 pixels 10, a hundredth, are left out on each side: more than the specks, and no line of the square."""
    levels = np.zeros((200, 200), np.uint8)
    levels[100:120, 50:100] = 255
    levels[0, 0:5] = levels[199, 195:199] = 255
    assert measure(levels).box == (50, 100, 100, 120)
    levels[100:120, 50:100] = 0
    assert measure(levels).box == (0, 0, 199, 200)  # nine pixels, of which none is a hundredth
