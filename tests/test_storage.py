"""Outputs appear whole or not at all, also when the writer is killed or the disk is full."""

import os
import signal
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from components.common.errors import InputError
from components.common.storage import atomic_dir, atomic_path, make_parent, read_json, write_json

KILLED = """
import sys, time
from pathlib import Path
from components.common.storage import {kind}

with {kind}(Path(sys.argv[1])) as temporary:
    half = temporary / "part" if temporary.is_dir() else temporary
    half.write_text("half")
    print("inside", flush=True)
    time.sleep(60)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write_half(path: Path, kind: str) -> subprocess.Popen[str]:
    """A process that is in the middle of writing `path`."""
    command = [sys.executable, "-c", KILLED.format(kind=kind), str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "inside\n"
    return process


def fail(writer: AbstractContextManager[Path], error: BaseException) -> None:
    with writer as temporary:
        (temporary / "new" if temporary.is_dir() else temporary).write_text("half")
        raise error


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    assert process.communicate()[0] == ""
    assert process.returncode == -signal.SIGKILL


def test_a_file_replaces_the_old_one_at_the_end_of_the_block(tmp_path: Path) -> None:
    path = tmp_path / "new/deep/file.txt"
    for text in ("first", "second"):
        with atomic_path(path) as temporary:
            assert temporary.parent == path.parent
            assert temporary.suffix == ".txt"
            temporary.write_text(text)
            assert not path.exists() or path.read_text() == "first"
        assert path.read_text() == text
    assert names(path.parent) == ["file.txt"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_folder_replaces_the_old_one_at_the_end_of_the_block(tmp_path: Path) -> None:
    path = tmp_path / "new/folder"
    for name in ("first", "second"):
        with atomic_dir(path) as temporary:
            (temporary / "inner").mkdir()
            (temporary / "inner" / name).write_text(name)
            assert not path.exists() or names(path / "inner") == ["first"]
        assert names(path / "inner") == [name]
    assert names(path.parent) == ["folder"]
    assert path.stat().st_mode & 0o777 == 0o755


def test_a_folder_with_links_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/kept").write_text("kept")
    (tmp_path / "out").symlink_to(tmp_path / "elsewhere")
    with atomic_dir(tmp_path / "out") as temporary:
        (temporary / "new").write_text("new")
    assert not (tmp_path / "out").is_symlink()
    assert names(tmp_path / "out") == ["new"]
    assert names(tmp_path / "elsewhere") == ["kept"]


def test_an_exception_leaves_a_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="boom"):
        fail(atomic_path(path), RuntimeError("boom"))
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("error", [RuntimeError("boom"), KeyboardInterrupt(), OSError("other")])
def test_an_exception_leaves_a_folder_as_it_was(tmp_path: Path, error: BaseException) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/old").write_text("old")
    with pytest.raises(type(error)):
        fail(atomic_dir(tmp_path / "out"), error)
    assert names(tmp_path / "out") == ["old"]
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("kind", ["atomic_path", "atomic_dir"])
def test_a_killed_writer_leaves_the_old_content_and_the_next_one_cleans_up(tmp_path: Path, kind: str) -> None:
    out, old = tmp_path / "out", tmp_path / "out" / "old" if kind == "atomic_dir" else tmp_path / "out"
    make_parent(old)
    old.write_text("old")
    writing, killed = write_half(out, kind), write_half(out, kind)
    kill(killed)
    assert old.read_text() == "old"
    assert len(names(tmp_path)) >= 3  # out and what the two have begun
    writer: AbstractContextManager[Path] = {"atomic_path": atomic_path, "atomic_dir": atomic_dir}[kind](out)
    with writer as temporary:
        (temporary / "new" if kind == "atomic_dir" else temporary).write_text("new")
    left = [name for name in names(tmp_path) if name != "out"]
    assert left
    assert all(f".{writing.pid}." in name for name in left)  # what a living process writes is its own
    kill(writing)
    assert (out / "new" if kind == "atomic_dir" else out).read_text() == "new"


@pytest.mark.parametrize("make", [atomic_path, atomic_dir])
def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, make) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=rf"{tmp_path}/file/sub: cannot make this folder.*name one that"):
        make(tmp_path / "file" / "sub" / "out").__enter__()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_the_right_to_write_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(InputError, match=rf"{tmp_path}: this folder cannot be written to"):
        atomic_path(tmp_path / "out").__enter__()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("make", [atomic_path, atomic_dir])
def test_a_full_disk_is_named_with_what_to_do(tmp_path: Path, make) -> None:
    with (
        pytest.raises(InputError, match=rf"^{tmp_path}/out: the disk is full, and nothing was written; make room"),
        make(tmp_path / "out"),
    ):
        Path("/dev/full").write_text("full")
    assert names(tmp_path) == []


def test_a_full_file_system(full_disk: Path) -> None:
    write_json(full_disk / "out" / "old.json", 1)
    with (
        pytest.raises(InputError, match=rf"^{full_disk}/out: the disk is full"),
        atomic_dir(full_disk / "out") as folder,
        atomic_path(folder / "inner") as inner,  # the error names what the user asked for, not the folder in between
    ):
        inner.write_bytes(bytes(100_000))
    assert names(full_disk) == ["out"]
    assert read_json(full_disk / "out" / "old.json") == 1


def test_json_is_sorted_and_ends_with_a_newline(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": [1, 2.5], "a": "ß"})
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{\n "a": "ß",\n "b": [\n  1,\n  2.5\n ]\n}\n'
    assert read_json(tmp_path / "a.json") == {"a": "ß", "b": [1, 2.5]}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"loss": [float("-inf")]}])
def test_json_without_a_value_is_refused(tmp_path: Path, value: object) -> None:
    write_json(tmp_path / "a.json", "old")
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == "old"
    assert names(tmp_path) == ["a.json"]


def test_json_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.json: no such file; run the stage"):
        read_json(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text('{"a": 1')
    with pytest.raises(InputError, match=r"bad\.json: not valid JSON .*delete it"):
        read_json(tmp_path / "bad.json")
