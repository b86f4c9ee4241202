"""What `prepare` found in each set (`validation.json`), in words; a key that is not there leaves its cell empty."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.availability import gap_of
from components.data.catalog import SETS
from components.data.test_sets import is_rendered
from components.storage import read_json

Report = Mapping[str, Any]
Words = Callable[[Report], str]


@dataclass(frozen=True)
class PreparedFacts:
    """One set: its name, whether it is rendered, and what `FACTS` says of it, in that order."""

    name: str
    rendered: bool
    cells: tuple[str, ...]


def pairs(report: Report) -> str:
    """Pairs found and expected, part by part."""
    parts: dict[str, dict[str, int]] = report.get("pairs", {})
    alone = len(parts) == 1
    return "; ".join(
        f"{'' if alone else part + ' '}{counts['found']} of {counts['expected']}" for part, counts in parts.items()
    )


def span(report: Report, key: str) -> str:
    """Smallest, median and largest of a side in pixels."""
    side = report.get(key, {})
    if not side:
        return ""
    if side["min"] == side["max"]:
        return f"{side['min']:g}"
    return f"{side['min']:g} to {side['max']:g}, median {side['median']:g}"


def focus(report: Report) -> str:
    """How much of the labels is in focus, in per cent."""
    spread = report.get("in_focus", {})
    if not spread:
        return ""
    return f"mean {spread['mean']:.1%}, {spread['min']:.1%} to {spread['max']:.1%}"


def greys(report: Report) -> str:
    """How far the labels were from black and white."""
    found = report.get("not_binary", {})
    if not found:
        return ""
    return f"{found['labels']} labels, at most {found['max']:.2%} of one" if found["labels"] else "none"


FACTS: dict[str, Words] = {
    "Pairs of photograph and label": pairs,
    "Width in pixels": lambda report: span(report, "width"),
    "Height in pixels": lambda report: span(report, "height"),
    "In focus": focus,
    "Pixels neither black nor white": greys,
    "White in the archive’s labels": lambda report: str(report.get("white_in_archive", "")).replace("_", " "),
}


def prepared_facts(prepared: Path) -> list[PreparedFacts]:
    """The sets that are prepared, in the order of the catalogue."""
    found = []
    for name in SETS:
        folder = prepared / name
        if (folder / "validation.json").is_file() and not gap_of(folder):
            report = read_json(folder / "validation.json")
            cells = tuple(words(report) for words in FACTS.values())
            found.append(PreparedFacts(name, is_rendered(folder), cells))
    return found
