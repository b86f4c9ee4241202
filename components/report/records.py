"""What the stages left of each run and of each method whose maps are published: scores, curves, history, card."""

from collections.abc import Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.common.availability import Gap, gap_of
from components.common.errors import InputError
from components.common.storage import read_json
from components.scoring.external_methods import INDEX, METHOD
from components.scoring.intervals import INTERVAL, Interval
from components.scoring.paper_tables import TEST_SETS, label

Column = NDArray[np.float64]
Summary = dict[str, dict[str, float | None]]

SEEDS = "seeds"
"""Folder among the scores for those of other seeds: `seeds/<seed>/<run>/summary.json`."""

SUMMARY_KEY = {"MAE": "mae", "F_beta": "f_beta", "F_beta_published": "f_beta_published", "IoU": "iou"}
"""Name of a metric and the key it has in `summary.json`. `F_beta` is taken at 0.5, `F_beta_published` as the published
code prints it."""


class Spread(NamedTuple):
    """Standard deviation of a score over so many seeds."""

    deviation: float
    seeds: int


@dataclass(frozen=True)
class RunRecord:
    """Everything the report shows of one run; empty where a stage has not left it.

    `summary`: test set -> key -> value, and intervals (see `interval`).
    `per_image`: test set -> image ids x keys; NaN where an image has none.
    `curves`: test set -> (256, 2) recall and precision, blurred region positive.
    `history`: column -> (epochs,).
    """

    run: str
    summary: Summary = field(default_factory=dict)
    per_image: dict[str, pd.DataFrame] = field(default_factory=dict)
    curves: dict[str, Column] = field(default_factory=dict)
    history: dict[str, Column] = field(default_factory=dict)
    card: dict[str, Any] = field(default_factory=dict)
    gap: Gap | None = None
    """Why it was not made or scored, where something it needs is not at hand."""
    name: str = ""
    """As it is shown, where that is not `label(run)`."""
    seeds: tuple[Summary, ...] = ()
    """`summary` of the same run trained with other seeds."""

    @property
    def title(self) -> str:
        """The name to show."""
        return self.name or label(self.run)

    def images(self, test_set: str) -> pd.DataFrame:
        """`per_image` of a test set; empty where there is none."""
        return self.per_image.get(test_set, pd.DataFrame(dtype=float))

    def values(self, test_set: str, metric: str) -> list[float]:
        """The score of every seed that has one, this run's own first."""
        found = [each.get(test_set, {}).get(SUMMARY_KEY[metric]) for each in (self.summary, *self.seeds)]
        return [value for value in found if value is not None]

    def value(self, test_set: str, metric: str) -> float | None:
        """The score of this run, mean over its seeds; None where this run itself has none."""
        if self.summary.get(test_set, {}).get(SUMMARY_KEY[metric]) is None:
            return None
        return float(np.mean(self.values(test_set, metric)))

    def interval(self, test_set: str, metric: str) -> Interval | None:
        """The 95 % interval over photographs of this run's own score (`scoring.intervals`); None without one."""
        found: Any = self.summary.get(test_set, {}).get(INTERVAL)
        return tuple(found[SUMMARY_KEY[metric]]) if found else None

    def spread(self, test_set: str, metric: str) -> Spread | None:
        """Standard deviation over seeds (n - 1), and how many; None unless there are two."""
        values = self.values(test_set, metric)
        return Spread(float(np.std(values, ddof=1)), len(values)) if len(values) > 1 else None


def read_table(path: Path, *columns: str) -> pd.DataFrame:
    """A CSV file that must have `columns`; without rows where there is no such file.

    Raises:
        InputError: a column is missing.
    """
    if not path.is_file():
        return pd.DataFrame(columns=columns)
    names: dict[str, Any] = {"test_set": str, "id": str}
    table = pd.read_csv(path, converters=names)
    if missing := [name for name in columns if name not in table]:
        raise InputError(
            f"{path}: column {missing[0]!r} is missing; found {', '.join(table)}; "
            "delete the file and run its stage again"
        )
    return table


