"""Every set from nothing to prepared, killed with -9 at random moments: it goes on, and ends with the same bytes."""

import hashlib
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.data import published
from tests.data.webserver import Server, serving

ROOT = Path(__file__).parents[2]
KILLS = 10
COURSE = """
import sys
from pathlib import Path

from components.acquire.download import fetch_set
from components.acquire.obtain import Inbox
from components.prepare.build import prepare_set

here = Path(sys.argv[1])
for name in ("cuhk", "dut", "ctcug", "ebd"):
    raw, out = here / "raw" / name, here / "prepared" / name
    if not raw.exists():
        fetch_set(name, raw, Inbox(here / "archives", (), lambda *_: None))
    if not out.exists():
        prepare_set(name, raw, out, image_size=32, partial=True)
print("done")
"""


def begin(folder: Path, server: Server) -> subprocess.Popen:
    command = [sys.executable, "-c", COURSE, str(folder)]
    return subprocess.Popen(command, env=os.environ | server.environment, stdout=subprocess.PIPE, cwd=ROOT)


def fresh(folder: Path, tmp_path: Path) -> Path:
    """A checkout's inbox, with CTCUG imported: nobody can fetch it."""
    (folder / "archives").mkdir(parents=True)
    shutil.copy(ROOT / "data/archives/sources.yaml", folder / "archives")
    shutil.copytree(tmp_path / "ctcug", folder / "archives/ctcug")
    return folder


def digest(folder: Path) -> dict[str, str]:
    """Hash of every file, hidden ones too."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture
def server(tmp_path: Path):
    (tmp_path / "server").mkdir()
    published.ctcug(tmp_path / "ctcug")
    with serving(tmp_path / "server") as found:
        for address, archive in published.publish(tmp_path / "authors", padding=600_000).items():
            found.serve(address, archive, pause_s=0.004)
        yield found


def test_killed_at_random_moments_it_ends_with_the_same_bytes(server: Server, tmp_path: Path) -> None:
    straight, killed = (fresh(tmp_path / name, tmp_path) for name in ("straight", "killed"))
    began = time.monotonic()
    with begin(straight, server) as process:
        assert process.communicate(timeout=120)[0] == b"done\n"
    whole = time.monotonic() - began
    seed = secrets.randbits(32)
    print("seed", seed)
    moments, ended = random.Random(seed), 0
    while ended < KILLS:
        with begin(killed, server) as process:
            try:
                process.wait(moments.uniform(0.3, 0.8) * whole if ended % 4 else moments.uniform(0, 0.5) * whole)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                ended += 1
            else:  # it was done before it could be killed: once more from nothing
                assert digest(killed) == digest(straight)
                shutil.rmtree(killed)
                fresh(killed, tmp_path)
    with begin(killed, server) as process:
        assert process.communicate(timeout=120)[0] == b"done\n"
    assert digest(killed) == digest(straight)
    assert len([name for name in digest(killed) if name.startswith("prepared/")]) >= 4 * 5
