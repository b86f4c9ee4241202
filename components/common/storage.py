"""Files that appear whole or not at all: written beside their place, flushed to disk, renamed into it."""

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from components.common.errors import InputError

NO_ROOM = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "your quota on this disk is used up",
    errno.EFBIG: "no file may grow this large here (see `ulimit -f`)",
}
LONG_NAME = 200
"""Bytes of a name beyond which a temporary one goes by its hash: file systems take 255, and it is longer."""


class NoRoomError(InputError):
    """What was to be written at `path` does not fit; `number` is a key of `NO_ROOM`."""

    def __init__(self, path: Path, number: int) -> None:
        super().__init__(
            f"{path}: {NO_ROOM[number]}, and nothing was written; make room there, or name another place, and run again"
        )
        self.errno = number


@contextmanager
def room_for(path: Path) -> Iterator[None]:
    """Raise `NoRoomError`, which names `path`, where the block finds no room to write."""
    try:
        yield
    except (OSError, NoRoomError) as error:
        if error.errno not in NO_ROOM:
            raise
        raise NoRoomError(path, error.errno) from error


def check_room(path: Path, size: int) -> None:
    """Refuse `size` bytes that do not fit on the disk of the folder that `path` lies or will lie in."""
    make_parent(path)
    free = shutil.disk_usage(path.parent).free
    if size > free:
        raise InputError(
            f"{path}: needs {size / 1e9:.2f} GB, and {free / 1e9:.2f} GB are free on that disk; "
            "make room there, or name another place"
        )


def sync(path: Path) -> None:
    """Flush one file or folder entry to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_parent(path: Path) -> None:
    """Make the folder that `path` will lie in.

    Raises:
        InputError: the folder cannot be made or written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{path.parent}: cannot make this folder ({error.strerror}); name one that you may write to"
        ) from error
    if not os.access(path.parent, os.W_OK):
        raise InputError(f"{path.parent}: this folder cannot be written to; change its rights or name another one")


def make_way(path: Path) -> str:
    """Make the folder of `path`, rid of what killed processes left there of it; the prefix of temporary names."""
    make_parent(path)
    name = os.fsencode(path.name)
    known = path.name if len(name) <= LONG_NAME else hashlib.sha256(name).hexdigest()[:32]
    ours = re.compile(rf"\.{re.escape(known)}\.(\d{{1,7}})\.\w{{8}}(\.\w+)?")
    for found in os.listdir(path.parent):  # before every write: there may be tens of thousands
        if (left := ours.fullmatch(found)) and not is_alive(int(left[1])):
            entry = path.with_name(found)
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink(missing_ok=True)
    return f".{known}.{os.getpid()}."


def beside(path: Path, prefix: str) -> Path:
    """A name beside `path` that nobody else uses."""
    return path.with_name(f"{prefix}{secrets.token_hex(4)}{path.suffix}")


def usual_mode() -> int:
    """The rights of a new file, by this process's umask, for one that another library made."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def is_alive(pid: int) -> bool:
    """Whether there is a process of this id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary file name beside `path`; rename it to `path` if the block succeeds, else remove it.

    Raises:
        InputError: the folder cannot be written to, or there is no room.
    """
    prefix = make_way(path)
    with room_for(path):
        temporary = beside(path, prefix)
        temporary.touch(exist_ok=False)
        try:
            yield temporary
            sync(temporary)
            temporary.replace(path)
            sync(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_dir(path: Path) -> Iterator[Path]:
    """Yield a new temporary folder beside `path`; put it in the place of `path` if the block succeeds.

    Raises:
        InputError: the folder around it cannot be written to, or there is no room.
    """
    prefix = make_way(path)
    with room_for(path):
        temporary, old = (beside(path, prefix) for _ in range(2))
        temporary.mkdir()
        old.mkdir()
        try:
            yield temporary
            for file in temporary.rglob("*"):
                sync(file)
            if path.is_dir():
                path.rename(old / path.name)
            temporary.rename(path)
            sync(path.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)


def file_hash(path: Path) -> str:
    """sha256 of a file, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_whole(path: Path, contents: str | bytes | memoryview) -> None:
    """Write a file, text in UTF-8, whole or not at all.

    Raises:
        InputError: the folder cannot be written to, or there is no room.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(contents.encode() if isinstance(contents, str) else contents)


def write_json(path: Path, value: object) -> None:
    """Write `value` as JSON with sorted keys, whole or not at all; NaN is refused."""
    write_whole(path, json.dumps(value, sort_keys=True, indent=1, allow_nan=False, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:  # noqa: ANN401 (whatever the file holds)
    """Read a JSON file.

    Raises:
        InputError: the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; run the stage that makes it (`dvc repro`)") from error
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: not valid JSON ({error}); delete it and run its stage again") from error


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file that nobody writes to a second name, or copy it where the file system cannot."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
