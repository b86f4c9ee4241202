"""Journals on their way to MLflow, as the courier sees them, and how far each has come.

What is under way survives a kill -9 of the courier: `<journal>.state` says which events have arrived and is replaced
in one step after they have; an event may arrive twice, which MLflow takes for once (`pipelines.tracking.client`).
"""

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from components.common.storage import write_json
from pipelines.system.processes import Owner, parse_owner
from pipelines.tracking import journal

Event = dict[str, Any]

OPEN = ".open"  # suffix of the file that stands for an open reproduction

STILLBORN = 60.0  # seconds after which a journal without a first event is taken for abandoned


class Parcel:
    """One journal under way.

    Attributes:
        start: the journal's first event.
        run: the MLflow run that it becomes, once known; `experiment` is that run's.
        flow_run: the Prefect flow run that it is, once known: its id and its API's address.
        offset: bytes that have arrived.
    """

    def __init__(self, path: Path, start: Event) -> None:
        self.path, self.start = path, start
        self.state = path.with_suffix(".state")
        self.files = path.with_suffix(".files")
        self.run: str | None = None
        self.experiment = ""
        self.flow_run: dict[str, str] | None = None
        self.offset = 0
        if self.state.exists():
            known = json.loads(self.state.read_text(encoding="utf-8"))
            self.run, self.offset = known["run"], known["offset"]
            self.flow_run = known.get("flow_run")  # a state from before flow runs were shown has none

    @property
    def name(self) -> str:
        return self.path.stem

    def alive(self) -> bool:
        """Whether the stage's process is there."""
        return Owner(self.start["pid"], self.start["created"]).alive()

    def read(self) -> tuple[list[Event], int]:
        """Events that have not arrived yet, and the offset after them.

        The last one is an `end`, made up here if need be, when the stage's process is gone.
        """
        alive = self.alive()  # before reading: it may end in between
        with self.path.open("rb") as file:
            file.seek(self.offset)
            lines = file.read()
        whole = lines[: lines.rfind(b"\n") + 1]
        events = [event for line in whole.splitlines() if (event := decode(line))]
        if not alive and not any(event["event"] == "end" for event in events):
            moment = events[-1]["time"] if events else int(self.path.stat().st_mtime * 1000)
            events.append({"event": "end", "time": moment, "status": "KILLED", "message": "the process is gone"})
        return events, self.offset + len(whole)

    def arrived(self, offset: int) -> None:
        """Remember that everything before `offset` has arrived (an `end` is not remembered: `discard` follows it)."""
        self.offset = offset
        write_json(self.state, {"run": self.run, "flow_run": self.flow_run, "offset": offset})

    def discard(self) -> None:
        """Everything has arrived."""
        self.path.unlink()
        forget(self.path)


def decode(line: bytes) -> Event | None:
    """One line of a journal; none if it is not whole (a full disk, a power cut)."""
    try:
        event: Event = json.loads(line)
    except ValueError:
        return None
    return event


def forget(path: Path) -> None:
    """Remove what lies beside a journal that is gone."""
    shutil.rmtree(path.with_suffix(".files"), ignore_errors=True)
    path.with_suffix(".state").unlink(missing_ok=True)


def parcels() -> Iterator[Parcel]:
    """Every journal under way, oldest first."""
    for path in sorted(journal.folder().glob("*.jsonl")):
        with path.open("rb") as file:
            line = file.readline()
        if line.endswith(b"\n") and (start := decode(line)):
            yield Parcel(path, start)
        elif time.time() - path.stat().st_mtime > STILLBORN:
            path.unlink()


def sweep() -> None:
    """Remove what a courier that was killed while discarding left behind."""
    for path in journal.folder().glob("*.*"):
        if path.suffix in (".files", ".state") and not path.with_suffix(".jsonl").exists():
            forget(path)


class Reproduction:
    """One reproduction whose MLflow run is open: an empty file named after it, so that any courier can end it."""

    def __init__(self, identity: str) -> None:
        self.identity = identity
        self.path = journal.folder() / f"{quote(identity, safe='')}{OPEN}"

    def alive(self) -> bool:
        """Whether the process that reproduces is known and still runs."""
        owner = parse_owner(self.identity)
        return owner is not None and owner.alive()


def reproductions() -> list[Reproduction]:
    """Those whose MLflow run is open."""
    return [Reproduction(unquote(path.name.removesuffix(OPEN))) for path in journal.folder().glob(f"*{OPEN}")]
