"""Preparing in processes: the same bytes, the same errors, and a stop leaves neither processes nor files."""

import hashlib
import os
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

from components.data import prepare
from components.data.prepare import prepare_set
from components.errors import InputError
from tests.data.conftest import mask, photograph

STARTER = """
import sys, signal
from pathlib import Path
from components.data import prepare
prepare.WORTH_PROCESSES = 0
if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    raw, out = map(Path, sys.argv[1:])
    print("begun", flush=True)
    told = lambda done, total: print(done, flush=True)
    prepare.prepare_set("ebd", raw, out, image_size=320, partial=True, workers=2, progress=told)
"""


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A set of 80 photographs, which takes a second or two."""
    raw = tmp_path_factory.mktemp("many") / "raw"
    photograph(raw / "EBD/image/0.jpg", 700, 1000)
    mask(raw / "EBD/gt/0.png", 700, 1000)
    for i in range(1, 80):
        for name in (f"image/{i}.jpg", f"gt/{i}.png"):
            (raw / "EBD" / name).hardlink_to((raw / "EBD" / name).with_stem("0"))
    return raw


def test_an_error_in_a_worker_is_the_same_one(ctcug, tmp_path, monkeypatch):
    path = ctcug / "CTCUG/CTCUG_images/2.jpg"
    path.write_bytes(path.read_bytes()[:-40])
    messages = []
    for worth in (10**9, 0):
        monkeypatch.setattr(prepare, "WORTH_PROCESSES", worth)
        with pytest.raises(InputError, match=r"CTCUG_images/2\.jpg: not a readable image") as caught:
            prepare_set("ctcug", ctcug, tmp_path / "made/out", image_size=8, partial=True, workers=2)
        messages.append(str(caught.value))
        assert os.listdir(tmp_path / "made") == []
    assert messages[0] == messages[1]


@pytest.mark.parametrize(("workers", "worth"), [(3, np.inf), (2, 0), (3, 0)])
def test_bytes_do_not_depend_on_the_number_of_workers(rendered, tmp_path, monkeypatch, workers, worth):
    def digest(folder):
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}

    prepare_set("cuhk", rendered / "cuhk", tmp_path / "one", image_size=16, workers=1)
    monkeypatch.setattr(prepare, "WORTH_PROCESSES", worth)  # threads, or processes
    prepare_set("cuhk", rendered / "cuhk", tmp_path / "two", image_size=16, workers=workers)
    assert digest(tmp_path / "one") == digest(tmp_path / "two")
    assert len(digest(tmp_path / "one")) == 7


@pytest.mark.parametrize("after", [1, 30])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stop_leaves_nothing(root, many, tmp_path, number, after):
    (tmp_path / "starter.py").write_text(STARTER)
    out = tmp_path / "made/out"
    command = [sys.executable, tmp_path / "starter.py", many, out]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen(command, env=environment, start_new_session=True, **pipes) as starter:
        lines = [starter.stdout.readline().strip() for _ in range(after + 1)]
        assert lines[-1] == str(after)
        children = psutil.Process(starter.pid).children(recursive=True)
        workers = [each for each in children if "resource_tracker" not in " ".join(each.cmdline())]
        assert len(workers) == 2
        stopped = time.monotonic()
        if number == signal.SIGINT:
            os.killpg(starter.pid, number)  # as a terminal does
        else:
            starter.send_signal(number)
        starter.stdout.read()
        starter.wait(timeout=30)
        assert not psutil.wait_procs(children, timeout=30)[1]
        assert time.monotonic() - stopped < 30
    assert not out.exists()
    if number == signal.SIGKILL:  # what it left is taken away by the next one
        assert len(os.listdir(out.parent)) == 2
        prepare_set("ebd", many.parent / "raw", out, image_size=8, partial=True)
        assert os.listdir(out.parent) == ["out"]
    else:
        assert os.listdir(out.parent) == []
