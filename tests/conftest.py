"""Where the reference material lies, and what every test shares."""

import importlib.util
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # torch's idle threads leave the cores to the other test processes
ROOT = Path(__file__).parent.parent
SHARED = Path(os.environ.get("DBDFLOW_SHARED", ROOT.parent / "shared"))


def pytest_configure() -> None:
    """A test run started in the background ignores Ctrl-C, and so would the processes whose answer to it is tested."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


LONGEST = ("test_reproduction.py", "test_published_data.py", "test_reproduce.py")
"""Files of two to four minutes."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first: begun last, one keeps a single process busy while the others have nothing to do."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.fixture(autouse=True)
def _environment() -> Iterator[None]:
    """What a test does to this process's environment (`dbdflow` called in it sets where state lies) ends with it."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The reference material beside the checkout; tests that need it are skipped without it."""
    if not (SHARED / "parity" / "fill.py").exists():
        pytest.skip(f"no reference material at {SHARED}")
    return SHARED


@pytest.fixture(scope="session")
def reference(shared: Path) -> ModuleType:
    """The deterministic weights and inputs behind the golden tensors: `fill`, `images`, `masks`."""
    spec = importlib.util.spec_from_file_location("reference_fill", shared / "parity" / "fill.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """The inbox of a fresh checkout: its ledger."""
    folder = tmp_path / "archives"
    folder.mkdir()
    shutil.copy(ROOT / "data/archives/sources.yaml", folder)
    return folder


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with 64 KiB in all."""
    yield from mounted(tmp_path / "disk", "64k")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with 2 MiB in all."""
    yield from mounted(tmp_path / "disk", "2m")


def mounted(disk: Path, size: str) -> Iterator[Path]:
    """A small file system of its own; mounting one takes root."""
    disk.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={size}"]
    mount = subprocess.run(["mount", *options, "none", disk], capture_output=True, check=False)
    if mount.returncode:
        pytest.skip(f"no file system can be mounted here: {mount.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """For tiny tensors: threads would wait for each other, and for those of other processes."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
