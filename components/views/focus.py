"""What a map says of its photograph in a few numbers: how much is in focus, where, and how sure the map is.

Lengths are pixels of the upright photograph, from its left and upper edge; the centre of the first pixel lies at 0.5.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

HALF = 128
"""Level of a map from which on a pixel is in focus: a probability of a half, times 255, rounded."""
TRIM = 100
"""A box leaves out one in so many of the pixels that are in focus on each of its sides: specks do not stretch it."""


@dataclass(frozen=True)
class Focus:
    """Of a map, 1 = in focus.

    Attributes:
        share: of the pixels that are in focus, those whose map is at least 0.5; 0 to 1.
        centre: x and y of the mean of those pixels; None where there are none.
        box: left, upper, right and lower edge of what holds them but for `TRIM`; None where there are none.
        confidence: mean of the map or, where it is below 0.5, 1 minus it: from 0.5, undecided, to 1.
    """

    share: float
    centre: tuple[float, float] | None
    box: tuple[int, int, int, int] | None
    confidence: float


def measure(levels: NDArray[np.uint8]) -> Focus:
    """The numbers of a map, uint8 (H, W), 255 = in focus."""
    inside = (levels >= HALF).view(np.uint8)
    columns, rows = (cv2.reduce(inside, axis, cv2.REDUCE_SUM, dtype=cv2.CV_32S).ravel() for axis in (0, 1))
    total, confidence = int(rows.sum()), float(np.maximum(levels, ~levels).mean() / 255)
    if not total:
        return Focus(0.0, None, None, confidence)
    (left, right), (upper, lower) = span(columns), span(rows)
    return Focus(total / levels.size, (middle(columns), middle(rows)), (left, upper, right, lower), confidence)


def middle(counts: NDArray[np.int32]) -> float:
    """Where along an axis the mean of the pixels lies that are counted."""
    return float((counts * (np.arange(len(counts)) + 0.5)).sum() / counts.sum())


def span(counts: NDArray[np.int32]) -> tuple[int, int]:
    """From where to where along an axis the pixels lie that are counted, but for one in `TRIM` on either side."""
    before = np.cumsum(counts)
    total = int(before[-1])
    first = int(np.searchsorted(before, total // TRIM, side="right"))
    return first, int(np.searchsorted(before, total - total // TRIM, side="left")) + 1
