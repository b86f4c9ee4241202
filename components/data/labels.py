"""Labels: read in the polarity of their archive, made binary, 1 = in focus."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from components.data.catalog import DataSet
from components.data.images import read_grey
from components.errors import InputError

GREY = (26, 229)
"""Darkest and brightest level of 0..255 that is neither black nor white: between 10 % and 90 %."""


@dataclass(frozen=True, eq=False)
class Label:
    """One label at its own size."""

    in_focus: NDArray[np.uint8]
    """(h, w) in {0, 1}, 1 = in focus."""
    grey: float
    """Fraction of pixels that were neither black nor white."""


def read_label(path: Path, dataset: DataSet) -> Label:
    """The label at `path`, cut at half: 1 = in focus, whatever white means in the archive of `dataset`.

    Raises:
        InputError: it cannot be read, or too many of its pixels are neither black nor white.
    """
    levels = read_grey(path)
    counts = np.bincount(levels.ravel(), minlength=256)
    brightest = int(counts.nonzero()[0][-1])
    if 0 < brightest < GREY[0]:
        raise InputError(
            f"{path}: its brightest pixel is {brightest / 255:.1%} of white, expected black and white (0 and 255); "
            "rescale it"
        )
    grey = float(counts[GREY[0] : GREY[1] + 1].sum() / levels.size)
    if grey > dataset.grey_tolerance:
        raise InputError(
            f"{path}: {grey:.1%} of its pixels are neither black nor white, expected at most "
            f"{dataset.grey_tolerance:.0%} for {dataset.name}; is it a label, and not a photograph?"
        )
    white = levels >= 128
    return Label((white if dataset.white == "in_focus" else ~white).astype(np.uint8), grey)


def nearest(label: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """`label` (h, w) at (size, size), nearest neighbour."""
    return np.asarray(Image.fromarray(label).resize((size, size), Image.Resampling.NEAREST))
