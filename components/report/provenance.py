"""Where each number comes from: the stages that made a run, as dvc.lock has them.

Nothing here depends on when or where a stage ran. What does (wall time, its runs in MLflow and Prefect) is looked up
by the hash of what the stage depends on when the page is opened, in the file that the checkout keeps of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ORDER = ("published", "train_stage1", "train_stage1_depth", "distill_stage2", "baseline", "predict", "evaluate")
"""Stages of one run, in the order in which they run."""


@dataclass(frozen=True)
class File:
    """A file or folder of data, with the MD5 that DVC has for it; `size` in bytes."""

    path: str
    md5: str
    size: int


@dataclass(frozen=True)
class StageFacts:
    """One stage as dvc.lock has it.

    `digest`: hash of all that it depends on (64 hex digits). `reads`: data, without code. `code`: how many files.
    """

    name: str
    command: str
    digest: str
    reads: tuple[File, ...]
    writes: tuple[File, ...]
    code: int
    params: dict[str, Any]


def files(entries: Sequence[Mapping[str, Any]]) -> tuple[File, ...]:
    """Entries of dvc.lock as files."""
    return tuple(File(each["path"], each["md5"], each["size"]) for each in entries)


def stage_facts(name: str, entry: Mapping[str, Any], digest: str) -> StageFacts:
    """One stage's entry of dvc.lock."""
    reads = [each for each in entry.get("deps", ()) if each["path"].startswith("data/")]
    params = {key: value for values in entry.get("params", {}).values() for key, value in values.items()}
    command = " ".join(entry["cmd"].split())
    code = len(entry.get("deps", ())) - len(reads)
    return StageFacts(name, command, digest, files(reads), files(entry.get("outs", ())), code, params)


def stages_of(stages: Sequence[StageFacts], run: str) -> list[StageFacts]:
    """The stages that made a run's scores, in order; published maps are all made by one stage."""
    if run.startswith("external/"):
        return [each for each in stages if each.name == "external"]
    named = {each.name: each for each in stages}
    return [named[f"{stage}@{run}"] for stage in ORDER if f"{stage}@{run}" in named]
