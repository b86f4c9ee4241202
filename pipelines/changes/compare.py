"""What differs between two revisions: pure functions of what is known of each, shared by `diff` and `ci comment`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from components.common.errors import InputError
from components.common.storage import read_json
from components.report.records import RunRecord
from pipelines.changes.snapshot import Snapshot
from pipelines.repo.dag import differing

SPREAD = Path("benchmarks/seeds.json")
METRICS = {
    "mae": "MAE",
    "f_beta": "F_beta",
    "f_beta_published": "F_beta published",
    "f_beta_max": "F_beta max",
    "iou": "IoU",
}
"""Key of a summary -> how it is shown. F_beta and IoU: blurred region positive."""
BEYOND = 2 * 2**0.5
"""Standard deviations over seeds that two runs may differ by: twice that of a difference of two runs."""

Spread = Mapping[str, Mapping[str, Mapping[str, float]]]
"""Run -> test set -> metric -> standard deviation over seeds."""


@dataclass(frozen=True)
class ParamChange:
    """A key of params.yaml; None where it is absent."""

    key: str
    before: str | None
    after: str | None

    @property
    def words(self) -> tuple[str, str]:
        """Both values as they are shown."""
        before, after = ("absent" if value is None else value for value in (self.before, self.after))
        return before, after


@dataclass(frozen=True)
class StageChange:
    """A stage whose entry in dvc.lock differs: why, and whether its outputs are the same all the same."""

    stage: str
    kind: Literal["new", "gone", "rerun"]
    why: tuple[str, ...]
    same: bool


@dataclass(frozen=True)
class MetricChange:
    """One score of one run on one test set; `spread`: its standard deviation over seeds, if measured."""

    run: str
    test_set: str
    metric: str
    before: float | None
    after: float | None
    spread: float | None

    @property
    def difference(self) -> float | None:
        return None if self.before is None or self.after is None else self.after - self.before

    @property
    def exceeds(self) -> bool | None:
        """Whether the difference is more than another seed would make; None where the spread is not known."""
        if self.difference is None or self.spread is None:
            return None
        return abs(self.difference) > BEYOND * self.spread


@dataclass(frozen=True)
class CurveChange:
    """How far a precision-recall curve moved: the largest change of precision and of recall at one threshold."""

    run: str
    test_set: str
    precision: float
    recall: float


@dataclass(frozen=True)
class VerdictChange:
    """A claim of the study (docs/study.md) whose verdict is another one; None where it has none."""

    claim: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Comparison:
    """Two revisions side by side."""

    before: Snapshot
    after: Snapshot
    params: tuple[ParamChange, ...]
    stages: tuple[StageChange, ...]
    metrics: tuple[MetricChange, ...]
    curves: tuple[CurveChange, ...]
    seeds: str
    """What the spread was measured on; why there is none where there is none."""
    verdicts: tuple[VerdictChange, ...]

    @property
    def moved(self) -> list[str]:
        """Runs of which any score differs, or is there on one side alone."""
        return list(dict.fromkeys(each.run for each in self.metrics if each.difference != 0))

    @property
    def gaps(self) -> tuple[str, ...]:
        return (*self.before.gaps, *self.after.gaps)


def compare(before: Snapshot, after: Snapshot, root: Path) -> Comparison:
    """Compare two snapshots; the spread over seeds is the one written down in the checkout at `root`."""
    spread, seeds = read_spread(root / SPREAD, after.params.get("name", ""))
    return Comparison(
        before,
        after,
        tuple(param_changes(before.params, after.params)),
        tuple(stage_changes(before.stages, after.stages)),
        tuple(metric_changes(before.records, after.records, spread)),
        tuple(curve_changes(before.records, after.records)),
        seeds,
        tuple(verdict_changes(before.verdicts, after.verdicts)),
    )


def read_spread(path: Path, name: str) -> tuple[Spread, str]:
    """Standard deviations of scores over seeds that were measured for the experiment `name`, and what they are.

    Raises:
        InputError: the file is damaged.
    """
    if not path.exists():
        return {}, "the spread over seeds is not measured (`make seeds`)"
    noted = read_json(path)
    try:
        if noted["name"] != name:
            return {}, f"the spread over seeds is measured for {noted['name']}, not for {name}"
        return noted["spread"], f"the spread over {len(noted['seeds'])} seeds, commit {noted['commit']}"
    except (KeyError, TypeError) as error:
        raise InputError(f"{path}: damaged ({error!r}); bring it back with git, or `make seeds`") from error


def param_changes(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[ParamChange]:
    """Keys that differ, in the order of the files."""
    for key in dict.fromkeys([*before, *after]):
        if before.get(key) != after.get(key):
            yield ParamChange(key, before.get(key), after.get(key))


def verdict_changes(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[VerdictChange]:
    """Claims whose verdict flips."""
    for claim in dict.fromkeys([*before, *after]):
        if before.get(claim) != after.get(claim):
            yield VerdictChange(claim, before.get(claim), after.get(claim))


def stage_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[StageChange]:
    """Stages whose entries in dvc.lock differ."""
    for stage in dict.fromkeys([*before, *after]):
        old, new = before.get(stage), after.get(stage)
        if old is None or new is None:
            yield StageChange(stage, "new" if old is None else "gone", (), same=False)
        elif why := tuple(entry_changes(old, new)):
            yield StageChange(stage, "rerun", why, same=hashes(old, "outs") == hashes(new, "outs"))


def entry_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Why a stage ran again, by its two entries of dvc.lock; where nothing else differs, what it made differently."""
    found = False
    if old.get("cmd") != new.get("cmd"):
        found = True
        yield "changed command"
    for file in dict.fromkeys([*old.get("params", {}), *new.get("params", {})]):
        for line in differing(old.get("params", {}).get(file) or {}, new.get("params", {}).get(file) or {}):
            found = True
            yield line
    for part, word in (("deps", "changed"), ("outs", "is another, though nothing else changed")):
        ours, theirs = hashes(old, part), hashes(new, part)
        for path in dict.fromkeys([*ours, *theirs]):
            if ours.get(path) != theirs.get(path) and not (part == "outs" and found):
                yield f"{path} {word}"
        found = found or ours != theirs


