"""The prepared sets: what `prepare` found in each (`validation.json`), in words, Table VII, and near-duplicates.

A key that is not in `validation.json` leaves its cell empty.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.common.storage import read_json
from components.datasets.prepared import PreparedSet
from components.prepare.near_duplicates import CrossDuplicate, cross_duplicates
from components.report.charts import histogram

Report = Mapping[str, Any]
Words = Callable[[Report], str]
NAMED = 3
"""Photographs or labels that a cell names; of more it says how many."""


@dataclass(frozen=True)
class PreparedFacts:
    """One set: its name, whether it is rendered, what `FACTS` says of it, in that order, and its histogram as SVG."""

    name: str
    rendered: bool
    cells: tuple[str, ...]
    histogram: str


def pairs(report: Report) -> str:
    """Pairs found and expected, part by part."""
    parts: dict[str, dict[str, int]] = report.get("pairs", {})
    alone = len(parts) == 1
    return "; ".join(
        f"{'' if alone else part + ' '}{counts['found']} of {counts['expected']}" for part, counts in parts.items()
    )


def named(things: Sequence[str]) -> str:
    """How many, and the first by name; empty for none."""
    more = f" and {len(things) - NAMED} more" if len(things) > NAMED else ""
    return f"{len(things)}: {', '.join(things[:NAMED])}{more}" if things else "none"


def listed(report: Report, key: str) -> str:
    """A list of names in words."""
    return named(report[key]) if key in report else ""


def commonest(report: Report) -> str:
    """The most frequent size and how many labels have it."""
    sizes = report.get("sizes", [])
    if not sizes:
        return ""
    return f"{sizes[0]['width']}×{sizes[0]['height']}, {sizes[0]['count']} of {report['in_focus']['labels']}"


def span(report: Report, key: str) -> str:
    """Smallest, median and largest of a side in pixels."""
    side = report.get(key, {})
    if not side:
        return ""
    if side["min"] == side["max"]:
        return f"{side['min']:g}"
    return f"{side['min']:g} to {side['max']:g}, median {side['median']:g}"


def share(spread: Mapping[str, float]) -> str:
    """A spread of fractions in per cent."""
    return f"mean {spread['mean']:.1%}, {spread['min']:.1%} to {spread['max']:.1%}"


def focus(report: Report) -> str:
    """How much of the labels is in focus, and of those of shallow and wide DOF."""
    if "in_focus" not in report:
        return ""
    parts = [f"{dof} DOF: {share(each)}" for dof, each in report.get("in_focus_by_dof", {}).items()]
    return "; ".join([share(report["in_focus"]), *parts])


def near(report: Report) -> str:
    """Photographs of a training split that are nearly those of its test split."""
    found = report.get("near_duplicates")
    if found is None:
        return ""
    pairs_found = [f"{each['training']} ~ {each['test']}" for each in found["listed"]]
    more = f" and {found['found'] - NAMED} more" if found["found"] > NAMED else ""
    return f"{found['found']}: {', '.join(pairs_found[:NAMED])}{more}" if pairs_found else "none"


def same(report: Report) -> str:
    """Groups of photographs with the same pixels at network size."""
    if "exact_duplicates" not in report:
        return ""
    return named([" = ".join(group[:NAMED]) for group in report["exact_duplicates"]])


def greys(report: Report) -> str:
    """How far the labels were from black and white."""
    found = report.get("not_binary", {})
    if not found:
        return ""
    return f"{found['labels']} labels, at most {found['max']:.2%} of one" if found["labels"] else "none"


FACTS: dict[str, Words] = {
    "Pairs of photograph and label": pairs,
    "Labels without a photograph, kept": lambda report: listed(report, "labels_alone"),
    "Photographs without a label, left out": lambda report: listed(report, "photographs_alone"),
    "Width in pixels": lambda report: span(report, "width"),
    "Height in pixels": lambda report: span(report, "height"),
    "Most frequent size": commonest,
    "White in the archive’s labels": lambda report: str(report.get("white_in_archive", "")).replace("_", " "),
    "Labels with grey pixels (10 to 90%)": greys,
    "Fraction in focus": focus,
    "Labels all in focus": lambda report: listed(report, "all_in_focus"),
    "Labels without focus": lambda report: listed(report, "none_in_focus"),
    "Near-duplicates of training and test": near,
    "Photographs of the same pixels": same,
}
"""What is told of a set, in order, and how it is put."""


def open_sets(prepared: Path) -> list[PreparedSet]:
    """The prepared sets that are available, by name; none where there is no such folder."""
    return [PreparedSet.load(path.parent) for path in sorted(prepared.glob("*/index.csv"))]


def facts_of(data: PreparedSet) -> PreparedFacts:
    """What `prepare` found in one set."""
    report = read_json(data.folder / "validation.json")
    counts = report.get("in_focus", {}).get("histogram", [])
    cells = tuple(words(report) for words in FACTS.values())
    return PreparedFacts(data.name, bool(report.get("rendered")), cells, histogram(counts) if counts else "")


def duplicates_across(sets: Sequence[PreparedSet]) -> list[CrossDuplicate]:
    """Training photographs that are nearly test photographs of another set, of the sets that have hashes."""
    return cross_duplicates([data for data in sets if (data.folder / "hashes.npy").is_file()])
