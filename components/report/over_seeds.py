"""A sweep's tables: mean and spread over seeds, and what the other values change.

A setting is a combination of all swept values but `seed`. Scores of its seeds give mean and standard deviation
(n - 1). Two settings are compared seed by seed on the images that both are scored on; the 95% interval of the change
of an image's MAE comes from drawing seeds and images with replacement, so that it holds for other seeds and other
images of the kind. MAE: lower is better; F-beta and IoU (blurred region positive): higher is better.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.common.storage import atomic_path
from components.report.records import RunRecord, in_order, read_run
from components.scoring.intervals import RESAMPLES

METRICS = {"mae": "MAE", "f_beta": "Fβ", "iou": "IoU"}
"""Key in `summary.json` -> as it is shown."""
SEED = "seed"
SCORE = ["run", "setting", "test_set", "metric"]
"""What a number is of; `setting` counts from 0."""
CHANGES = (
    "## Changes against the first setting",
    "",
    "Seed by seed. In brackets the 95% interval of the MAE's change, seeds and images drawn anew; bold where it leaves "
    "zero out. With many cells some are bold by chance.",
    "",
)


@dataclass(frozen=True)
class Sample:
    """One point of a sweep: its values, and the folder with `<run>/summary.json` and `per_image.csv`."""

    values: Mapping[str, Any]
    scores: Path

    @cached_property
    def records(self) -> dict[str, RunRecord]:
        """Run -> its scores; only what was scored."""
        names = sorted(path.parent.name for path in self.scores.glob("*/summary.json"))
        return {name: read_run(name, self.scores, self.scores / "no models") for name in names}


def settings(samples: Sequence[Sample]) -> list[tuple[dict[str, Any], dict[Any, Sample]]]:
    """Each setting with its samples by seed (None where seeds were not swept), in the order of the samples."""
    found: list[tuple[dict[str, Any], dict[Any, Sample]]] = []
    for sample in samples:
        setting = {key: value for key, value in sample.values.items() if key != SEED}
        seeds = next((seeds for known, seeds in found if known == setting), None)
        if seeds is None:
            found.append((setting, seeds := {}))
        seeds[sample.values.get(SEED)] = sample
    return found


def scores(samples: Sequence[Sample]) -> pd.DataFrame:
    """Every score, a row a `SCORE` in the order of the tables, a column a seed; NaN where a seed lacks it."""
    found = {
        (run, i, test_set, metric, seed): summary[metric]
        for i, (_, seeds) in enumerate(settings(samples))
        for seed, sample in seeds.items()
        for run, record in sample.records.items()
        for test_set, summary in record.summary.items()
        for metric in METRICS
        if summary.get(metric) is not None
    }
    table = pd.Series(found, dtype=float).rename_axis([*SCORE, SEED]).unstack(SEED, sort=False)
    runs = [*dict.fromkeys(name for sample in samples for name in sample.records)]
    order = {"run": runs, "test_set": in_order({*table.index.unique("test_set")}), "metric": [*METRICS]}
    return table.sort_index(key=lambda level: level.map(order[level.name].index) if level.name in order else level)


def lines(samples: Sequence[Sample]) -> pd.DataFrame:
    """Every number of the sweep, run by run, by `SCORE`; a score that some seed lacks is left out.

    Columns: seeds, mean, std; and of settings but the first change, change_std, low and high (of the MAE), NaN else.
    """
    table, groups = scores(samples), settings(samples)
    first = table[table.index.get_level_values("setting") == 0].droplevel("setting")
    changes = table - first.reindex(table.index.droplevel("setting")).to_numpy()
    changes = changes[changes.index.get_level_values("setting") > 0]
    ends = {
        (run, i, test_set, metric): interval_of_mean(differences)
        for run, i, test_set, metric in changes.dropna(how="all").index
        if metric == "mae" and (differences := per_image(groups[0][1], groups[i][1], run, test_set)) is not None
    }
    found = table.agg(["count", "mean", "std"], axis=1).set_axis(["seeds", "mean", "std"], axis=1)
    found = found.join(changes.agg(["mean", "std"], axis=1).set_axis(["change", "change_std"], axis=1))
    found[["low", "high"]] = pd.DataFrame.from_dict(ends, "index", columns=["low", "high"]).reindex(found.index)
    whole = found.index.get_level_values("setting").map(lambda i: len(groups[i][1]))
    return found[found["seeds"] == whole].astype({"seeds": int})


def per_image(
    before: Mapping[Any, Sample], after: Mapping[Any, Sample], run: str, test_set: str
) -> NDArray[np.float64] | None:
    """(seeds, images): the change of each image's MAE, images that every sample is scored on; None without any."""
    sides = [
        [each[seed].records.get(run, RunRecord(run)) for each in (before, after)] for seed in after if seed in before
    ]
    errors = [[each.images(test_set).reindex(columns=["mae"])["mae"] for each in pair] for pair in sides]
    changes = pd.concat([new - old for old, new in errors], axis=1).dropna().sort_index()
    return changes.to_numpy().T if len(changes) else None


