"""What one change did: two runs that differ by it, compared image by image, on all of it and region by region."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from components.report.records import SUMMARY_KEY, RunRecord
from components.scoring.intervals import OVERLAP, draws, mean_interval, percentiles, pooled
from components.scoring.regions import REGIONS

PAIRS = (
    ("dffnet", "d_dffnet", "Depth feature distillation"),
    ("dffnet_best", "d_dffnet_best", "Second stage of the recipe best: distillation, and more training"),
    ("pdnet", "d_pdnet", "Depth feature distillation"),
    ("dffnet_bce", "d_dffnet_bce_bce", "Depth feature distillation"),
    ("dffnet_without_dffm", "d_dffnet_without_dffm", "Depth feature distillation"),
    ("dffnet_vgg16", "d_dffnet_vgg16", "Depth feature distillation"),
    ("dffnet_dut", "d_dffnet_dut", "Depth feature distillation"),
    ("dffnet_cuhk2_dut", "d_dffnet_cuhk2_dut", "Depth feature distillation"),
    ("dffnet_bce", "dffnet", "DOF-edge loss in stage 1"),
    ("d_dffnet_bce_bce", "d_dffnet_bce_el", "DOF-edge loss in stage 2"),
    ("rdffnet", "d_dffnet", "Feature instead of response distillation"),
)

DISTILLED = (("dffnet", "d_dffnet"), ("dffnet_best", "d_dffnet_best"))
"""DFFNet and D-DFFNet by the paper's recipe and by our own."""


@dataclass(frozen=True)
class Difference:
    """Paired differences of an error or a score, `after` - `before`; of an error negative = better.

    `mean`, `low`, `high`: of the images' differences, with its 95% interval.
    `fewer`, `more`: images on which the error is lower and higher; `p`: of the sign test on these.
    """

    images: int
    mean: float
    low: float
    high: float
    fewer: int
    more: int

    @property
    def p(self) -> float:
        """Two-sided sign test, exact; images without a difference are left out."""
        tosses, least = self.fewer + self.more, min(self.fewer, self.more)
        return float(min(1.0, 2 * sum(math.comb(tosses, k) for k in range(least + 1)) / 2**tosses))

    @property
    def verdict(self) -> str:
        """`lower`, `higher`, or `unclear` where the interval holds zero."""
        if self.low <= 0 <= self.high:
            return "unclear"
        return "lower" if self.high < 0 else "higher"


@dataclass(frozen=True)
class Change:
    """Two runs on one test set: MAE of the whole images, and within each region that some image has.

    `metrics`: metric -> (before, after) of the test set. `gains`: see there.
    """

    test_set: str
    whole: Difference
    regions: dict[str, Difference]
    metrics: dict[str, tuple[float | None, float | None]]
    gains: dict[str, Difference]


@dataclass(frozen=True)
class Pair:
    """Two runs, what differs between them, and the changes on each test set."""

    before: str
    after: str
    what: str
    changes: tuple[Change, ...]

    @property
    def reach(self) -> float:
        """How far the intervals of the whole images are from zero."""
        return reach([each.whole for each in self.changes])

    @property
    def reach_inside(self) -> float:
        """Likewise within the regions; 0 where there are none."""
        return reach([found for each in self.changes for found in each.regions.values()])


def reach(differences: Sequence[Difference]) -> float:
    """The end of an interval that is the farthest from zero."""
    return max((max(abs(each.low), abs(each.high)) for each in differences), default=0.0)


def difference(before: pd.DataFrame, after: pd.DataFrame, key: str) -> Difference | None:
    """Compare an error (images x keys) on the images that both have it of; None where there are none."""
    first, second = (each.reindex(columns=[key])[key] for each in (before, after))
    values = (second - first).dropna().sort_index().to_numpy(np.float64)
    if not len(values):
        return None
    counts = int((values < 0).sum()), int((values > 0).sum())
    return Difference(len(values), float(values.mean()), *mean_interval(values), *counts)


def pooled_difference(before: pd.DataFrame, after: pd.DataFrame) -> Difference | None:
    """Compare the IoU pooled over the images that both are scored on; None where there are none, or no pixels of it.

    `fewer` and `more` count the images by their own IoU.
    """
    both = before.index.intersection(after.index).sort_values()
    sides = [each.reindex(index=both, columns=OVERLAP).to_numpy(np.float64) for each in (before, after)]
    if not len(both) or not np.isfinite(sides).all():
        return None
    drawn = draws(len(both))
    whole = [float(pooled(np.ones((1, len(both))), side)[0]) for side in sides]
    low, high = percentiles(pooled(drawn, sides[1]) - pooled(drawn, sides[0]))
    own = (after["iou"] - before["iou"])[both]
    return Difference(len(both), whole[1] - whole[0], low, high, int((own < 0).sum()), int((own > 0).sum()))


def gains(before: pd.DataFrame, after: pd.DataFrame) -> dict[str, Difference]:
    """The paired differences of Fβ, by both rules, and of the pooled IoU; positive = better."""
    found = {name: difference(before, after, SUMMARY_KEY[name]) for name in ("F_beta", "F_beta_published")}
    found["IoU"] = pooled_difference(before, after)
    return {name: each for name, each in found.items() if each is not None}


def change(before: RunRecord, after: RunRecord, test_set: str) -> Change | None:
    """Compare two runs on the images that both are scored on; None where there are none."""
    first, second = before.images(test_set), after.images(test_set)
    whole = difference(first, second, "mae")
    if whole is None:
        return None
    within = {region: difference(first, second, f"mae_{region}") for region in REGIONS}
    metrics = {name: (before.value(test_set, name), after.value(test_set, name)) for name in ("MAE", "F_beta", "IoU")}
    inside = {name: each for name, each in within.items() if each is not None}
    return Change(test_set, whole, inside, metrics, gains(first, second))


def pairs_of(records: list[RunRecord]) -> list[tuple[str, str, str]]:
    """The pairs of `PAIRS` among these runs, and each other distilled run beside its teacher."""
    runs = {record.run for record in records}
    known = [pair for pair in PAIRS if {pair[0], pair[1]} <= runs]
    listed = {pair[:2] for pair in PAIRS}
    taught = [(str(record.card.get("teacher")), record.run, PAIRS[0][2]) for record in records]
    return known + [pair for pair in taught if pair[0] in runs and pair[:2] not in listed]


def compare_pairs(records: list[RunRecord], test_sets: list[str]) -> list[Pair]:
    """Every pair with at least one shared test set."""
    runs = {record.run: record for record in records}
    pairs = []
    for before, after, what in pairs_of(records):
        changes = [change(runs[before], runs[after], test_set) for test_set in test_sets]
        if found := tuple(each for each in changes if each is not None):
            pairs.append(Pair(before, after, what, found))
    return pairs
