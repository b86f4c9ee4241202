"""One server of `dbdflow look` for all tests of it: a real process, asked by real requests."""

import http.client
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import psutil
import pytest
from PIL import Image

from components.models.run_files import write_run
from tests.flows.conftest import PROJECT, free_port
from tests.models.tiny import build_tiny


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def line(self) -> str:
        """The one line of a refusal."""
        text = self.body.decode()
        assert text.endswith("\n")
        assert text.count("\n") == 1
        return text.rstrip()


class Looking:
    """`dbdflow look` in a folder, ready."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.folder, self.port = folder, free_port()
        (folder / "tmp").mkdir()
        own = {"PYTHONPATH": str(PROJECT), "DBDFLOW_CORES": "2", "TMPDIR": str(folder / "tmp"), "PYTHONUNBUFFERED": "1"}
        command = [sys.executable, "-m", "pipelines.cli", "look", *words, "--port", str(self.port)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            command, cwd=folder, env=os.environ | own, stdout=pipe, stderr=pipe, text=True, start_new_session=True
        )
        assert self.process.stdout is not None
        self.said = self.process.stdout.readline()
        assert self.said.startswith(self.address), self.process.communicate()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        """One request on a connection of its own; `_` in a header's name stands for `-`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body=body, headers=named)  # type: ignore[arg-type]
        answer = connection.getresponse()
        found = Answer(answer.status, dict(answer.getheaders()), answer.read())
        connection.close()
        return found

    def map(self, body: object, model: str = "tiny", name: str = "photo.png", **headers: str) -> Answer:
        return self.ask("POST", f"/map?{urlencode({'model': model, 'name': name})}", body, **headers)

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def makers(self) -> list[psutil.Process]:
        """Its processes that make maps."""
        return [each for each in self.children() if "spawn_main" in " ".join(each.cmdline())]

    def interrupt(self) -> tuple[int, str, str]:
        """Ctrl-C; exit code, what else it said, and its errors."""
        children = self.children()
        self.process.send_signal(signal.SIGINT)
        out, err = self.process.communicate(timeout=30)
        assert psutil.wait_procs(children, timeout=30)[1] == []
        return self.process.returncode, out, err


@pytest.fixture(scope="session")
def photo() -> np.ndarray:
    """(107, 160, 3): the flower, sharp, before what is not."""
    with Image.open(PROJECT / "data/examples/flower.jpg") as image:
        return np.asarray(image.resize((160, 107)))


@pytest.fixture(scope="session")
def looking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Looking]:
    """The page with an untrained run of 64 pixels beside LBP, in a checkout with one example."""
    folder = tmp_path_factory.mktemp("look")
    (folder / ".dvc").mkdir()
    write_run(folder / "data/models/tiny", build_tiny("dffnet"), [], {"run": "tiny", "params": {"image_size": 64}})
    (folder / "data/examples").mkdir()
    (folder / "data/examples/flower.jpg").write_bytes((PROJECT / "data/examples/flower.jpg").read_bytes())
    (folder / "data/examples/README.md").write_text("Whose they are: é\n", encoding="utf-8")
    started = Looking(folder, "--model", "tiny", "--model", "lbp")
    yield started
    assert started.interrupt() == (0, "\nended\n", "")
