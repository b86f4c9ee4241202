"""Folders for checkpoints: `.dbdflow/scratch/<stage>-<hash of what it depends on>`, outside DVC's outputs.

A `persist: true` output of DVC would leak across changed parameters; these cannot, since their name changes with
them. They lie under the user's checkout even when DVC runs in a temporary one, so that a kill -9 there costs
nothing either.
"""

import itertools
import shutil
from pathlib import Path

from filelock import BaseFileLock

from pipelines.system import environment, locks


class Scratch:
    """One stage's folder, made when first asked for and locked while its process lives."""

    def __init__(self, stage: str, digest: str) -> None:
        self.base = environment.state() / "scratch" / f"{stage}-{digest[:16]}"
        self.path: Path | None = None
        self.lock: BaseFileLock | None = None

    def open(self) -> Path:
        """The folder; a second process that does the same work at the same time gets one of its own."""
        numbers = itertools.count(1)
        path = self.base
        while self.path is None:
            path.mkdir(parents=True, exist_ok=True)
            self.lock = locks.take(path / ".lock")
            if self.lock is not None:
                self.path = path
            path = self.base.with_name(f"{self.base.name}-{next(numbers)}")
        return self.path

    def remove(self) -> None:
        """The work is done: its checkpoints are of no use."""
        if self.path is not None:
            shutil.rmtree(self.path, ignore_errors=True)
