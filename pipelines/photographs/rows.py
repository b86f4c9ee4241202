"""What is known of photographs that were made before: a ledger beside their maps, a line each, appended when done.

A process that is killed leaves at most half a line, which is not read: its photograph is made again.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from components.common.errors import InputError
from components.common.storage import make_parent, room_for
from pipelines.system.locks import held

LEDGER = Path(".predict/ledger.jsonl")
LOCK = Path(".predict/lock")
"""Beside the maps."""

Stat = tuple[int, int]
"""A file's size, bytes, and when it was last changed, nanoseconds: what tells whether it is still the same."""


def key(photograph: Path) -> str:
    """By what a photograph is known, whatever link or folder it is reached by."""
    return str(photograph.resolve())


def stat_of(path: Path) -> Stat:
    """A file's size and time.

    Raises:
        OSError: it is not there.
    """
    status = path.stat()
    return status.st_size, status.st_mtime_ns


@dataclass(frozen=True)
class Row:
    """A photograph that has its files.

    Attributes:
        photograph: its path, absolute, as the system has it.
        stat: what it was when it was read.
        made_by: see `Job.made_by`.
        files: what was made, by its name in the folder of the maps.
        values: columns of the table, by name.
    """

    photograph: str
    stat: Stat
    made_by: str
    files: Mapping[str, Stat]
    values: Mapping[str, Any]

    def is_of(self, photograph: Path) -> bool:
        """Whether it is this photograph's, perhaps changed since, or moved."""
        return self.photograph == key(photograph) or self.stat == stat_of(photograph)


@dataclass
class Ledger:
    """What lies in a folder of maps.

    Attributes:
        rows: by their photograph's path.
        owners: whose each file is that was written there, by its name.
        whole: sha256 of each table and page that was ever written there.
    """

    rows: dict[str, Row] = field(default_factory=dict)
    owners: dict[str, Row] = field(default_factory=dict)
    whole: set[str] = field(default_factory=set)

    def take(self, line: Mapping[str, Any]) -> None:
        """Know what a line says."""
        if "whole" in line:
            self.whole.add(line["whole"])
            return
        files = {name: (size, time) for name, (size, time) in line["files"].items()}
        row = Row(line["photograph"], tuple(line["stat"]), line["made_by"], files, line["values"])
        self.rows[row.photograph] = row
        self.owners |= dict.fromkeys(files, row)

    def owner(self, name: str, place: Path) -> Row | None:
        """Whose the file of this name is, which lies at `place`; None if nobody's, or changed since."""
        row = self.owners.get(name)
        return row if row and place.exists() and stat_of(place) == row.files[name] else None


def read_ledger(out: Path) -> Ledger:
    """The ledger of a folder of maps, empty where there is none.

    Raises:
        InputError: the file is none of ours, or cannot be read.
    """
    path, ledger = out / LEDGER, Ledger()
    try:
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    except OSError as error:
        raise InputError(
            f"{path}: not readable ({error.strerror}); change its rights, or name another --out"
        ) from error
    for number, line in enumerate(lines, 1):
        try:
            ledger.take(json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{path}: line {number} is none that predict wrote; take it, index.html and photographs.parquet away "
                "(all photographs are then made again), or name another --out"
            ) from error
    return ledger


class Pen:
    """Appends to a ledger, and knows what it appended."""

    def __init__(self, path: Path, ledger: Ledger) -> None:
        self.path, self.ledger = path, ledger
        self.file = path.open("ab", buffering=0)  # where there is no room, nothing is left to be written at its close
        self.file.truncate(path.read_bytes().rfind(b"\n") + 1)  # half a line is what a killed process left

    def add(self, row: Row) -> None:
        """Say that a photograph has its files."""
        self.write(asdict(row))

    def will_write(self, digest: str) -> None:
        """Say that a file of this sha256 will be written; then it is known for ours, whatever happens meanwhile."""
        self.write({"whole": digest})

    def write(self, line: dict[str, Any]) -> None:
        left = json.dumps(line).encode() + b"\n"
        with room_for(self.path):
            while left:
                left = left[self.file.write(left) :]
        self.ledger.take(line)


@contextmanager
def writing(out: Path) -> Iterator[Pen]:
    """The ledger of a folder of maps, as it is now, to append to; no other process writes there meanwhile.

    Raises:
        InputError: another one does, or there is no room.
    """
    make_parent(out / LOCK)
    with held(out / LOCK, f"{out}: another predict writes there; wait for it, or name another --out"):
        with room_for(out / LEDGER):
            pen = Pen(out / LEDGER, read_ledger(out))
        try:
            yield pen
        finally:
            pen.file.close()
