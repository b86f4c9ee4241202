"""What preparing a set found, as plain data: `validation.json`."""

from collections import Counter
from dataclasses import dataclass
from statistics import mean, median
from typing import Any

import numpy as np

from components.catalog.sets import DataSet
from components.datasets.prepared import IndexRow
from components.prepare.near_duplicates import DHASH, PHASH, equal_rows, search
from components.prepare.pairs import Pair
from components.prepare.ready import Traits

LISTED = 50
"""Near-duplicates that are listed; all are counted."""
SIZES = 20
"""Distinct sizes that are listed."""


@dataclass(frozen=True, eq=False)
class Findings:
    """What was met on the way."""

    dataset: DataSet
    pairs: list[Pair]
    rows: list[IndexRow]
    traits: list[Traits]
    """One a row."""
    unlabelled: list[str]
    """Photographs without a label, left out."""
    expected: dict[str, int]
    """Pairs that each part should hold."""
    rendered: bool


def spread(values: list[int] | list[float]) -> dict[str, float]:
    """Smallest, median and largest."""
    return {"min": min(values), "median": median(values), "max": max(values)}


def describe_greys(found: Findings) -> dict[str, Any]:
    """How far the labels were from black and white: fractions of pixels between 10 % and 90 % grey."""
    greys = [each.grey for each in found.traits]
    worst = max(range(len(greys)), key=lambda i: greys[i])
    return {
        "labels": sum(grey > 0 for grey in greys),
        "mean": round(mean(greys), 6),
        "max": round(greys[worst], 6),
        "worst": found.rows[worst].label,
    }


def read_as(found: Findings) -> dict[str, int]:
    """What labels were taken for, where that needs saying, and how many were."""
    return dict(sorted(Counter(each.read_as for each in found.traits if each.read_as).items()))


def describe_focus(rows: list[IndexRow]) -> dict[str, Any]:
    """Fractions in focus: their spread, and how many labels lie in each tenth, the last of which holds 1."""
    focus = [round(row.in_focus, 6) for row in rows]
    counts = np.histogram(focus, bins=10, range=(0, 1))[0]
    return {**spread(focus), "mean": round(mean(focus), 6), "labels": len(focus), "histogram": counts.tolist()}


def describe_sizes(rows: list[IndexRow]) -> list[dict[str, int]]:
    """Distinct sizes in pixels and how many labels have each, most frequent first."""
    counts = Counter((row.width, row.height) for row in rows)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [{"width": width, "height": height, "count": count} for (width, height), count in ordered[:SIZES]]


def describe_splits(dataset: DataSet, rows: list[IndexRow]) -> dict[str, Any]:
    """Photographs and labels of every split, and photographs that both splits of one list share (none)."""
    labelled = {split: {row.id for row in rows if split in row.splits} for split in dataset.splits}
    seen = {split: {row.id for row in rows if split in row.splits and row.image} for split in dataset.splits}
    pairs = [(listed.train, listed.test) for listed in dataset.listed]
    return {
        "splits": {split: len(ids) for split, ids in seen.items()},
        "labelled": {split: len(ids) for split, ids in labelled.items()},
        "shared": {f"{train} & {test}": len(labelled[train] & labelled[test]) for train, test in pairs},
    }


def opposed(dataset: DataSet) -> list[tuple[str, str]]:
    """The training splits and the test split that belongs to each: CUHK-TR-1 and CUHK-TE-1, DUT-TR and DUT-TE."""
    tests = {split: split.replace("-TR", "-TE") for split in dataset.splits if "-TR" in split}
    return [(train, test) for train, test in tests.items() if test in dataset.splits]


def near_within(found: Findings, train: str, test: str) -> list[dict[str, Any]]:
    """Photographs of a training split that are near one of its test split, nearest first."""
    hashes = np.stack([each.hashes for each in found.traits])
    members = [[i for i, row in enumerate(found.rows) if split in row.splits and row.image] for split in (train, test)]
    return [
        {
            "training": found.rows[members[0][near.first]].id,
            "test": found.rows[members[1][near.second]].id,
            "splits": f"{train} & {test}",
            "phash": near.phash,
            "dhash": near.dhash,
            "flip": near.flip,
        }
        for near in search(hashes[members[0]], hashes[members[1]])
    ]


def describe_duplicates(found: Findings) -> dict[str, Any]:
    """Photographs of the same pixels at network size, and those near each other across training and test."""
    near = [each for splits in opposed(found.dataset) for each in near_within(found, *splits)]
    same = equal_rows([each.digest for each in found.traits])
    return {
        "exact_duplicates": [[found.rows[i].id for i in rows] for rows in same],
        "near_duplicates": {"phash": PHASH, "dhash": DHASH, "found": len(near), "listed": near[:LISTED]},
    }


def describe_parts(found: Findings) -> dict[str, dict[str, int]]:
    """Pairs of photograph and label in each part, found and expected."""
    counts = Counter(pair.part.name for pair in found.pairs if pair.image is not None)
    return {name: {"found": counts[name], "expected": expected} for name, expected in found.expected.items()}


def notes(found: Findings) -> list[str]:
    """What keeps a split from being whole."""
    there = {pair.part.name for pair in found.pairs}
    absent = [
        f"{part.name}: not there, {part.images} is missing: {', '.join(part.splits) or 'its splits'} cannot be filled"
        for part in found.dataset.parts
        if part.name not in there
    ]
    fewer = [
        f"{name}: {counts['found']} pairs, expected {counts['expected']}"
        for name, counts in describe_parts(found).items()
        if name in there and counts["found"] != counts["expected"]
    ]
    unlisted = [
        f"{listed.file} was not found: {listed.train} and {listed.test} are empty"
        for listed in found.dataset.listed
        if not listed.within and not any(listed.train in row.splits or listed.test in row.splits for row in found.rows)
    ]
    shallow = found.dataset.shallow
    if shallow and not any(row.dof for row in found.rows):
        unlisted.append(f"{shallow.file} was not found, and the set is not complete: {shallow.split} is empty")
    return absent + fewer + unlisted


def describe(found: Findings) -> dict[str, Any]:
    """The validation report of a prepared set."""
    rows = found.rows
    dofs = sorted({row.dof for row in rows if row.dof})
    return {
        "set": found.dataset.name,
        "title": found.dataset.title,
        "rendered": found.rendered,
        "pairs": describe_parts(found),
        "white_in_archive": found.dataset.white,
        "one_in_prepared": "in_focus",
        "not_binary": describe_greys(found),
        "read_as": read_as(found),
        "height": spread([row.height for row in rows]),
        "width": spread([row.width for row in rows]),
        "sizes": describe_sizes(rows),
        "in_focus": describe_focus(rows),
        "in_focus_by_dof": {dof: describe_focus([row for row in rows if row.dof == dof]) for dof in dofs},
        "all_in_focus": [row.label for row in rows if row.in_focus == 1],
        "none_in_focus": [row.label for row in rows if row.in_focus == 0],
        "notes": notes(found),
        "labels_alone": [row.label for row in rows if not row.image],  # kept
        "photographs_alone": found.unlabelled,  # left out
        **describe_duplicates(found),
        **describe_splits(found.dataset, rows),
    }
