"""Scoring a method's maps on prepared sets: per image, per test set, and curves.

A map is float16 with 1 = in focus, or uint8 with 255 = in focus where that is how it was published.
"""

import csv
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from components.common.errors import InputError
from components.common.storage import atomic_dir, write_json
from components.datasets.prepared import PreparedSet
from components.scoring.intervals import INTERVAL, OVERLAP, Interval
from components.scoring.metrics import IouReduction, MapCounts, count, mean_curve, set_intervals, set_scores
from components.scoring.regions import REGIONS, region_errors, regions

Map = NDArray[np.uint8] | NDArray[np.float16]
Upsample = Literal["nearest", "bilinear"]
SCORES = ("mae", "f_beta", "f_beta_published", "f_beta_max", "iou")
PER_IMAGE = ("test_set", "id", *SCORES, *OVERLAP, *(f"mae_{region}" for region in REGIONS))
"""Columns of `per_image.csv`. `OVERLAP`: pixels at the size at which the test set's IoU is taken, which pools them. The
last ones are MAE within the regions of `components.scoring.regions`, at network size."""
INTERPOLATION: dict[Upsample, int] = {"nearest": cv2.INTER_NEAREST, "bilinear": cv2.INTER_LINEAR}


@dataclass(frozen=True)
class SetScores:
    """One test set's scores.

    Attributes:
        name: of the test set, e.g. "EBD(1305)".
        ids: of its images.
        counts: of each image, in the order of `ids`.
        iou_counts: likewise at the size at which IoU is taken.
        regions: MAE of each image within the regions of its photograph; empty where that is not there.
        scores: as `set_scores` gives them.
        intervals: as `set_intervals` gives them.
        precision, recall: float64 (256,), mean over images.
    """

    name: str
    ids: list[str]
    counts: list[MapCounts]
    iou_counts: list[MapCounts]
    regions: list[dict[str, float]]
    scores: dict[str, float]
    intervals: dict[str, Interval]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]


def resize_map(prediction: Map, size: tuple[int, ...], upsample: Upsample) -> Map:
    """A map, (h, w), at another (height, width): nearest neighbour, or bilinear with corners not aligned."""
    if prediction.shape == size:
        return prediction
    half, kind = prediction.dtype == np.float16, INTERPOLATION[upsample]
    if half and upsample == "nearest":  # OpenCV knows no half floats, but may move their bits
        moved: Map = cv2.resize(prediction.view(np.uint16), size[::-1], interpolation=kind).view(np.float16)
        return moved
    resized: Map = cv2.resize(prediction.astype(np.float32) if half else prediction, size[::-1], interpolation=kind)
    return resized.astype(np.float16) if half else resized


def score_set(
    maps: Callable[[str], Map],
    prepared: PreparedSet,
    tests: Mapping[str, NDArray[np.int64]],
    *,
    upsample: Upsample,
    iou_size: int | None,
    iou: IouReduction,
) -> Iterator[SetScores]:
    """Score one method on the test sets of one prepared set.

    Args:
        maps: the map of an image id, at any size.
        prepared: the set, with its labels at full size.
        tests: rows of each test set; they may overlap (EBD and EBD(1305)). Each image is scored once.
        upsample: how a map comes to its label's size.
        iou_size: side in pixels at which IoU is taken, None = the label's size. Map and label come to it by nearest
            neighbour from the label's size, as published: a map of that size does not come back the same.
        iou: reduction over the set.

    Yields:
        the scores of each test set that has images.
    """
    rows = sorted({int(row) for each in tests.values() for row in each})
    full: dict[int, MapCounts] = {}
    small: dict[int, MapCounts] = {}
    within: dict[int, dict[str, float]] = {}
    for row in rows:
        label, prediction = prepared.full_label(row), maps(prepared.ids[row])
        large = resize_map(prediction, label.shape, upsample)
        full[row] = count(large, label)
        within[row] = errors_within(prepared, row, prediction)
        if iou_size is not None:
            square = (iou_size, iou_size)
            small[row] = count(resize_map(large, square, "nearest"), resize_map(label, square, "nearest"))
    for name, chosen in tests.items():
        if len(chosen) == 0:
            continue
        counts = [full[int(row)] for row in chosen]
        iou_counts = counts if iou_size is None else [small[int(row)] for row in chosen]
        ids = [prepared.ids[int(row)] for row in chosen]
        inside = [within[int(row)] for row in chosen]
        scores = set_scores(counts, iou_counts, iou), set_intervals(counts, iou_counts, iou)
        yield SetScores(name, ids, counts, iou_counts, inside, *scores, *mean_curve(counts))


def errors_within(prepared: PreparedSet, row: int, prediction: Map) -> dict[str, float]:
    """MAE within the regions of a photograph, at network size; nothing where there is no photograph."""
    if not prepared.rows[row].image:
        return {}
    label = np.array(prepared.labels[row])
    return region_errors(prediction, label, regions(np.array(prepared.images[row]), label))


def write_scores(out: Path, scored: Sequence[SetScores]) -> None:
    """Write `summary.json`, `per_image.csv` and `curves.csv`, whole or not at all.

    Raises:
        InputError: there is nothing to write: no test set has images.
    """
    if not scored:
        raise InputError(f"{out}: no test set has any image to score; check the prepared sets' validation.json")
    with atomic_dir(out) as folder:
        write_json(folder / "summary.json", {each.name: each.scores | {INTERVAL: each.intervals} for each in scored})
        _write_csv(folder / "per_image.csv", PER_IMAGE, [row for each in scored for row in image_rows(each)])
        points = [
            (each.name, threshold, f"{precision:.8f}", f"{recall:.8f}")
            for each in scored
            for threshold, (precision, recall) in enumerate(zip(each.precision, each.recall, strict=True))
        ]
        _write_csv(folder / "curves.csv", ("test_set", "threshold", "precision", "recall"), points)


def image_rows(scored: SetScores) -> Iterator[tuple[str, ...]]:
    """A test set's lines of `per_image.csv`; a region that a photograph does not have leaves its cell empty."""
    for name, counts, overlap, inside in zip(scored.ids, scored.counts, scored.iou_counts, scored.regions, strict=True):
        errors = [inside.get(region, math.nan) for region in REGIONS]
        scores, parts = [getattr(counts, key) for key in SCORES], map(str, overlap.overlap)
        yield scored.name, name, *cells(scores), *parts, *cells(errors)


def cells(values: Sequence[float]) -> list[str]:
    """Numbers of a table, to eight decimals; empty where there is none."""
    return ["" if math.isnan(value) else f"{value:.8f}" for value in values]


def _write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def score_pairs(
    pairs: Iterable[tuple[str, NDArray[np.uint8], NDArray[np.uint8]]], *, resize: bool, iou: IouReduction
) -> dict[str, float]:
    """Score maps against labels of no prepared set.

    Args:
        pairs: (name, map uint8 255 = in focus, label uint8 non-zero = in focus).
        resize: bring a map of another size to its label's, bilinearly; otherwise that is an error.
        iou: reduction over the set.

    Raises:
        InputError: sizes differ and `resize` is false; names the pair.
    """
    counts = []
    for name, prediction, label in pairs:
        fitted = resize_map(prediction, label.shape, "bilinear") if resize else prediction
        try:
            counts.append(count(fitted, label))
        except InputError as error:
            raise InputError(f"{name}: {error}; resize maps with --resize") from error
    return set_scores(counts, counts, iou)
