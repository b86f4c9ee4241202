"""Labels: read in the polarity of their archive, made binary, 1 = in focus."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from components.catalog.masks import read_mask
from components.catalog.sets import DataSet


@dataclass(frozen=True, eq=False)
class Label:
    """One label at its own size."""

    in_focus: NDArray[np.uint8]
    """(h, w) in {0, 1}, 1 = in focus."""
    grey: float
    """Fraction of pixels that were neither black nor white."""
    read_as: str
    """What its file was taken for, where that needs saying; see `Mask`."""


def read_label(path: Path, dataset: DataSet) -> Label:
    """The label at `path`, 1 = in focus, whatever white means in the archive of `dataset`.

    Raises:
        InputError: it cannot be read, or too many of its pixels are neither black nor white.
    """
    mask = read_mask(path, dataset.grey_tolerance)
    in_focus = mask.white if dataset.white == "in_focus" else ~mask.white
    return Label(in_focus.astype(np.uint8), mask.grey, mask.read_as)


def nearest(label: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """`label` (h, w) at (size, size), nearest neighbour."""
    return np.asarray(Image.fromarray(label).resize((size, size), Image.Resampling.NEAREST))