def interval_of_mean(differences: NDArray[np.float64], seed: int = 0) -> tuple[float, float]:
    """95% percentile interval of the mean, seeds and images drawn with replacement `RESAMPLES` times.

    Args:
        differences: (seeds, images), at least one of each.
        seed: of the draws.
    """
    random = np.random.default_rng(seed)
    weights = [random.multinomial(n, np.full(n, 1 / n), RESAMPLES) / n for n in differences.shape]
    means = ((weights[0] @ differences) * weights[1]).sum(axis=1)
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)


def tables(samples: Sequence[Sample], out: Path, title: str) -> Path:
    """Write `table.csv` (a line a number, full precision) and `table.md` into `out`; the path of the latter."""
    found = lines(samples)
    chosen = [setting for setting, _ in settings(samples)]
    keys = pd.DataFrame([chosen[i] for i in found.index.get_level_values("setting")], dtype=object)
    whole = pd.concat([keys, found.reset_index().drop(columns="setting")], axis=1)
    with atomic_path(out / "table.csv") as path:
        whole.to_csv(path, index=False, lineterminator="\n")
    with atomic_path(out / "table.md") as path:
        path.write_text("\n".join(markdown(found, chosen, title, len(samples))) + "\n", encoding="utf-8")
    return out / "table.md"


def markdown(found: pd.DataFrame, chosen: Sequence[Mapping[str, Any]], title: str, points: int) -> Iterator[str]:
    """The tables for a person; `chosen`: the settings."""
    names = [", ".join(f"{key}={value}" for key, value in each.items()) or "as it is" for each in chosen]
    yield from (
        f"# {title}",
        "",
        f"{points} points. Mean ± standard deviation over seeds. Fβ and IoU: blurred region positive.",
    )
    yield from ("", "## Scores", "", *table(found.apply(score_told, axis=1), names))
    changed = found.dropna(subset="change")
    if len(changed):
        yield from ("", *CHANGES, *table(changed.apply(change_told, axis=1), names))


def table(cells: pd.Series, names: Sequence[str]) -> Iterator[str]:
    """A row a run, metric and setting (by its name); a column a test set."""
    wide = cells.unstack("test_set", sort=False).fillna("–")
    rows = [(run, METRICS[metric], setting, *texts) for (run, setting, metric), *texts in wide.itertuples()]
    yield f"| run | metric | setting | {' | '.join(wide.columns)} |"
    yield "|---|---|---|" + "---|" * len(wide.columns)
    for run, metric, setting, *texts in sorted(rows, key=lambda row: row[:2]):
        yield f"| {' | '.join([run, metric, names[setting], *texts])} |"


def spread(mean: float, std: float, sign: str) -> str:
    """`0.123 ± 0.004`.

    >>> spread(0.1234, float("nan"), "+")
    '+0.123'
    """
    return f"{mean:{sign}.3f}" + ("" if np.isnan(std) else f" ± {std:.3f}")


def score_told(line: pd.Series) -> str:
    """A score in one cell."""
    return spread(line["mean"], line["std"], "")


def change_told(line: pd.Series) -> str:
    """A change in one cell."""
    text = spread(line["change"], line["change_std"], "+")
    if np.isnan(line["low"]):
        return text
    text = f"{text} [{line['low']:+.3f}, {line['high']:+.3f}]"
    return text if line["low"] <= 0 <= line["high"] else f"**{text}**"
