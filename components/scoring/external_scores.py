"""Published maps scored on the prepared labels, by the same rules as our own.

A test set of which a map is missing, unreadable or of another size than its label has no score, but the reason.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.catalog.test_sets import TEST_SETS, WITHIN
from components.common.availability import Gap, NotAvailableError
from components.common.errors import InputError
from components.common.storage import atomic_dir, write_json
from components.scoring.evaluation import SetScores, score_set, write_scores
from components.scoring.external_maps import FoundMaps, find_maps
from components.scoring.external_methods import INDEX, METHOD, Method
from components.scoring.metrics import IouReduction


@dataclass(frozen=True)
class Result:
    """What became of one method's maps of one test set: its scores (EBD(1305)'s beside EBD's), or the gap."""

    method: Method
    test_set: str
    scores: tuple[SetScores, ...] = ()
    resized: int = 0
    surplus: int = 0
    gap: Gap | None = None


def found_or_gap(method: Method, test_set: str, prepared: Path) -> FoundMaps | Result:
    """One method's maps of one test set, or why they cannot be scored."""
    try:
        return find_maps(method, test_set, prepared)
    except InputError as error:
        return Result(method, test_set, gap=gap_from(method, test_set, error))


def scored_or_gap(found: FoundMaps, *, iou_size: int | None, iou: IouReduction, seen: Callable[[], None]) -> Result:
    """Score one method's maps of one test set, one at a time; if one cannot be read, the reason.

    Args:
        found: see `find_maps`.
        iou_size: side in pixels at which EBD's IoU is taken, None = at full size (`departures.ebd_iou_size`).
        iou: reduction over a test set.
        seen: called after each map.
    """
    method, labels = found.method, found.labels

    def read(image: str) -> NDArray[np.uint8]:
        seen()
        return found.read(image)

    scores = score_set(
        read,
        labels,
        tests_of(found),
        upsample="nearest" if method.resize == "none" else method.resize,  # maps of their label's size stay as they are
        iou_size=iou_size if labels.name == "ebd" else None,
        iou=iou,
    )
    try:
        return Result(method, found.test_set, tuple(scores), found.resized, found.surplus)
    except InputError as error:
        return Result(method, found.test_set, gap=gap_from(method, found.test_set, error))


def tests_of(found: FoundMaps) -> dict[str, NDArray[np.int64]]:
    """Rows of the test set, and of one that lies within it (EBD(1305) in EBD)."""
    tests = {found.test_set: found.rows}
    for part, whole in WITHIN.items():
        if whole == found.test_set:
            inside = [row for row in found.rows if part in found.labels.rows[row].splits]
            tests[part] = np.array(inside, dtype=np.int64)
    return tests


def gap_from(method: Method, test_set: str, error: InputError) -> Gap:
    """Why a test set is not scored; a message of ours ends with what to do."""
    if isinstance(error, NotAvailableError):
        return error.gap
    reason, _, remedy = str(error).rpartition("; ")
    return Gap(f"{method.method} on {test_set}", reason or remedy, remedy)


def write_external(out: Path, methods: Sequence[Method], results: Iterable[Result]) -> None:
    """Write a folder a method, as runs have it, with `method.json`; and `index.json`. Whole or not at all."""
    by_method: dict[str, list[Result]] = {method.id: [] for method in methods}
    for result in results:
        by_method[result.method.id].append(result)
    with atomic_dir(out) as folder:
        for method in methods:
            of_method = by_method[method.id]
            if scored := [scores for result in of_method for scores in result.scores]:
                write_scores(folder / method.id, scored)
            write_json(folder / method.id / METHOD, described(method, of_method))
        write_json(folder / INDEX, {"methods": [method.id for method in methods]})


def described(method: Method, results: Sequence[Result]) -> dict[str, Any]:
    """What `method.yaml` says, and what became of each test set."""
    facts = {key: getattr(method, key) for key in ("method", "row", "white", "resize", "source")}
    return facts | {"test_sets": {name: facts for result in results for name, facts in outcome_of(result).items()}}


def outcome_of(result: Result) -> dict[str, dict[str, Any]]:
    """Test set -> how many of its photographs are scored, or the gap."""
    if result.gap is not None:
        return {result.test_set: {"gap": asdict(result.gap)}}
    maps = {"resized": result.resized, "surplus": result.surplus}
    return {
        each.name: {"images": len(each.ids), "published_images": TEST_SETS[each.name].images, **maps}
        for each in result.scores
    }
