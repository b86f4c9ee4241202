"""Bootstrap intervals over photographs: how far a score could be off for the photographs that a set happens to hold.

Photographs are drawn with replacement, as many as there are; the interval is the middle 95 % of the score over
`RESAMPLES` such draws (percentile). The draws depend on the number of photographs alone: the same numbers give the
same interval, and two methods on one test set are drawn alike. It says nothing of another training run.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 4000
Interval = tuple[float, float]
"""Lower and upper end."""
INTERVAL = "interval"
"""Beside a test set's scores in `summary.json`: score -> [low, high]."""
OVERLAP = ("iou_intersection", "iou_union")
"""Columns of `per_image.csv`: pixels of which a pooled IoU is the quotient of sums."""


def draws(images: int, seed: int = 0) -> NDArray[np.float64]:
    """How often each photograph is drawn in each of the resamples, (`RESAMPLES`, images); `images` >= 1."""
    chosen = np.random.default_rng(seed).integers(images, size=(RESAMPLES, images))
    places = chosen + images * np.arange(RESAMPLES)[:, None]
    return np.bincount(places.ravel(), minlength=RESAMPLES * images).reshape(RESAMPLES, images).astype(np.float64)


def percentiles(resampled: NDArray[np.float64]) -> Interval:
    """The middle 95 % of (`RESAMPLES`,) scores."""
    low, high = np.percentile(resampled, (2.5, 97.5))
    return float(low), float(high)


def mean_interval(values: Sequence[float] | NDArray[np.float64]) -> Interval:
    """Of the mean of one value a photograph, (n,), n >= 1."""
    exact = np.asarray(values, np.float64)
    return percentiles(draws(len(exact)) @ exact / len(exact))


def pooled(drawn: NDArray[np.float64], parts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum over sum, as of the pooled IoU, in each resample, (`RESAMPLES`,); 1 where there is nothing to divide by.

    Args:
        drawn: see `draws`.
        parts: (n, 2), numerator and denominator a photograph.
    """
    above, below = (drawn @ parts).T
    return np.where(below > 0, above / np.where(below > 0, below, 1), 1.0)
