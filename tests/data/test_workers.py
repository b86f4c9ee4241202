"""Work in processes: order, errors, and no process that outlives the one that started it."""

import os
import signal
import subprocess
import sys
import time
from contextlib import closing

import psutil
import pytest

from components.data.workers import in_order, processes
from components.errors import InputError

STARTER = """
import time
from components.data.workers import in_order, processes
from tests.data.test_workers import slow
if __name__ == "__main__":
    with processes(slow, 2) as asked:
        for result in in_order(asked, range(1000), 2):
            print(result, flush=True)
"""


def square(number):
    """Later ones are done earlier."""
    time.sleep(0.002 * (5 - number % 5))
    return number * number


def slow(number):
    time.sleep(0.2)
    return number


def picky(number):
    if number == 3:
        raise InputError("third.png: not a readable image; fetch it again")
    if number == 7:
        raise KeyError("seven")
    return number


def die(number):
    os.kill(os.getpid(), signal.SIGKILL)


def test_results_come_in_order():
    assert list(in_order(square, range(40), 3)) == [number**2 for number in range(40)]
    with processes(square, 2) as asked:
        assert list(in_order(asked, range(40), 2)) == [number**2 for number in range(40)]
        assert asked(9) == 81


def test_few_items_are_taken_before_they_are_asked_for():
    taken = []
    with closing(in_order(square, (taken.append(i) or i for i in range(1000)), 2)) as results:
        assert [next(results), next(results)] == [0, 1]
    assert len(taken) <= 20


def test_an_error_comes_back_as_it_was_raised():
    with processes(picky, 2) as asked:
        with pytest.raises(InputError, match=r"^third\.png: not a readable image; fetch it again$"):
            list(in_order(asked, range(5), 2))
        assert asked(4) == 4  # the others go on
        with pytest.raises(KeyError, match="seven"):
            asked(7)


def test_a_worker_that_was_killed():
    with processes(die, 1) as asked, pytest.raises(InputError, match="worker process was ended from outside"):
        asked(1)


def test_no_process_is_left_when_the_block_is_left():
    before = {child.pid for child in psutil.Process().children()}
    with processes(slow, 2) as asked:
        results = in_order(asked, range(1000), 2)
        assert next(results) == 0
        started = [each for each in psutil.Process().children() if each.pid not in before]
        workers = [each for each in started if "resource_tracker" not in " ".join(each.cmdline())]
        assert len(workers) == 2
        results.close()
    assert not [each for each in workers if each.is_running()]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_workers_end_with_the_process_that_started_them(root, tmp_path, number):
    (tmp_path / "starter.py").write_text(STARTER)
    command = [sys.executable, tmp_path / "starter.py"]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment, start_new_session=True, **pipes) as starter:
        assert starter.stdout.readline() == "0\n"
        children = psutil.Process(starter.pid).children(recursive=True)
        assert len(children) >= 2
        if number == signal.SIGINT:
            os.killpg(starter.pid, number)  # as a terminal does
        else:
            starter.send_signal(number)
        assert not psutil.wait_procs(children, timeout=20)[1]
        errors = starter.communicate()[1]
    assert errors.count("Traceback") == (1 if number == signal.SIGINT else 0), errors