def read_per_image(path: Path) -> dict[str, pd.DataFrame]:
    """`per_image.csv` as test set -> image ids x scores; NaN where a cell is empty."""
    table = read_table(path, "test_set", "id", "mae", "iou").set_index("id")
    return {name: rows.drop(columns="test_set") for name, rows in table.groupby("test_set", sort=False)}


def read_curves(path: Path) -> dict[str, Column]:
    """`curves.csv` as test set -> (thresholds, 2) recall and precision, in the order of the file."""
    table = read_table(path, "test_set", "threshold", "precision", "recall")
    return {name: rows[["recall", "precision"]].to_numpy() for name, rows in table.groupby("test_set", sort=False)}


def read_history(path: Path) -> dict[str, Column]:
    """The columns of `history.csv` that hold numbers only; none of a run that was not trained here."""
    table = read_table(path, "epoch").select_dtypes("number")
    return {name: column.to_numpy(np.float64) for name, column in table.items()}


def read_run(run: str, scores: Path, models: Path) -> RunRecord:
    """What `scores/<run>` and `models/<run>` hold; a file that is not there leaves its part empty."""
    summary, card_file = scores / run / "summary.json", models / run / "card.json"
    card: dict[str, Any] = read_json(card_file) if card_file.is_file() else {}
    stands_in = card.get("published") and "not_published" in card
    return RunRecord(
        run,
        summary=read_json(summary) if summary.is_file() else {},
        per_image=read_per_image(scores / run / "per_image.csv"),
        curves=read_curves(scores / run / "curves.csv"),
        history=read_history(models / run / "history.csv"),
        card=card,
        gap=gap_of(models / run) or gap_of(scores / run),
        name=f"{label(run)} (not the published file)" if stands_in else "",
        seeds=tuple(read_json(path) for path in sorted((scores / SEEDS).glob(f"*/{run}/summary.json"))),
    )


@dataclass(frozen=True)
class PublishedMaps:
    """A method whose maps are published: what is said of them, its scores, and what cannot be scored.

    `gaps`: test set -> why it has no score. `resized`, `surplus`: test set -> maps that were brought to their label's
    size, and maps of photographs that are not prepared; both only where there are any.
    """

    record: RunRecord
    row: str
    white: str
    resize: str
    source: str
    gaps: dict[str, Gap]
    resized: dict[str, int]
    surplus: dict[str, int]


def read_published_maps(external: Path) -> list[PublishedMaps]:
    """What stage `external` left in its folder; nothing where there is none."""
    if not (external / INDEX).is_file():
        return []
    return [read_maps_of(name, external) for name in read_json(external / INDEX)["methods"]]


def read_maps_of(name: str, external: Path) -> PublishedMaps:
    """One method's scores and what is said of its maps; its record's run is `external/<name>`."""
    facts = read_json(external / name / METHOD)
    sets: dict[str, dict[str, Any]] = facts["test_sets"]
    gaps = {test_set: Gap(**each["gap"]) for test_set, each in sets.items() if "gap" in each}
    resized, surplus = (
        {test_set: each[key] for test_set, each in sets.items() if each.get(key)} for key in ("resized", "surplus")
    )
    remedy = "make a folder of maps in it, named as the test set (data/external/README.md)"
    none = Gap(facts["method"], f"data/external/{name} has no folder of maps", remedy)
    scored = read_run(name, external, external / "no models")
    gap = None if scored.summary else next(iter(gaps.values()), none)
    record = replace(scored, run=f"external/{name}", name=facts["method"], gap=gap)
    return PublishedMaps(record, facts["row"], facts["white"], facts["resize"], facts["source"], gaps, resized, surplus)


def scored_test_sets(records: list[RunRecord]) -> list[str]:
    """Test sets that any run is scored on."""
    return in_order({test_set for record in records for test_set in record.summary})


def in_order(test_sets: Set[str]) -> list[str]:
    """Test sets: the paper's in its order, then others by name."""
    return [name for name in TEST_SETS if name in test_sets] + sorted(test_sets - set(TEST_SETS))
