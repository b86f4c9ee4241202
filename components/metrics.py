"""MAE, F-beta, IoU and precision-recall curves (paper, section IV.A), from one pass over the pixels.

Maps are the model's probability of being in focus: 1 (or 255) = in focus. Labels: 1 = in focus.
F-beta, IoU, precision and recall take the BLURRED region as positive, as the paper does.

All of them follow from two 256-bin histograms of an image, one for each label value. A float map is binned for its
curve alone; its MAE and its counts at the threshold are exact.

F-beta: the paper binarises at 0.5, the published code takes the maximum over 255 thresholds of the map binarised at
0.5. A binarised map is the same at every threshold in (0, 1], so that the two rules give one number: `f_beta`.
`f_beta_max`, the maximum over the thresholds of the grey map, is what much of the field reports; it is beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from components.errors import InputError

BETA_SQUARED = 0.3
LEVELS = 256
IouReduction = Literal["pooled", "per_image"]


@dataclass(frozen=True)
class MapCounts:
    """Everything that the metrics need of one map and its label.

    Attributes:
        focus: int64 (256,), pixels whose label is in focus, by the map's 8-bit value.
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
    def iou(self) -> float:
        """Intersection over union of the blurred region at 0.5; 1 where neither map nor label has any."""
        union = self.true_blur + self.false_blur + self.missed_blur
        return self.true_blur / union if union else 1.0

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
    if prediction.dtype == np.uint8:
        in_blur, in_focus = _joint(prediction.astype(np.uint8, copy=False), focus)
        values = np.arange(LEVELS) / 255
        error = float(in_blur @ values + in_focus @ (1 - values))
        true_blur, false_blur = int(in_blur[: LEVELS // 2].sum()), int(in_focus[: LEVELS // 2].sum())
    else:
        exact = _probabilities(prediction)
        in_blur, in_focus = _joint(np.rint(exact * 255).astype(np.uint8), focus)
        error = float(np.abs(exact - focus).sum())
        blurred = exact < 0.5
        true_blur = int(np.count_nonzero(blurred & ~focus))
        false_blur = int(np.count_nonzero(blurred)) - true_blur
    return MapCounts(in_focus, in_blur, error, true_blur, false_blur, int(in_blur.sum()) - true_blur)


def _joint(levels: NDArray[np.uint8], focus: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many pixels have each 8-bit level: out of focus, and in focus; int64 (256,) each."""
    joint = np.bincount((levels | (focus.astype(np.uint16) << 8)).ravel(), minlength=2 * LEVELS)
    return joint[:LEVELS], joint[LEVELS:]


def _probabilities(prediction: NDArray[np.generic]) -> NDArray[np.float64]:
    """A float map, checked to lie in [0, 1]."""
    exact = prediction.astype(np.float64)
    low, high = float(exact.min()), float(exact.max())
    if not (low >= 0 and high <= 1):
        raise InputError(f"map with values from {low:g} to {high:g}; expected probabilities in [0, 1] or 8-bit values")
    return exact


def _size(array: NDArray[np.generic]) -> str:
    return "x".join(str(side) for side in array.shape[::-1])


def set_iou(counts: Sequence[MapCounts], reduction: IouReduction) -> float:
    """IoU of the blurred region over a set: "pooled" over all its pixels (published code), or mean over images."""
    if reduction == "per_image":
        return float(np.mean([each.iou for each in counts]))
    true = sum(each.true_blur for each in counts)
    union = true + sum(each.false_blur + each.missed_blur for each in counts)
    return true / union if union else 1.0


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
        "mae", "f_beta", "f_beta_max" (means over images), "iou", "images".
    """
    return {
        "mae": float(np.mean([each.mae for each in counts])),
        "f_beta": float(np.mean([each.f_beta for each in counts])),
        "f_beta_max": float(np.mean([each.f_beta_max for each in counts])),
        "iou": set_iou(iou_counts, reduction),
        "images": len(counts),
    }
