"""Figures of the report: precision-recall curves and bars (both Fig. 7), and how training went."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from components.report.charts import Drawn, Line, Range, bar_chart, line_chart
from components.report.records import RunRecord

COLOURS = 10
LEVELS = 256
BARS = ("Precision", "Recall", "Fβ")

HISTORY_TITLES = {
    "loss": "Loss",
    "dbd_loss": "Defocus blur detection loss",
    "depth_loss": "Depth loss",
    "defocus_feature_loss": "Feature loss to the defocus teacher",
    "depth_feature_loss": "Feature loss to the depth teacher",
    "distill_weight": "Distillation weight β",
    "learning_rate": "Learning rate",
    "lr": "Learning rate",
}
"""Columns of `history.csv` that are drawn, in this order."""


@dataclass(frozen=True)
class Figure:
    """A titled chart as SVG text."""

    title: str
    svg: str


def family(record: RunRecord, runs: Sequence[str]) -> str:
    """The run that this one learnt from, if it is among `runs`; else the run itself."""
    teacher = str(record.card.get("teacher"))
    return teacher if teacher in runs else record.run


def styled(records: Sequence[RunRecord]) -> list[Drawn]:
    """Each run with its line: a colour for a family, dashed for its teacher, solid for the first student."""
    runs = [record.run for record in records]
    families = {record.run: family(record, runs) for record in records}
    found: dict[str, str] = {}
    for i, name in enumerate(dict.fromkeys(families.values())):
        students = [run for run in runs if families[run] == name and run != name]
        lines = {name: "dashed" if students else "solid", **dict.fromkeys(students, "dotted")}
        lines |= dict.fromkeys(students[:1], "solid")
        found |= {run: f"s{i % COLOURS} {line}" for run, line in lines.items()}
    return [Drawn(record, record.title, found[record.run]) for record in records]


def precision_recall(drawn: Sequence[Drawn], test_sets: Sequence[str]) -> list[Figure]:
    """One figure a test set, every run that has a curve on it; blurred region positive."""
    figures = []
    for test_set in test_sets:
        lines = [(each, *each.record.curves[test_set].T) for each in drawn if test_set in each.record.curves]
        if lines:
            described = f"Precision over recall on {test_set}: {names(lines)}"
            labels = {"x_label": "Recall", "y_label": "Precision"}
            svg = line_chart(lines, described=described, **labels, x_range=(0, 1), y_range=y_range(lines))
            figures.append(Figure(test_set, svg))
    return figures


def fig7_bars(drawn: Sequence[Drawn], test_sets: Sequence[str]) -> list[Figure]:
    """One figure a test set: mean precision and recall at the threshold 0.5, and F-beta; blurred region positive."""
    figures = []
    for test_set in test_sets:
        scored = [each for each in drawn if len(each.record.curves.get(test_set, ())) == LEVELS]
        if bars := [(each, at_half(each.record, test_set)) for each in scored]:
            described = f"Precision, recall and F-beta on {test_set}: {names(bars)}"
            figures.append(Figure(test_set, bar_chart(bars, BARS, described=described)))
    return figures


def names(drawn: Sequence[tuple[Drawn, *tuple[Any, ...]]]) -> str:
    """What is drawn, for a screen reader."""
    return ", ".join(each[0].name for each in drawn)


def at_half(record: RunRecord, test_set: str) -> tuple[float, ...]:
    """Precision and recall where a map says blurred with a probability of 0.5 or more, and F-beta of the set."""
    recall, precision = record.curves[test_set][LEVELS // 2]
    f_beta = record.value(test_set, "F_beta")
    return float(precision), float(recall), math.nan if f_beta is None else f_beta


def y_range(lines: Sequence[Line]) -> Range:
    """From the lowest precision, rounded down to a tenth, to 1."""
    lowest = float(np.nanmin(np.concatenate([y for _, _, y in lines])))
    return min(0.9, math.floor(lowest * 10) / 10), 1.0


def histories(drawn: Sequence[Drawn]) -> list[Figure]:
    """A figure for each column of `history.csv` that some run has: over the epochs, a line a run."""
    figures = []
    for column, title in HISTORY_TITLES.items():
        kept = [(each, each.record.history) for each in drawn if column in each.record.history]
        if lines := [(each, history["epoch"], history[column]) for each, history in kept]:
            epochs = np.concatenate([x for _, x, _ in lines])
            described = f"{title} over epochs: {names(lines)}"
            span = None if np.ptp(epochs) == 0 else (float(epochs.min()), float(epochs.max()))
            svg = line_chart(lines, described=described, x_label="Epoch", x_range=span, y_range=zero_based(lines))
            figures.append(Figure(title, svg))
    return figures


def zero_based(lines: Sequence[Line]) -> Range | None:
    """From 0 to a little above the largest value, or None where a value is negative or none is finite."""
    values = np.concatenate([y for _, _, y in lines])
    finite = values[np.isfinite(values)]
    if not finite.size or finite.min() < 0 or finite.max() <= 0:
        return None
    return 0.0, float(finite.max()) * 1.04


def stage_of(record: RunRecord) -> int:
    """1 or 2, from the run's card: 2, `stage2` and `distill_stage2` are stage 2."""
    return 2 if str(record.card.get("stage", 1)).endswith("2") else 1


def training_figures(drawn: Sequence[Drawn]) -> dict[int, list[Figure]]:
    """Stage -> a figure for each column of its runs' histories."""
    figures = {stage: histories([each for each in drawn if stage_of(each.record) == stage]) for stage in (1, 2)}
    return {stage: charts for stage, charts in figures.items() if charts}
