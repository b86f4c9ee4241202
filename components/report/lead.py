"""What the page leads with where photographs are real: each real test set in numbers, figures and pictures."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from components.catalog.test_sets import TEST_SETS
from components.report.charts import scatter
from components.report.curves import Figure, precision_recall, styled
from components.report.measured import MeasuredSet, measured
from components.report.paired import DISTILLED
from components.report.records import RunRecord
from components.report.sheets import Photographs
from components.report.strips import Strip, compared, most_different, worst_and_best
from components.report.tables import Filling


@dataclass(frozen=True)
class Distilled:
    """DFFNet and D-DFFNet of one recipe: the scatter, and Fig. 12 (None without maps), gained most and lost most."""

    before: str
    after: str
    scatter: Figure
    fewer: int
    images: int
    strips: tuple[list[Strip], list[Strip]] | None


@dataclass(frozen=True)
class Lead:
    """One real test set; `extremes` are the worst and best photographs of the network `lowest`."""

    measured: MeasuredSet
    curves: tuple[Figure, ...]
    distilled: tuple[Distilled, ...]
    lowest: str
    extremes: tuple[list[Strip], list[Strip]] | None
    compared: list[Strip]


def lead(test_set: str, fillings: Sequence[Filling], photographs: Sequence[Photographs]) -> Lead:
    """Everything of one real test set."""
    records = [each.record for each in fillings]
    dataset = TEST_SETS[test_set].dataset
    shown = next((each for each in photographs if each.prepared.name == dataset), None)
    found = measured(test_set, fillings)
    lowest = next((each for each in records if found.lowest and each.run == found.lowest.run), None)
    extremes = worst_and_best(shown, lowest, test_set) if shown and lowest and lowest.run in shown.runs else None
    return Lead(
        found,
        tuple(precision_recall(styled(records), [test_set])),
        tuple(distilled(records, shown, test_set)),
        lowest.title if lowest else "",
        extremes,
        compared(shown, records, test_set) if shown else [],
    )


def distilled(records: Sequence[RunRecord], shown: Photographs | None, test_set: str) -> list[Distilled]:
    """The pairs of DFFNet and D-DFFNet that are both scored on the test set."""
    scored = {each.run: each for each in records if test_set in each.per_image}
    pairs = [
        (scored[before], scored[after]) for before, after in reversed(DISTILLED) if {before, after} <= scored.keys()
    ]
    return [pair_of(before, after, shown, test_set) for before, after in pairs]


def pair_of(before: RunRecord, after: RunRecord, shown: Photographs | None, test_set: str) -> Distilled:
    """One pair's scatter and pictures."""
    sides = [each.per_image[test_set]["mae"] for each in (before, after)]
    errors = pd.concat(sides, axis=1, join="inner").sort_index()
    ids, (x, y) = list(errors.index), errors.to_numpy().T
    fewer = int((y < x).sum())
    described = f"MAE on {test_set}, photograph by photograph: {after.title} lower on {fewer} of {len(ids)}"
    labels = {"x_label": f"MAE of {before.title}", "y_label": f"MAE of {after.title}"}
    figure = Figure(f"{before.title} against {after.title}", scatter(ids, x, y, described=described, **labels))
    has_maps = shown is not None and {before.run, after.run} <= set(shown.runs)
    strips = most_different(shown, before, after, test_set) if shown is not None and has_maps else None
    return Distilled(before.title, after.title, figure, fewer, len(ids), strips)
