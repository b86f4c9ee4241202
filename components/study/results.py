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
FACTS = ("minutes", "values", "depth_teacher", "commit", "machine")
"""Of a run, as words. values: `values_of` its folder; depth_teacher: the first digits of its weights' hash, which are
others as soon as photographs, depth maps, encoder or a machine's arithmetic are."""
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
        told = (f"{minutes:.1f}", values_of(folder), card["depth_teacher"][:8], card["commit"], card["machine"])
        facts[run] = dict(zip(FACTS, told, strict=True))
    return Results(photographs, runs, facts)


def values_of(folder: Path) -> str:
    """Of a run's folder: the hash of the values and inputs that it was made with (`Places.run`)."""
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
    """All runs of both, which are of the same photographs, and of which those that both have are the same."""
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
    photographs, means = tables(results, runs)
    write_whole(folder / PHOTOGRAPHS, gzip.compress(photographs, mtime=0))
    write_whole(folder / RUNS, means)


def tables(results: Results, runs: Sequence[Run]) -> tuple[bytes, bytes]:
    """What the two files have of some runs; the means are those of the figures as they are written."""
    lines, means = [], []
    for run in runs:
        its = run_lines(run, results)
        lines += its
        columns = [np.array([float(line[COLUMNS.index(name)]) for line in its]) for name in ("mae", "f_beta", "iou")]
        facts = results.facts[run]
        means.append([*map(str, run), *(f"{each.mean():.6f}" for each in columns), *(facts[name] for name in FACTS)])
    return table(COLUMNS, lines), table(RUN_COLUMNS, means)


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
                reader = csv.DictReader(file)
                verdicts = {line["claim"]: line["verdict"] for line in reader}
            if not {"claim", "verdict"} <= set(reader.fieldnames or ()) or None in verdicts.values():
                raise ValueError("no table of claims and verdicts")
            found |= {f"{claim} ({path.parent.name})": verdict for claim, verdict in verdicts.items()}
        except (KeyError, ValueError, csv.Error) as error:
            raise InputError(f"{path}: damaged ({error!r}); `dbdflow study --page` writes it anew") from error
    return found


def read_results(folder: Path) -> Results:
    """What `write_results` wrote.

    Raises:
        InputError: it is not there, or not as it was written.
    """
    if not folder.exists():
        raise InputError(f"{folder}: no results of the study; `dbdflow study` makes them")
    try:
        text, told = gzip.decompress((folder / PHOTOGRAPHS).read_bytes()), (folder / RUNS).read_bytes()
        found = parsed(text, told)
        if tables(found, list(found.runs)) != (text, told):
            raise ValueError("not as `dbdflow study --page` writes them")
    except (OSError, EOFError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise InputError(
            f"{folder}: {PHOTOGRAPHS} or {RUNS} is damaged ({' '.join(str(error).split())[:80]}); "
            f"`git checkout {folder}` brings them back"
        ) from error
    return found


def parsed(photographs: bytes, means: bytes) -> Results:
    """The results that the two files have; of a damaged one whatever error comes."""
    lines = list(csv.DictReader(io.StringIO(photographs.decode())))
    by_run: dict[Run, list[dict[str, str]]] = {}
    for line in lines:
        by_run.setdefault((line["row"], int(line["seed"])), []).append(line)
    runs = {run: {name: column(its, name) for name in MEASURES} for run, its in by_run.items()}
    facts = {}
    for each in csv.DictReader(io.StringIO(means.decode())):
        float(each["minutes"])
        facts[each["row"], int(each["seed"])] = {key: each[key] for key in FACTS}
    return Results([line["photograph"] for line in next(iter(by_run.values()), [])], runs, facts)
