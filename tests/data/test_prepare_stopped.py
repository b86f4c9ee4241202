"""Preparing on several threads: the same bytes, and a stop leaves no files."""

import hashlib
import os
import signal
import subprocess
import sys

import pytest

from components.prepare.build import prepare_set
from tests.data.conftest import mask, photograph

STARTER = """
import sys, signal
from pathlib import Path
from components.prepare.build import prepare_set
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
raw, out = map(Path, sys.argv[1:])
print("begun", flush=True)
told = lambda done, total: print(done, flush=True)
prepare_set("ebd", raw, out, image_size=320, partial=True, workers=2, progress=told)
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


@pytest.mark.parametrize("workers", [2, 3])
def test_bytes_do_not_depend_on_the_number_of_workers(rendered, tmp_path, workers):
    def digest(folder):
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}

    prepare_set("cuhk", rendered / "cuhk", tmp_path / "one", image_size=16, workers=1)
    prepare_set("cuhk", rendered / "cuhk", tmp_path / "two", image_size=16, workers=workers)
    assert digest(tmp_path / "one") == digest(tmp_path / "two")
    assert len(digest(tmp_path / "one")) == 7


@pytest.mark.parametrize("after", [1, 30])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stop_leaves_nothing(root, many, tmp_path, number, after):
    out = tmp_path / "made/out"
    command = [sys.executable, "-c", STARTER, many, out]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen(command, env=environment, start_new_session=True, **pipes) as starter:
        lines = [starter.stdout.readline().strip() for _ in range(after + 1)]
        assert lines[-1] == str(after)
        if number == signal.SIGINT:
            os.killpg(starter.pid, number)  # as a terminal does
        else:
            starter.send_signal(number)
        told = starter.stdout.read().split()
        starter.wait(timeout=30)
        assert "80" not in told  # it was not done before it was stopped
    assert not out.exists()
    if number == signal.SIGKILL:  # what it left is taken away by the next one
        assert len(os.listdir(out.parent)) == 2
        prepare_set("ebd", many.parent / "raw", out, image_size=8, partial=True)
        assert os.listdir(out.parent) == ["out"]
    else:
        assert os.listdir(out.parent) == []
