"""All scores and curves of a reproduction in the few files that `dvc metrics`, `dvc plots` and `dvc exp show` read.

DVC takes no pattern for metrics and plots, and a run that is not available has no scores; so they are gathered here.
In the folder: `metrics/<run>.json`, test set -> metric; `curves/<run>/<test set>.csv`, precision and recall at 256
thresholds, blurred region positive; `history/<run>.csv`, the epochs of a run that was trained here.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from components.common.storage import atomic_dir, read_json, write_json
from components.params import EXTERNAL
from components.scoring.intervals import INTERVAL

Summary = Mapping[str, Mapping[str, float]]
"""Test set -> metric -> value."""
METRICS, CURVES, HISTORY = "metrics", "curves", "history"


def find_summaries(scores: Path, runs: Sequence[str]) -> dict[str, Summary]:
    """The scores of every run and method that has some; published maps are `external/<method>`.

    Args:
        scores: folder with `<run>/summary.json`, and `external/<method>/summary.json`.
        runs: names, in the order of the result. How many images a test set has is no score, and an
            interval of a score is none of its own.
    """
    published = sorted(path.parent.name for path in (scores / EXTERNAL).glob("*/summary.json"))
    named = [*runs, *(f"{EXTERNAL}/{method}" for method in published)]
    found = {name: scores / name / "summary.json" for name in named}
    return {name: without_counts(read_json(path)) for name, path in found.items() if path.exists()}


def without_counts(summary: Summary) -> Summary:
    return {
        test_set: {metric: value for metric, value in values.items() if metric not in ("images", INTERVAL)}
        for test_set, values in summary.items()
    }


def write_summaries(out: Path, summaries: Mapping[str, Summary], scores: Path, models: Path) -> None:
    """Write the folder `out`, whole or not at all.

    Args:
        out: folder to make; an old one is replaced.
        summaries: from `find_summaries`.
        scores: folder with `<run>/curves.csv`.
        models: folder with `<run>/history.csv`; runs without epochs get no file.
    """
    with atomic_dir(out) as folder:
        for name in (METRICS, CURVES, HISTORY):
            (folder / name).mkdir()
        for run, summary in summaries.items():
            write_json(folder / METRICS / f"{run}.json", summary)
            for test_set, points in text_of(scores / run / "curves.csv", "test_set").groupby("test_set", sort=False):
                write(folder / CURVES / run / f"{test_set}.csv", points.drop(columns="test_set"))
            if len(history := text_of(models / run / "history.csv")):
                write(folder / HISTORY / f"{run}.csv", history)


def text_of(path: Path, *columns: str) -> pd.DataFrame:
    """A CSV file, its cells as they stand; without rows and with `columns` if there is no such file."""
    return pd.read_csv(path, dtype=str, keep_default_na=False) if path.exists() else pd.DataFrame(columns=columns)


def write(path: Path, table: pd.DataFrame) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False, lineterminator="\n")