def hashes(entry: Mapping[str, Any], part: str) -> dict[str, str | None]:
    return {each["path"]: each.get("md5") for each in entry.get(part, ())}


def metric_changes(
    before: Mapping[str, RunRecord], after: Mapping[str, RunRecord], spread: Spread
) -> Iterator[MetricChange]:
    """Every score of every run of both sides, the second side's runs first."""
    for run in dict.fromkeys([*after, *before]):
        old, new = (side[run].summary if run in side else {} for side in (before, after))
        for test_set in dict.fromkeys([*new, *old]):
            for metric in METRICS:
                first, second = (side.get(test_set, {}).get(metric) for side in (old, new))
                if first is not None or second is not None:
                    own = spread.get(run, {}).get(test_set, {}).get(metric)
                    yield MetricChange(run, test_set, metric, first, second, own)


def curve_changes(before: Mapping[str, RunRecord], after: Mapping[str, RunRecord]) -> Iterator[CurveChange]:
    """Precision-recall curves that both sides have and that differ, largest change first."""
    found = []
    for run in after.keys() & before.keys():
        for test_set, points in after[run].curves.items():
            old = before[run].curves.get(test_set)
            if old is not None and old.shape == points.shape and not np.array_equal(old, points, equal_nan=True):
                recall, precision = np.nanmax(np.abs(points - old), axis=0)
                found.append(CurveChange(run, test_set, float(precision), float(recall)))
    yield from sorted(found, key=lambda each: (-max(each.precision, each.recall), each.run, each.test_set))
