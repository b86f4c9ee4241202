"""What the runs came to: a line a row, seed and photograph, and a line a run, as files that a stranger can read."""

import csv
import gzip
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.common.errors import InputError
from components.common.storage import read_json, write_whole
from components.study.design import SCORES

MEASURES = {
    "mae": "mae",
    "f_beta": "f_beta_published",
    "iou": "iou",
    "mae_homogeneous_in_focus": "mae_homogeneous_in_focus",
    "mae_textured": "mae_textured",
}
"""Columns here, and in a run's `per_image.csv`."""
COLUMNS = ("row", "seed", "photograph", *MEASURES)
FACTS = ("minutes", "values", "commit", "machine")
"""Of a run, as words; `values` are `values_of` its folder."""
RUN_COLUMNS = ("row", "seed", "mae", "f_beta", "iou", *FACTS)
PHOTOGRAPHS, RUNS, VERDICTS = "photographs.csv.gz", "runs.csv", "verdicts.csv"

Run = tuple[str, int]


@dataclass(frozen=True)
class Results:
    """Scores of all runs.

    Attributes:
        photographs: ids, P of them.
        runs: of a row and a seed, each of `MEASURES` as float64 (P,); NaN where a photograph has no such region.
        facts: of a row and a seed: `FACTS`.
    """

    photographs: Sequence[str]
    runs: Mapping[Run, Mapping[str, NDArray[np.float64]]]
    facts: Mapping[Run, Mapping[str, str]]

    def seeds(self, *rows: str) -> list[int]:
        """Those that all of the rows have."""
        return sorted(set.intersection(*({seed for name, seed in self.runs if name == row} for row in rows)))

    def stack(self, row: str, measure: str, seeds: Sequence[int]) -> NDArray[np.float64]:
        """Of a row: (S, P)."""
        return np.stack([self.runs[row, seed][measure] for seed in seeds])


def read_runs(folders: Mapping[Run, Path]) -> Results:
    """Of the folders of runs, those that are done."""
    runs: dict[Run, dict[str, NDArray[np.float64]]] = {}
    facts: dict[Run, dict[str, str]] = {}
    photographs: list[str] = []
    for run, folder in folders.items():
        if not (folder / SCORES).exists():
            continue
        with (folder / SCORES / "per_image.csv").open(newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file))
        photographs = [line["id"] for line in lines]
        runs[run] = {name: column(lines, theirs) for name, theirs in MEASURES.items()}
        card: dict[str, Any] = read_json(folder / "model" / "card.json")
        minutes = sum(read_json(folder / "time.json")["seconds"]) / 60
        told = (f"{minutes:.1f}", values_of(folder), card["commit"], card["machine"])
        facts[run] = dict(zip(FACTS, told, strict=True))
    return Results(photographs, runs, facts)


def values_of(folder: Path) -> str:
    """Of a run's folder: the hash of all that it was made with (`Places.run`)."""
    return folder.name.rpartition("-")[2]


def column(lines: Sequence[Mapping[str, str]], name: str) -> NDArray[np.float64]:
    """Numbers of a table; NaN where a cell is empty."""
    return np.array([float(line[name]) if line[name] else math.nan for line in lines])


def compared(kept: Results, found: Results) -> tuple[list[Run], list[Run]]:
    """The runs that both have: those with the same figures to the digit that is written, and the others."""
    both = [run for run in found.runs if run in kept.runs]
    same = [run for run in both if run_lines(run, kept) == run_lines(run, found)]
    return same, [run for run in both if run not in same]


def joined(kept: Results, found: Results) -> Results:
    """All runs of both, which are of the same photographs; of a run that both have, what was found."""
    return Results(found.photographs, {**kept.runs, **found.runs}, {**kept.facts, **found.facts})


def run_lines(run: Run, results: Results) -> list[list[str]]:
    """A run's lines of `photographs.csv.gz`."""
    scores = [results.runs[run][name] for name in MEASURES]
    return [
        [run[0], str(run[1]), photograph, *("" if math.isnan(value) else f"{value:.6f}" for value in values)]
        for photograph, *values in zip(results.photographs, *scores, strict=True)
    ]


def write_results(folder: Path, results: Results, order: Sequence[Run]) -> None:
    """Write `photographs.csv.gz` and `runs.csv` of the runs of `order` that are there: same results, same bytes."""
    runs = [run for run in order if run in results.runs]
    lines = [line for run in runs for line in run_lines(run, results)]
    write_whole(folder / PHOTOGRAPHS, gzip.compress(table(COLUMNS, lines), mtime=0))
    means = []
    for run in runs:
        scores, facts = results.runs[run], results.facts[run]
        three = [f"{scores[name].mean():.6f}" for name in ("mae", "f_beta", "iou")]
        means.append([*map(str, run), *three, *(facts[name] for name in FACTS)])
    write_whole(folder / RUNS, table(RUN_COLUMNS, means))


def table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> bytes:
    """CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(lines)
    return text.getvalue().encode()


def read_verdicts(folder: Path) -> dict[str, str]:
    """Claim and scale -> verdict, of every `verdicts.csv` below a folder; empty where there is none.

    Raises:
        InputError: one is damaged.
    """
    found: dict[str, str] = {}
    for path in sorted(folder.glob(f"*/{VERDICTS}")):
        try:
            with path.open(newline="", encoding="utf-8") as file:
                found |= {f"{line['claim']} ({path.parent.name})": line["verdict"] for line in csv.DictReader(file)}
        except (KeyError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: damaged ({error!r}); `dbdflow study --page` writes it anew") from error
    return found


def read_results(folder: Path) -> Results:
    """What `write_results` wrote.

    Raises:
        InputError: it is not there, or damaged.
    """
    try:
        text = gzip.decompress((folder / PHOTOGRAPHS).read_bytes()).decode()
        lines = list(csv.DictReader(io.StringIO(text)))
        facts = list(csv.DictReader(io.StringIO((folder / RUNS).read_text(encoding="utf-8"))))
        by_run: dict[Run, list[dict[str, str]]] = {}
        for line in lines:
            by_run.setdefault((line["row"], int(line["seed"])), []).append(line)
        photographs = [line["photograph"] for line in next(iter(by_run.values()), [])]
        runs = {run: {name: column(its, name) for name in MEASURES} for run, its in by_run.items()}
        told = {(each["row"], int(each["seed"])): {key: each[key] for key in FACTS} for each in facts}
        if told.keys() != runs.keys():
            raise ValueError(f"{PHOTOGRAPHS} and {RUNS} are not of the same runs")
    except (OSError, EOFError, KeyError, ValueError, gzip.BadGzipFile) as error:
        raise InputError(f"{folder}: no results of the study ({error!r}); `dbdflow study` writes them") from error
    return Results(photographs, runs, told)
