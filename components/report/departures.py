"""Where the published code departs from the paper, and what this run chose."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Departure:
    """One point: what the paper says, what the published code does, what this run does."""

    point: str
    paper: str
    code: str
    choice: str


def departures_table(chosen: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> list[Departure]:
    """The points of `departures.csv` with this run's choices.

    Args:
        chosen: point -> choice; points that the file does not know come last. Or finished rows with the keys
            `point`, `paper`, `code`, `choice`.
    """
    if not isinstance(chosen, Mapping):
        return [Departure(*(str(row.get(key, "")) for key in ("point", "paper", "code", "choice"))) for row in chosen]
    with (Path(__file__).parent / "departures.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    known = [
        Departure(
            line["point"],
            line["paper"],
            line["code"],
            readable(chosen.get(line["key"], line["always"] or "not recorded")),
        )
        for line in lines
    ]
    keys = {line["key"] for line in lines}
    return known + [
        Departure(readable(key), "", "", readable(value)) for key, value in chosen.items() if key not in keys
    ]


def readable(value: object) -> str:
    """A parameter's value in words: `published_code` -> `as the published code`."""
    words = {"paper": "as the paper", "published_code": "as the published code"}
    return words.get(str(value), str(value).replace("_", " "))
