"""What one change did: two runs that differ by it, compared image by image."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.report.records import RunRecord

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
class Change:
    """`after` - `before` on one test set.

    `mean`, `low`, `high`: paired mean difference of the images' MAE and its 95% interval; negative = better.
    `metrics`: metric -> (before, after) of the test set.
    """

    test_set: str
    images: int
    mean: float
    low: float
    high: float
    metrics: dict[str, tuple[float | None, float | None]]

    @property
    def verdict(self) -> str:
        """`lower`, `higher`, or `unclear` where the interval holds zero."""
        if self.low <= 0 <= self.high:
            return "unclear"
        return "lower" if self.high < 0 else "higher"


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


def change(before: RunRecord, after: RunRecord, test_set: str) -> Change | None:
    """Compare two runs on the images that both are scored on; None where there are none."""
    first, second = before.per_image.get(test_set, {}), after.per_image.get(test_set, {})
    shared = sorted(first.keys() & second.keys())
    if not shared:
        return None
    differences = np.array([second[image]["mae"] - first[image]["mae"] for image in shared])
    low, high = bootstrap_interval(differences)
    metrics = {name: (before.value(test_set, name), after.value(test_set, name)) for name in ("MAE", "F_beta", "IoU")}
    return Change(test_set, len(shared), float(differences.mean()), low, high, metrics)


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
