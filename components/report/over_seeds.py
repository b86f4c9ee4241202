"""A sweep's tables: mean and spread over seeds, and what the other values change.

A setting is a combination of all swept values but `seed`. Scores of its seeds give mean and standard deviation
(n - 1). Two settings are compared seed by seed on the images that both are scored on; the 95% interval of the change
of an image's MAE comes from drawing seeds and images with replacement, so that it holds for other seeds and other
images of the kind. MAE: lower is better; F-beta and IoU (blurred region positive): higher is better.
"""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.common.storage import atomic_path
from components.report.records import RunRecord, read_run, scored_test_sets
from components.scoring.intervals import RESAMPLES

METRICS = {"mae": "MAE", "f_beta": "Fβ", "iou": "IoU"}
"""Key in `summary.json` -> as it is shown."""
SEED = "seed"
COLUMNS = ("run", "test_set", "metric", "seeds", "mean", "std", "change", "change_std", "low", "high")


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


@dataclass(frozen=True)
class Change:
    """A setting less the first one: mean and standard deviation over seeds, and the 95% interval of the MAE's."""

    mean: float
    std: float | None
    interval: tuple[float, float] | None = None

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.interval is not None and not self.interval[0] <= 0 <= self.interval[1]


@dataclass(frozen=True)
class Line:
    """A metric of a run at one setting on one test set: one value a seed, in the order of the seeds."""

    setting: Mapping[str, Any]
    run: str
    test_set: str
    metric: str
    values: tuple[float, ...]
    change: Change | None

    @property
    def mean(self) -> float:
        return float(np.mean(self.values))

    @property
    def std(self) -> float | None:
        """Standard deviation over seeds; None of one seed."""
        return deviation(self.values)


def deviation(values: Sequence[float]) -> float | None:
    """Sample standard deviation (n - 1); None of one value."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


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


def lines(samples: Sequence[Sample]) -> Iterator[Line]:
    """Every number of the sweep, run by run; a score that some seed lacks is left out."""
    groups = settings(samples)
    first = groups[0][1]
    for run in dict.fromkeys(name for sample in samples for name in sample.records):
        records = [sample.records[run] for sample in samples if run in sample.records]
        for setting, seeds in groups:
            for test_set in scored_test_sets(records):
                for metric in METRICS:
                    values = [score(sample, run, test_set, metric) for sample in seeds.values()]
                    known = [value for value in values if value is not None]
                    if known and len(known) == len(values):
                        change = None if seeds is first else compare(first, seeds, run, test_set, metric)
                        yield Line(setting, run, test_set, metric, tuple(known), change)


def score(sample: Sample, run: str, test_set: str, metric: str) -> float | None:
    """A number of `summary.json`; None where there is none."""
    record = sample.records.get(run)
    return None if record is None else record.summary.get(test_set, {}).get(metric)


def compare(
    before: Mapping[Any, Sample], after: Mapping[Any, Sample], run: str, test_set: str, metric: str
) -> Change | None:
    """`after` less `before`, seed by seed; None where no seed has both."""
    pairs = [(before[seed], after[seed]) for seed in after if seed in before]
    scores = [(score(one, run, test_set, metric), score(other, run, test_set, metric)) for one, other in pairs]
    changes = [new - old for old, new in scores if old is not None and new is not None]
    if not changes:
        return None
    interval = None
    if metric == "mae" and (differences := per_image(pairs, run, test_set)) is not None:
        interval = interval_of_mean(differences)
    return Change(float(np.mean(changes)), deviation(changes), interval)


def per_image(pairs: Sequence[tuple[Sample, Sample]], run: str, test_set: str) -> NDArray[np.float64] | None:
    """(seeds, images): the change of each image's MAE, images that every sample is scored on; None without any."""
    held = [[each.records[run].per_image.get(test_set, {}) for each in pair if run in each.records] for pair in pairs]
    scored = [images for pair in held for images in pair]
    shared = sorted(set.intersection(*(set(images) for images in scored))) if len(scored) == 2 * len(pairs) else []
    if not shared:
        return None
    return np.array([[new[image]["mae"] - old[image]["mae"] for image in shared] for old, new in held])


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
    found = list(lines(samples))
    keys = [key for key in samples[0].values if key != SEED]
    with atomic_path(out / "table.csv") as path, path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*keys, *COLUMNS])
        writer.writerows(csv_row(line, keys) for line in found)
    with atomic_path(out / "table.md") as path:
        path.write_text(markdown(found, title, len(samples)), encoding="utf-8")
    return out / "table.md"


def csv_row(line: Line, keys: Sequence[str]) -> list[Any]:
    """A line's cells, empty where there is no number."""
    change = line.change or Change(float("nan"), None)
    low, high = change.interval or (None, None)
    moved = [change.mean, change.std, low, high] if line.change else [None] * 4
    row = [line.run, line.test_set, line.metric, len(line.values), line.mean, line.std, *moved]
    return [*(line.setting[key] for key in keys), *("" if cell is None else cell for cell in row)]


def markdown(found: Sequence[Line], title: str, points: int) -> str:
    """The tables for a person."""
    tests = list(dict.fromkeys(line.test_set for line in found))
    head = [
        f"# {title}",
        "",
        f"{points} points. Mean ± standard deviation over seeds. Fβ and IoU: blurred region positive.",
        "",
        "## Scores",
        "",
        *table(found, tests, lambda line: spread(line.mean, line.std, "")),
    ]
    changed = [line for line in found if line.change is not None]
    if not changed:
        return "\n".join(head) + "\n"
    return "\n".join(
        [
            *head,
            "",
            "## Changes against the first setting",
            "",
            "Seed by seed. In brackets the 95% interval of the MAE's change, seeds and images drawn anew; bold where "
            "it leaves zero out. With many cells some are bold by chance.",
            "",
            *table(changed, tests, lambda line: change_told(line.change)),
            "",
        ]
    )


def table(found: Sequence[Line], tests: Sequence[str], cell: Callable[[Line], str]) -> list[str]:
    """A row a setting, run and metric; a column a test set."""
    rows: dict[tuple[str, str, str], dict[str, str]] = {}
    for line in found:
        setting = ", ".join(f"{key}={value}" for key, value in line.setting.items()) or "as it is"
        rows.setdefault((line.run, METRICS[line.metric], setting), {})[line.test_set] = cell(line)
    text = [f"| run | metric | setting | {' | '.join(tests)} |", "|---|---|---|" + "---|" * len(tests)]
    for names, cells in sorted(rows.items(), key=lambda row: row[0][:2]):
        text.append(f"| {' | '.join(names)} | {' | '.join(cells.get(test, '–') for test in tests)} |")
    return text


def spread(mean: float, std: float | None, sign: str) -> str:
    """`0.123 ± 0.004`.

    >>> spread(0.1234, None, "+")
    '+0.123'
    """
    return f"{mean:{sign}.3f}" + ("" if std is None else f" ± {std:.3f}")


def change_told(change: Change | None) -> str:
    """A change in one cell."""
    assert change is not None
    text = spread(change.mean, change.std, "+")
    if change.interval is None:
        return text
    text = f"{text} [{change.interval[0]:+.3f}, {change.interval[1]:+.3f}]"
    return f"**{text}**" if change.is_clear else text
