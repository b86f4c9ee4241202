"""Photographs with their labels and the runs' maps: which ones to show, and the pictures as data URIs.

Polarity: 1 = in focus = white, in labels and maps.
"""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from components.data.maps import MapArchive
from components.data.prepared import IndexRow, PreparedSet
from components.report.paper_tables import label
from components.report.records import RunRecord

LIMIT = 24
SIDE = 320
SHOWN_RUNS = 6
PAIR = ("dffnet", "d_dffnet")
FIRST_RUNS = (*PAIR, "rdffnet", "pdnet", "d_pdnet", "hifst")
SUBSETS = ("EBD(1305)",)
"""Test sets whose photographs another test set shows already."""


@dataclass(frozen=True)
class Panel:
    """One picture of an example, and what is written beneath it."""

    name: str
    source: str
    mae: float | None = None
    iou: float | None = None


@dataclass(frozen=True)
class Example:
    """One photograph of a test set: why it was chosen, its full size in pixels, and its panels."""

    test_set: str
    id: str
    why: str
    width: int
    height: int
    panels: tuple[Panel, ...]


def encode(picture: Image.Image, kind: str) -> str:
    """A picture, at most 320 pixels wide and high, as a data URI; `kind` is `png` or `jpeg`."""
    picture.thumbnail((SIDE, SIDE), Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    options = {"quality": 85} if kind == "jpeg" else {"optimize": True}
    picture.save(buffer, kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def pick(differences: dict[str, float], wide: set[str], pair: tuple[str, str]) -> list[tuple[str, str]]:
    """Photographs to show, as (id, why), each once: the two extremes, the median, and a wide-DOF one.

    Args:
        differences: image id -> MAE of the second run - MAE of the first (of one run alone: its MAE).
        wide: ids of wide-DOF photographs.
        pair: names of the two runs.
    """
    order = sorted(differences, key=lambda image: (differences[image], image))
    first, second = pair
    lower, higher = f"{second} at its best against {first}", f"{second} at its worst against {first}"
    if first == second:
        lower, higher = f"lowest MAE of {first}", f"highest MAE of {first}"
    wanted = [(order[0], lower), (order[-1], higher), (order[len(order) // 2], "median")]
    if wide_order := [image for image in order if image in wide]:
        wanted.append((wide_order[len(wide_order) // 2], "wide DOF, median"))
    chosen: dict[str, str] = {}
    for image, why in wanted:
        chosen.setdefault(image, why)
    return list(chosen.items())


def differences(records: dict[str, RunRecord], test_set: str) -> tuple[dict[str, float], tuple[str, str]]:
    """What to choose by: D-DFFNet - DFFNet where both are scored, else the first scored run's own MAE."""
    scored = {run: record.per_image[test_set] for run, record in records.items() if test_set in record.per_image}
    if set(PAIR) <= scored.keys():
        before, after = (scored[run] for run in PAIR)
        shared = before.keys() & after.keys()
        return {image: after[image]["mae"] - before[image]["mae"] for image in shared}, PAIR
    if not scored:
        return {}, PAIR
    run, scores = next(iter(scored.items()))
    return {image: values["mae"] for image, values in scores.items()}, (run, run)


def shown_runs(records: dict[str, RunRecord]) -> list[str]:
    """The runs of `FIRST_RUNS`, then the others in order; at most six."""
    scored = [run for run, record in records.items() if record.per_image]
    first = [run for run in FIRST_RUNS if run in scored]
    return (first + [run for run in scored if run not in first])[:SHOWN_RUNS]


def map_panel(path: Path, record: RunRecord, test_set: str, row: IndexRow) -> Panel | None:
    """A run's map of one photograph with its scores; None where the run has no map of it."""
    if not path.is_file():
        return None
    with MapArchive(path) as archive:
        if row.id not in archive.ids():
            return None
        picture = Image.fromarray(archive[row.id])
    scores = record.per_image.get(test_set, {}).get(row.id, {})
    return Panel(label(record.run), encode(picture, "png"), scores.get("mae"), scores.get("iou"))


def own_panels(prepared: PreparedSet, index: int) -> list[Panel]:
    """The photograph itself and its label."""
    mask: NDArray[np.uint8] = np.array(prepared.labels[index]) * np.uint8(255)
    photograph = Image.fromarray(np.array(prepared.images[index]))
    return [Panel("Photograph", encode(photograph, "jpeg")), Panel("Label", encode(Image.fromarray(mask), "png"))]


def set_examples(
    prepared: PreparedSet, test_set: str, records: dict[str, RunRecord], predictions: Path
) -> list[Example]:
    """The examples of one test set."""
    split = {prepared.rows[i].id: int(i) for i in prepared.split(test_set)}
    by, pair = differences(records, test_set)
    by = {image: value for image, value in by.items() if image in split}
    if not by:
        return []
    wide = {image for image, i in split.items() if prepared.rows[i].dof == "wide"}
    shown = [records[run] for run in shown_runs(records)]
    examples = []
    for image, why in pick(by, wide, (label(pair[0]), label(pair[1]))):
        row = prepared.rows[split[image]]
        maps = [map_panel(predictions / each.run / f"{prepared.name}.zip", each, test_set, row) for each in shown]
        panels = (*own_panels(prepared, split[image]), *(panel for panel in maps if panel))
        examples.append(Example(test_set, image, why, row.width, row.height, panels))
    return examples


def gallery(
    sets: Sequence[PreparedSet], predictions: Path, records: list[RunRecord], test_sets: list[str]
) -> dict[str, list[Example]]:
    """Test set -> its examples, at most 24 in all; test sets without prepared photographs are left out."""
    by_run = {record.run: record for record in records}
    found: dict[str, list[Example]] = {}
    for test_set in (name for name in test_sets if name not in SUBSETS):
        for source in (each for each in sets if test_set in each.split_names):
            room = LIMIT - sum(len(examples) for examples in found.values())
            if examples := set_examples(source, test_set, by_run, predictions)[:room]:
                found[test_set] = examples
    return found
