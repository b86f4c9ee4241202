"""MAE, F-beta, IoU and precision-recall curves (paper, section IV.A), from one pass over the pixels.

Maps are the model's probability of being in focus: 1 (or 255) = in focus. Labels: 1 = in focus.
F-beta, IoU, precision and recall take the BLURRED region as positive, as the paper does.

All of them follow from how many pixels of each value a map has, within each label value: one pass over the pixels, and
exact, for 8 bits (256 values), half floats (15361 values in [0, 1]) and any other floats. Only the curve is binned.

F-beta has two rules, and both are here. `f_beta`: the map binarised at 0.5, as the paper says, and as the script that
scores other methods' maps does. `f_beta_published`: what the published code prints for its own networks, the maximum
over the 255 thresholds linspace(0, 1, 255) of the binarised map. All thresholds above 0 give the number at 0.5; the
threshold 0 calls everything blurred. So no image is below 1.3 p / (0.3 p + 1), p its blurred fraction.
`f_beta_max`, the maximum over the thresholds of the grey map, is what much of the field reports; it is beside them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from components.common.errors import InputError
from components.scoring.intervals import Interval, draws, percentiles, pooled

BETA_SQUARED = 0.3
LEVELS = 256
ONE = 0x3C00
"""Bits of 1 as a half float; those of the half floats in [0, 1] are the whole numbers from 0 to this."""
BYTES = np.arange(LEVELS) / 255
HALVES = np.arange(ONE + 1, dtype=np.uint16).view(np.float16).astype(np.float64)
IouReduction = Literal["pooled", "per_image"]


@dataclass(frozen=True)
class MapCounts:
    """Everything that the metrics need of one map and its label.

    Attributes:
        focus: int64 (256,), pixels whose label is in focus, by the 8-bit value nearest to the map's.
        blur: int64 (256,), pixels whose label is out of focus, likewise.
        absolute_error: sum over pixels of |map - label|, both in [0, 1].
        true_blur, false_blur, missed_blur: pixels at the threshold 0.5, blurred = positive.
    """

    focus: NDArray[np.int64]
    blur: NDArray[np.int64]
    absolute_error: float
    true_blur: int
    false_blur: int
    missed_blur: int

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return int(self.focus.sum() + self.blur.sum())

    @property
    def mae(self) -> float:
        """Mean absolute error, in [0, 1]; the same for either polarity."""
        return self.absolute_error / self.pixels

    @property
    def f_beta(self) -> float:
        """F-beta at the threshold 0.5, beta^2 = 0.3, blurred = positive; 0 where nothing is found."""
        return float(f_measure(self.true_blur, self.true_blur + self.false_blur, self.true_blur + self.missed_blur))

    @property
    def f_beta_published(self) -> float:
        """F-beta by the published code: at 0.5, or of everything called blurred where that is more."""
        blurred = self.true_blur + self.missed_blur
        return max(self.f_beta, float(f_measure(blurred, self.pixels, blurred)))

    @property
    def iou(self) -> float:
        """Intersection over union of the blurred region at 0.5; 1 where neither map nor label has any."""
        intersection, union = self.overlap
        return intersection / union if union else 1.0

    @property
    def overlap(self) -> tuple[int, int]:
        """Pixels of the intersection and of the union of which `iou` is the quotient."""
        return self.true_blur, self.true_blur + self.false_blur + self.missed_blur

    @property
    def f_beta_max(self) -> float:
        """The largest F-beta over the 256 thresholds of the grey map."""
        found, true = self._at_thresholds()
        return float(f_measure(true, found, self.blur.sum()).max())

    def curve(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Precision and recall of the blurred region at thresholds t = 0..255: a pixel is blurred if 255 - map >= t.

        Returns:
            precision, recall: float64 (256,) each. Precision is 1 where nothing is called blurred; recall is 1 where
            the label has no blurred pixel.
        """
        found, true = self._at_thresholds()
        positive = self.blur.sum()
        precision = np.where(found > 0, true / np.maximum(found, 1), 1.0)
        recall = true / positive if positive else np.ones(LEVELS)
        return precision, recall

    def _at_thresholds(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        true = np.cumsum(self.blur)[::-1]
        return np.cumsum(self.focus)[::-1] + true, true


def f_measure(true: NDArray[np.int64] | int, found: NDArray[np.int64] | int, positive: int) -> NDArray[np.float64]:
    """F-beta from counts: (1 + b) P R / (b P + R) with b = 0.3, that is (1 + b) TP / (b positives + found)."""
    denominator = BETA_SQUARED * positive + np.asarray(found, np.float64)
    return np.asarray((1 + BETA_SQUARED) * np.asarray(true) / np.where(denominator > 0, denominator, 1.0))


def count(prediction: NDArray[np.generic], label: NDArray[np.generic]) -> MapCounts:
    """One pass over a map and its label.

    Args:
        prediction: (H, W), uint8 in 0..255 or float in [0, 1], in focus = high.
        label: (H, W), bool or integer, non-zero = in focus.

    Raises:
        InputError: the sizes differ (a map is never skipped or resized in silence), or a float map leaves [0, 1].
    """
    if prediction.shape != label.shape:
        raise InputError(
            f"map of {_size(prediction)} and label of {_size(label)} differ in size; maps are scored at label size"
        )
    focus = label.astype(bool, copy=False)
    levels, values = _levels(prediction)
    joint = np.bincount((levels << 1 | label.astype(bool, copy=False)).ravel(), minlength=2 * len(values))
    blur, focus = joint.reshape(-1, 2).T
    blurred = values < 0.5
    true_blur, false_blur = int(blur[blurred].sum()), int(focus[blurred].sum())
    error = float(blur @ values + focus @ (1 - values))
    return MapCounts(
        _binned(focus, values), _binned(blur, values), error, true_blur, false_blur, int(blur.sum()) - true_blur
    )


def _levels(prediction: NDArray[np.generic]) -> tuple[NDArray[np.integer[Any]], NDArray[np.float64]]:
    """A map as places in a rising list of values, checked to lie in [0, 1]: (H, W) and (n,)."""
    if prediction.dtype == np.uint8:
        return prediction.astype(np.uint16), BYTES
    if prediction.dtype == np.float16 and (bits := prediction.view(np.uint16)).max() <= ONE:
        return bits, HALVES
    values, levels = np.unique(prediction.astype(np.float64), return_inverse=True)
    if not (values[0] >= 0 and values[-1] <= 1):
        raise InputError(
            f"map with values from {values[0]:g} to {values[-1]:g}; expected probabilities in [0, 1] or 8-bit values"
        )
    return levels, values


def _binned(counts: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.int64]:
    """How many pixels have each of `values`, as how many have each 8-bit level nearest to it; int64 (256,)."""
    return np.bincount(np.rint(values * 255).astype(np.intp), weights=counts, minlength=LEVELS).astype(np.int64)


def _size(array: NDArray[np.generic]) -> str:
    return "x".join(str(side) for side in array.shape[::-1])


def set_iou(counts: Sequence[MapCounts], reduction: IouReduction) -> float:
    """IoU of the blurred region over a set: "pooled" over all its pixels (published code), or mean over images."""
    if reduction == "per_image":
        return float(np.mean([each.iou for each in counts]))
    intersection, union = (sum(parts) for parts in zip(*(each.overlap for each in counts), strict=True))
    return intersection / union if union else 1.0


def mean_curve(counts: Sequence[MapCounts]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Precision and recall over 256 thresholds, mean over images; float64 (256,) each (Fig. 7)."""
    curves = [each.curve() for each in counts]
    return np.mean([curve[0] for curve in curves], axis=0), np.mean([curve[1] for curve in curves], axis=0)


def set_scores(
    counts: Sequence[MapCounts], iou_counts: Sequence[MapCounts], reduction: IouReduction
) -> dict[str, float]:
    """The row of a table for one test set.

    Args:
        counts: one an image, at the label's size.
        iou_counts: the same images at the size at which IoU is taken (the same list, save for EBD).
        reduction: of the IoU.

    Returns:
        "mae", "f_beta" (at 0.5), "f_beta_published", "f_beta_max" (means over images), "iou", "images".
    """
    return {
        "mae": float(np.mean([each.mae for each in counts])),
        "f_beta": float(np.mean([each.f_beta for each in counts])),
        "f_beta_published": float(np.mean([each.f_beta_published for each in counts])),
        "f_beta_max": float(np.mean([each.f_beta_max for each in counts])),
        "iou": set_iou(iou_counts, reduction),
        "images": len(counts),
    }


def set_intervals(
    counts: Sequence[MapCounts], iou_counts: Sequence[MapCounts], reduction: IouReduction
) -> dict[str, Interval]:
    """The 95 % bootstrap intervals, over photographs, of the scores of `set_scores`, which see; by the same keys."""
    drawn = draws(len(counts))
    means = {
        key: percentiles(drawn @ np.array([getattr(each, key) for each in counts]) / len(counts))
        for key in ("mae", "f_beta", "f_beta_published", "f_beta_max")
    }
    if reduction == "per_image":
        return means | {"iou": percentiles(drawn @ np.array([each.iou for each in iou_counts]) / len(counts))}
    return means | {"iou": percentiles(pooled(drawn, np.array([each.overlap for each in iou_counts], np.float64)))}
