"""Figures of the report: precision-recall curves and bars (both Fig. 7), and how training went."""

import math
from dataclasses import dataclass

import numpy as np

from components.report.records import Column, RunRecord
from components.report.svg import Bars, Line, bar_chart, line_chart

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


def family(record: RunRecord, runs: list[str]) -> str:
    """The run that this one learnt from, if it is among `runs`; else the run itself."""
    teacher = str(record.card.get("teacher"))
    return teacher if teacher in runs else record.run


def styles(records: list[RunRecord]) -> dict[str, str]:
    """Classes of each run's line: a colour for a family, dashed for its teacher, solid for the first student."""
    runs = [record.run for record in records]
    families = {record.run: family(record, runs) for record in records}
    colours = {name: i % COLOURS for i, name in enumerate(dict.fromkeys(families.values()))}
    found = {}
    for name, colour in colours.items():
        students = [run for run in runs if families[run] == name and run != name]
        found[name] = f"s{colour} {'dashed' if students else 'solid'}"
        found |= {run: f"s{colour} {'dotted' if i else 'solid'}" for i, run in enumerate(students)}
    return {run: found[run] for run in runs}


def precision_recall(records: list[RunRecord], test_sets: list[str]) -> list[Figure]:
    """One figure a test set, every run that has a curve on it; blurred region positive."""
    chosen = styles(records)
    figures = []
    for test_set in test_sets:
        curves = [(record, record.curves[test_set]) for record in records if test_set in record.curves]
        lines = [Line(r.run, r.title, chosen[r.run], points[:, 0], points[:, 1]) for r, points in curves]
        if not lines:
            continue
        described = f"Precision over recall on {test_set}: {', '.join(line.name for line in lines)}"
        chart = line_chart(
            lines, described=described, x_label="Recall", y_label="Precision", x_range=(0, 1), y_range=y_range(lines)
        )
        figures.append(Figure(test_set, chart))
    return figures


def fig7_bars(records: list[RunRecord], test_sets: list[str]) -> list[Figure]:
    """One figure a test set: mean precision and recall at the threshold 0.5, and F-beta; blurred region positive."""
    chosen = styles(records)
    figures = []
    for test_set in test_sets:
        drawn = [record for record in records if len(record.curves.get(test_set, ())) == LEVELS]
        bars = [Bars(r.run, r.title, chosen[r.run], at_half(r, test_set)) for r in drawn]
        if bars:
            described = f"Precision, recall and F-beta on {test_set}: {', '.join(each.name for each in bars)}"
            figures.append(Figure(test_set, bar_chart(bars, BARS, described=described)))
    return figures


def at_half(record: RunRecord, test_set: str) -> tuple[float, ...]:
    """Precision and recall where a map says blurred with a probability of 0.5 or more, and F-beta of the set."""
    recall, precision = record.curves[test_set][LEVELS // 2]
    f_beta = record.value(test_set, "F_beta")
    return float(precision), float(recall), math.nan if f_beta is None else f_beta


def y_range(lines: list[Line]) -> tuple[float, float]:
    """From the lowest precision, rounded down to a tenth, to 1."""
    lowest = float(np.nanmin(np.concatenate([line.y for line in lines])))
    return min(0.9, math.floor(lowest * 10) / 10), 1.0


def stage_of(record: RunRecord) -> int:
    """1 or 2, from the run's card: 2, `stage2` and `distill_stage2` are stage 2."""
    return 2 if str(record.card.get("stage", 1)).endswith("2") else 1


def history_chart(records: list[RunRecord], column: str, chosen: dict[str, str], title: str) -> Figure:
    """One column of `history.csv` over the epochs, a line a run."""
    drawn = [record for record in records if column in record.history]
    lines = [Line(r.run, r.title, chosen[r.run], r.history["epoch"], r.history[column]) for r in drawn]
    epochs = np.concatenate([line.x for line in lines])
    described = f"{title} over epochs: {', '.join(line.name for line in lines)}"
    span = None if np.ptp(epochs) == 0 else (float(epochs.min()), float(epochs.max()))
    return Figure(
        title,
        line_chart(lines, described=described, x_label="Epoch", x_range=span, y_range=zero_based(lines)),
    )


def zero_based(lines: list[Line]) -> tuple[float, float] | None:
    """From 0 to a little above the largest value, or None where a value is negative or none is finite."""
    values: Column = np.concatenate([line.y for line in lines])
    finite = values[np.isfinite(values)]
    if not finite.size or finite.min() < 0 or finite.max() <= 0:
        return None
    return 0.0, float(finite.max()) * 1.04


def training_figures(records: list[RunRecord]) -> dict[int, list[Figure]]:
    """Stage -> a figure for each column of its runs' histories."""
    chosen = styles(records)
    figures: dict[int, list[Figure]] = {}
    for stage in (1, 2):
        trained = [record for record in records if record.history and stage_of(record) == stage]
        columns = [name for name in HISTORY_TITLES if any(name in record.history for record in trained)]
        charts = [history_chart(trained, name, chosen, HISTORY_TITLES[name]) for name in columns]
        if charts:
            figures[stage] = charts
    return figures
