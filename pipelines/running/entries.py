"""Stages that another checkout made: their entries of `dvc.lock`, and their outputs, brought to this one."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from components.common.storage import atomic_path
from pipelines.repo import recovery
from pipelines.repo.fingerprint import load
from pipelines.repo.lock_file import LOCK, recorded_stages
from pipelines.repo.revisions import dvc

Brings = Mapping[str, Path]
"""Stage -> the checkout that made it, which shares its cache with this one."""


def bring(folder: Path, brings: Brings) -> None:
    """Give a checkout what others made, as far as its `dvc.lock` lacks it."""
    with FileLock(folder / ".dvc" / "tmp" / "bring.lock"):
        take_over(folder, {stage: entry_of(other, stage) for stage, other in brings.items()}, "checkout", "--force")


def fetch(folder: Path, entries: Mapping[str, Any], needed: frozenset[str] = frozenset()) -> None:
    """The same from the DVC remote, by the entries; and the outputs of stages that are `needed` besides.

    Raises:
        InputError: the remote lacks something, or does not answer.
    """
    with FileLock(folder / ".dvc" / "tmp" / "bring.lock"):
        take_over(folder, entries, "pull")
        if needed:
            dvc(folder, "--wait-for-lock", "pull", "--quiet", *sorted(needed))


def take_over(folder: Path, entries: Mapping[str, Any], *how: str) -> None:
    """Put those entries into `dvc.lock` that it lacks, and have DVC get their outputs."""
    has = recorded_stages(folder)
    if lacking := {stage: entry for stage, entry in entries.items() if has.get(stage) != entry}:
        add_entries(folder, lacking)
        dvc(folder, "--wait-for-lock", how[0], "--quiet", *how[1:], *lacking)


def entry_of(folder: Path, stage: str) -> Any:  # noqa: ANN401 (YAML)
    """What a checkout's `dvc.lock` says of a stage that is done."""
    with recovery.dvc_lock(folder):
        return load(folder / LOCK)["stages"][stage]


def add_entries(folder: Path, entries: Mapping[str, Any]) -> None:
    """Put stages' entries into a checkout's `dvc.lock`."""
    with rewritten(folder) as lock:
        lock.setdefault("schema", "2.0")
        lock.setdefault("stages", {}).update(entries)


def put_in_order(folder: Path, stages: Sequence[str]) -> None:
    """Sort entries of `dvc.lock`, which came as stages ended, as `dvc repro` writes them; others keep their places."""
    has = list(recorded_stages(folder))
    known = set(stages) & set(has)
    ordered = iter([stage for stage in stages if stage in known])
    wanted = [next(ordered) if stage in known else stage for stage in has]
    if wanted != has:
        with rewritten(folder) as lock:
            for stage in wanted:
                lock["stages"].move_to_end(stage)
        recovery.keep_lock_file(folder)


@contextmanager
def rewritten(folder: Path) -> Iterator[Any]:
    """A checkout's `dvc.lock`, to be changed, as DVC writes it, while no DVC process does."""
    from dvc.utils.serialize import modify_yaml

    path = folder / LOCK
    with recovery.dvc_lock(folder), atomic_path(path) as staged:
        if path.exists():
            shutil.copyfile(path, staged)
        with modify_yaml(staged) as lock:
            yield lock
