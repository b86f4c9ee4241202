"""Scoring a method's maps on prepared sets: per image, per test set, and curves. 1 (or 255) = in focus."""

import csv
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from components.data.prepared import PreparedSet
from components.errors import InputError
from components.metrics import IouReduction, MapCounts, count, mean_curve, set_scores
from components.regions import REGIONS, region_errors, regions
from components.storage import atomic_dir, write_json

Upsample = Literal["nearest", "bilinear"]
PER_IMAGE = ("test_set", "id", "mae", "f_beta", "f_beta_max", "iou", *(f"mae_{region}" for region in REGIONS))
"""Columns of `per_image.csv`; the last ones are MAE within the regions of `components.regions`, at network size."""
INTERPOLATION: dict[Upsample, int] = {"nearest": cv2.INTER_NEAREST, "bilinear": cv2.INTER_LINEAR}


@dataclass(frozen=True)
class SetScores:
    """One test set's scores.

    Attributes:
        name: of the test set, e.g. "EBD(1305)".
        ids: of its images.
        counts: of each image, in the order of `ids`.
        regions: MAE of each image within the regions of its photograph; empty where that is not there.
        scores: as `set_scores` gives them.
        precision, recall: float64 (256,), mean over images.
    """

    name: str
    ids: list[str]
    counts: list[MapCounts]
    regions: list[dict[str, float]]
    scores: dict[str, float]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]


def resize_map(prediction: NDArray[np.uint8], size: tuple[int, ...], upsample: Upsample) -> NDArray[np.uint8]:
    """A map, uint8 (h, w), at another (height, width): nearest neighbour, or bilinear with corners not aligned."""
    if prediction.shape == size:
        return prediction
    resized: NDArray[np.uint8] = cv2.resize(prediction, size[::-1], interpolation=INTERPOLATION[upsample])
    return resized


def score_set(
    maps: Callable[[str], NDArray[np.uint8]],
    prepared: PreparedSet,
    tests: Mapping[str, NDArray[np.int64]],
    *,
    upsample: Upsample,
    iou_size: int | None,
    iou: IouReduction,
) -> Iterator[SetScores]:
    """Score one method on the test sets of one prepared set.

    Args:
        maps: the map of an image id, uint8, 255 = in focus, at any size.
        prepared: the set, with its labels at full size.
        tests: rows of each test set; they may overlap (EBD and EBD(1305)). Each image is scored once.
        upsample: how a map comes to its label's size.
        iou_size: side in pixels at which IoU is taken (labels by nearest neighbour); None = the label's size.
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
        full[row] = count(resize_map(prediction, label.shape, upsample), label)
        within[row] = errors_within(prepared, row, prediction)
        if iou_size is not None:
            square = (iou_size, iou_size)
            small[row] = count(resize_map(prediction, square, "nearest"), resize_map(label, square, "nearest"))
    for name, chosen in tests.items():
        if len(chosen) == 0:
            continue
        counts = [full[int(row)] for row in chosen]
        iou_counts = counts if iou_size is None else [small[int(row)] for row in chosen]
        precision, recall = mean_curve(counts)
        ids = [prepared.ids[int(row)] for row in chosen]
        inside = [within[int(row)] for row in chosen]
        yield SetScores(name, ids, counts, inside, set_scores(counts, iou_counts, iou), precision, recall)


def errors_within(prepared: PreparedSet, row: int, prediction: NDArray[np.uint8]) -> dict[str, float]:
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
        write_json(folder / "summary.json", {each.name: each.scores for each in scored})
        _write_csv(folder / "per_image.csv", PER_IMAGE, [row for each in scored for row in image_rows(each)])
        points = [
            (each.name, threshold, f"{precision:.8f}", f"{recall:.8f}")
            for each in scored
            for threshold, (precision, recall) in enumerate(zip(each.precision, each.recall, strict=True))
        ]
        _write_csv(folder / "curves.csv", ("test_set", "threshold", "precision", "recall"), points)


def image_rows(scored: SetScores) -> Iterator[tuple[str, ...]]:
    """A test set's lines of `per_image.csv`; a region that a photograph does not have leaves its cell empty."""
    for name, counts, inside in zip(scored.ids, scored.counts, scored.regions, strict=True):
        values = [counts.mae, counts.f_beta, counts.f_beta_max, counts.iou]
        values += [inside.get(region, math.nan) for region in REGIONS]
        yield scored.name, name, *("" if math.isnan(value) else f"{value:.8f}" for value in values)


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
