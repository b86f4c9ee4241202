"""The test sets by name: which data set holds each, and how many photographs it has as published."""

from dataclasses import dataclass
from pathlib import Path

from components.catalog.sets import SETS
from components.common.storage import read_json


@dataclass(frozen=True)
class PublishedTestSet:
    """One test set; `dataset` names the set that holds it, `images` counts its photographs as published."""

    name: str
    dataset: str
    images: int


def _all_test_sets() -> dict[str, PublishedTestSet]:
    found = []
    for each in SETS.values():
        found += [PublishedTestSet(listed.test, each.name, listed.expected) for listed in each.listed]
        found += [PublishedTestSet(split, each.name, part.expected) for part in each.parts for split in part.splits]
        if each.shallow is not None:
            found.append(PublishedTestSet(each.shallow.split, each.name, each.shallow.count))
    return {each.name: each for each in found if "-TR" not in each.name}


TEST_SETS = _all_test_sets()
"""By name, in the order of the paper."""

WITHIN = {each.shallow.split: part.splits[0] for each in SETS.values() if each.shallow for part in each.parts}
"""Test sets all of whose photographs another one has: EBD(1305) -> EBD."""


def is_rendered(folder: Path) -> bool:
    """Whether the prepared set in `folder` is a rendered stand-in, which has depth, and no photographs."""
    report = folder / "validation.json"
    stated = read_json(report).get("rendered") if report.is_file() else None
    return bool(stated) if stated is not None else (folder / "depth.npy").exists()
