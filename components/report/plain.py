"""The report's numbers as plain files, one way for all runs: what `dvc metrics diff` and `dvc plots diff` read."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from components.report.records import Column, RunRecord
from components.storage import write_json

METRICS = "metrics.json"
"""Run -> test set -> metric -> value, and the number of images."""
CURVES = "precision_recall"
"""Folder: a folder a test set, in it a file a run: threshold, recall, precision; blurred region positive."""
TRAINING = "training"
"""Folder: a file a run: epoch and loss."""


def write_plain(folder: Path, records: Iterable[RunRecord]) -> None:
    """Write the scores, curves and losses of every run into the report's folder."""
    listed = list(records)
    scores = {
        record.run: {
            test: {key: value for key, value in values.items() if value is not None}
            for test, values in record.summary.items()
        }
        for record in listed
        if record.summary
    }
    write_json(folder / METRICS, scores)
    for record in listed:
        for test, points in record.curves.items():
            rows = [[threshold, *point] for threshold, point in enumerate(points.tolist())]
            write_rows(folder / CURVES / test / f"{record.run}.csv", ("threshold", "recall", "precision"), rows)
        if "loss" in record.history:
            rows = [list(pair) for pair in zip(*columns(record, ("epoch", "loss")), strict=True)]
            write_rows(folder / TRAINING / f"{record.run}.csv", ("epoch", "loss"), rows)


def columns(record: RunRecord, names: Sequence[str]) -> list[list[float]]:
    """Columns of a run's history."""
    found: list[Column] = [record.history[name] for name in names]
    return [column.tolist() for column in found]


def write_rows(path: Path, header: Sequence[str], rows: Sequence[Sequence[float]]) -> None:
    """A CSV file with a header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
