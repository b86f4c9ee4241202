"""What one change did: two runs that differ by it, compared image by image, on all of it and region by region."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.regions import REGIONS
from components.report.records import RunRecord

Scores = dict[str, dict[str, float]]
"""Image id -> key -> value."""

RESAMPLES = 4000

PAIRS = (
    ("dffnet", "d_dffnet", "Depth feature distillation"),
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


@dataclass(frozen=True)
class Difference:
    """Paired differences of an error, `after` - `before`; negative = better.

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
        """Two-sided sign test."""
        return sign_test(self.fewer, self.more)

    @property
    def verdict(self) -> str:
        """`lower`, `higher`, or `unclear` where the interval holds zero."""
        if self.low <= 0 <= self.high:
            return "unclear"
        return "lower" if self.high < 0 else "higher"


@dataclass(frozen=True)
class Change:
    """Two runs on one test set: MAE of the whole images, and within each region that some image has.

    `metrics`: metric -> (before, after) of the test set.
    """

    test_set: str
    whole: Difference
    regions: dict[str, Difference]
    metrics: dict[str, tuple[float | None, float | None]]


@dataclass(frozen=True)
class Pair:
    """Two runs, what differs between them, and the changes on each test set."""

    before: str
    after: str
    what: str
    changes: tuple[Change, ...]


def bootstrap_interval(differences: NDArray[np.float64], seed: int = 0) -> tuple[float, float]:
    """95% percentile interval of the mean: images drawn with replacement, `RESAMPLES` times.

    Args:
        differences: (n,) one an image, n >= 1.
        seed: of the draws.
    """
    draws = np.random.default_rng(seed).integers(len(differences), size=(RESAMPLES, len(differences)))
    low, high = np.percentile(differences[draws].mean(axis=1), (2.5, 97.5))
    return float(low), float(high)


def sign_test(fewer: int, more: int) -> float:
    """Two-sided p of a fair coin that falls `fewer` and `more` times on its sides, exact; images without a
    difference are left out."""
    tosses, least = fewer + more, min(fewer, more)
    tail = sum(math.comb(tosses, k) for k in range(least + 1))
    return float(min(1.0, 2 * tail / 2**tosses))


def difference(before: Scores, after: Scores, key: str) -> Difference | None:
    """Compare an error on the images that both have it of; None where there are none."""
    both = [(before[i].get(key, math.nan), after[i].get(key, math.nan)) for i in sorted(before.keys() & after.keys())]
    values = np.array([second - first for first, second in both], dtype=np.float64)
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    counts = int((values < 0).sum()), int((values > 0).sum())
    return Difference(len(values), float(values.mean()), *bootstrap_interval(values), *counts)


def change(before: RunRecord, after: RunRecord, test_set: str) -> Change | None:
    """Compare two runs on the images that both are scored on; None where there are none."""
    first, second = before.per_image.get(test_set, {}), after.per_image.get(test_set, {})
    whole = difference(first, second, "mae")
    if whole is None:
        return None
    within = {region: difference(first, second, f"mae_{region}") for region in REGIONS}
    metrics = {name: (before.value(test_set, name), after.value(test_set, name)) for name in ("MAE", "F_beta", "IoU")}
    return Change(test_set, whole, {name: each for name, each in within.items() if each is not None}, metrics)


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
