"""What is not available: every gap that the stages left, one cause once, with all that it affects."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from components.catalog.sets import SETS
from components.common.availability import Gap, gap_of
from components.common.storage import read_json
from components.report.records import PublishedMaps, RunRecord

STATUS = "`dbdflow status` says how to get it"


@dataclass(frozen=True)
class Cause:
    """Something that is not at hand, and what it keeps from being made."""

    gap: Gap
    affects: tuple[str, ...]


def set_gaps(prepared: Path) -> Iterator[tuple[Gap, str]]:
    """Gaps of the prepared sets, and of parts and lists of those that are there."""
    for dataset in SETS.values():
        folder = prepared / dataset.name
        if gap := gap_of(folder):
            yield gap, f"{dataset.name}: {', '.join(dataset.splits)}"
        elif (report := folder / "validation.json").is_file():
            for note in read_json(report).get("notes", []):
                yield Gap(dataset.title, note, STATUS), dataset.name


def run_gaps(records: Sequence[RunRecord]) -> Iterator[tuple[Gap, str]]:
    """Gaps of runs and classical methods."""
    for record in records:
        if record.gap:
            yield record.gap, f"run {record.run}"


def maps_gaps(methods: Sequence[PublishedMaps]) -> Iterator[tuple[Gap, str]]:
    """Gaps of published maps, test set by test set."""
    for method in methods:
        for test_set, gap in method.gaps.items():
            yield gap, f"{method.record.run} on {test_set}"
        if method.record.gap and not method.gaps:
            yield method.record.gap, method.record.run


def causes(prepared: Path, records: Sequence[RunRecord], methods: Sequence[PublishedMaps]) -> list[Cause]:
    """Every cause once, in the order in which it is first met: sets, runs, published maps."""
    found: dict[tuple[str, str], tuple[Gap, list[str]]] = {}
    for gap, affected in (*set_gaps(prepared), *run_gaps(records), *maps_gaps(methods)):
        found.setdefault((gap.reason, gap.remedy), (gap, []))[1].append(affected)
    return [Cause(gap, tuple(affects)) for gap, affects in found.values()]


def gaps_of_test_sets(prepared: Path) -> dict[str, str]:
    """Test set -> why nothing is scored on it."""
    gaps = {dataset: gap_of(prepared / dataset.name) for dataset in SETS.values()}
    return {split: gap.reason for dataset, gap in gaps.items() if gap for split in dataset.splits}
