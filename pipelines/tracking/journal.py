"""A stage's journal: what happened, one JSON object a line, written beside the stage and never read back by it.

Writing costs a stage microseconds and needs no database; `pipelines.tracking.courier` carries the journals to MLflow.
Layout of `.dbdflow/journal`: `<name>.jsonl` the events, `<name>.files/` pictures and artifacts they name,
`<name>.state` how far the courier got, `delivered/` the journals that arrived whole.

Events have `event` and `time` (unix ms); `start` says who and what, `end` with which status; between them
`params`, `metrics`, `artifact`, `dataset`, `tags`, `progress`, `table`, `model` (weights to be registered), `scored`
(what weights scored) and `reproduction` (what a stage says of the whole).
"""

import json
import logging
import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from pipelines.system import environment

log = logging.getLogger(__name__)


def folder() -> Path:
    return environment.state() / "journal"


class Journal:
    """An append-only file of events. What cannot be written is warned about once and never fails the stage."""

    def __init__(self, stage: str) -> None:
        moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
        self.path = folder() / f"{moment}-{stage}-{os.getpid()}.jsonl"
        self.files = self.path.with_suffix(".files")
        self.kept = 0
        self.handle: int | None = None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as error:
            self._give_up(error)

    def write(self, event: str, **content: object) -> None:
        """Append one event; values that JSON does not know are written as text."""
        line = json.dumps({"event": event, "time": time.time_ns() // 1_000_000, **content}, default=str) + "\n"
        if self.handle is not None:
            try:
                os.write(self.handle, line.encode())
            except OSError as error:
                self._give_up(error)

    def keep(self, path: Path, copy: Callable[[Path, Path], object] = shutil.copy2) -> str | None:
        """Put a copy of a file or folder beside the journal; its name there. `copy` makes a file's."""
        if path.is_dir():

            def copy_file(source: str, target: str) -> object:
                return copy(Path(source), Path(target))

            return self._put(path.name, lambda target: shutil.copytree(path, target, copy_function=copy_file))
        return self._put(path.name, lambda target: copy(path, target))

    def keep_bytes(self, name: str, content: bytes) -> str | None:
        """Put a new file beside the journal; its name there."""
        return self._put(name, lambda target: target.write_bytes(content))

    def _put(self, name: str, write: Callable[[Path], object]) -> str | None:
        if self.handle is None:
            return None
        kept = f"{self.kept}/{name}"
        self.kept += 1
        try:
            (self.files / kept).parent.mkdir(parents=True)
            write(self.files / kept)
        except OSError as error:
            log.warning("tracking: %s is not kept (%s)", name, error)
            return None
        return kept

    def close(self) -> None:
        """Flush to disk; nothing can be written afterwards."""
        if self.handle is not None:
            with suppress(OSError):
                os.fsync(self.handle)
            os.close(self.handle)
            self.handle = None

    def _give_up(self, error: OSError) -> None:
        log.warning("tracking is off for this stage: %s cannot be written (%s)", self.path, error)
        self.handle = None
