"""What preparing a set found, as plain numbers: `validation.json`."""

from statistics import mean, median
from typing import Any

from components.data.catalog import DataSet
from components.data.pairs import Pair
from components.data.prepared import IndexRow


def spread(values: list[int] | list[float]) -> dict[str, float]:
    """Smallest, median and largest."""
    return {"min": min(values), "median": median(values), "max": max(values)}


def describe_greys(rows: list[IndexRow], greys: list[float]) -> dict[str, Any]:
    """How far the labels were from black and white: fractions of pixels between 10 % and 90 % grey."""
    worst = max(range(len(rows)), key=lambda i: greys[i])
    return {
        "labels": sum(grey > 0 for grey in greys),
        "mean": round(mean(greys), 6),
        "max": round(greys[worst], 6),
        "worst": rows[worst].label,
    }


def describe_splits(dataset: DataSet, rows: list[IndexRow]) -> dict[str, Any]:
    """Photographs of every split, and those that a training and a test split of one list share (none)."""
    members = {split: {row.id for row in rows if split in row.splits} for split in dataset.splits}
    pairs = [(listed.train, listed.test) for listed in dataset.listed]
    shared = {f"{train} & {test}": len(members[train] & members[test]) for train, test in pairs}
    return {"splits": {split: len(ids) for split, ids in members.items()}, "shared": shared}


def describe(
    dataset: DataSet, pairs: list[Pair], rows: list[IndexRow], greys: list[float], expected: dict[str, int]
) -> dict[str, Any]:
    """The validation report of a prepared set."""
    found = {part.name: sum(pair.part == part for pair in pairs) for part in dataset.parts}
    focus = [row.in_focus for row in rows]
    empty = [
        f"{listed.file} was not found: {listed.train} and {listed.test} are empty"
        for listed in dataset.listed
        if not any(listed.train in row.splits or listed.test in row.splits for row in rows)
    ]
    counts = [
        f"{part}: {found[part]} pairs, expected {expected[part]}" for part in found if found[part] != expected[part]
    ]
    return {
        "set": dataset.name,
        "title": dataset.title,
        "pairs": {part: {"found": found[part], "expected": expected[part]} for part in found},
        "white_in_archive": dataset.white,
        "one_in_prepared": "in_focus",
        "not_binary": describe_greys(rows, greys),
        "height": spread([row.height for row in rows]),
        "width": spread([row.width for row in rows]),
        "in_focus": {**spread(focus), "mean": round(mean(focus), 6)},
        "notes": counts + empty,
        **describe_splits(dataset, rows),
    }
