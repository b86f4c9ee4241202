"""Where the published code departs from the paper, and what this run chose."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class Departure:
    """One point: what the paper says, what the published code does, what this run does."""

    point: str
    paper: str
    code: str
    choice: str


def departures_table(
    chosen: Mapping[str, Any] | Sequence[Mapping[str, Any]], cards: Mapping[str, Mapping[str, Any]] | None = None
) -> list[Departure]:
    """The points of `departures.csv` with this run's choices.

    Args:
        chosen: point -> choice; points that the file does not know come last. Or finished rows with the keys
            `point`, `paper`, `code`, `choice`.
        cards: run -> its card; they say what no parameter decides.
    """
    if not isinstance(chosen, Mapping):
        return [Departure(*(str(row.get(key, "")) for key in ("point", "paper", "code", "choice"))) for row in chosen]
    chosen = {**chosen, **teachers_of(cards or {})}
    table = pd.read_csv(Path(__file__).parent / "departures.csv", dtype=str, keep_default_na=False, index_col="key")
    known = [
        Departure(line.point, line.paper, line.code, readable(chosen.get(line.Index, line.always or "not recorded")))
        for line in table.itertuples()
    ]
    more = [
        Departure(readable(key), "", "", readable(value)) for key, value in chosen.items() if key not in table.index
    ]
    return known + more


def teachers_of(cards: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """What the cards say of teachers: {"teacher_views": "cached, 4 views of an image: d_dffnet, d_pdnet"}, or {}."""
    runs: dict[str, list[str]] = {}
    for run, card in cards.items():
        if "teachers" in card:
            runs.setdefault(str(card["teachers"]), []).append(run)
    said = "; ".join(f"{how}: {', '.join(names)}" for how, names in runs.items())
    return {"teacher_views": said} if said else {}


def readable(value: object) -> str:
    """A parameter's value in words: `published_code` -> `as the published code`."""
    words = {"paper": "as the paper", "published_code": "as the published code"}
    return words.get(str(value), str(value).replace("_", " "))
