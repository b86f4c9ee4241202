"""One pair of a set as it goes into the prepared one: decoded once, in focus = 1, at network size."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from components.catalog.images import read_photograph, to_network_size
from components.catalog.masks import read_mask
from components.catalog.sets import DataSet
from components.prepare.depths import read_depth
from components.prepare.near_duplicates import FLIPS, Hashes, hashes_of
from components.prepare.pairs import Pair, check_sizes


@dataclass(frozen=True, eq=False)
class Traits:
    """What the index and the validation report tell of one pair."""

    height: int
    width: int
    """Full size in pixels."""
    in_focus: float
    grey: float
    """Fractions of the full-size label's pixels; `grey`: that were neither black nor white."""
    hashes: Hashes
    """(4, 2), see `near_duplicates`."""
    read_as: str
    """What the label's file was taken for, where that needs saying; see `components.catalog.masks.Mask`."""
    digest: bytes
    """sha256 of the photograph at network size, empty without one."""


@dataclass(frozen=True, eq=False)
class Ready:
    """One pair, or one label alone, whose photograph is black; S is the network size."""

    image: NDArray[np.uint8]
    """(S, S, 3)."""
    label: NDArray[np.uint8]
    """(S, S), 1 = in focus."""
    packed: NDArray[np.uint8]
    """Bits of the full-size label."""
    traits: Traits
    depth: NDArray[np.float16] | None = None
    """(S, S) inverse depth; None where the set has none."""
    large: NDArray[np.uint8] | None = None
    """(L, L, 3), the photograph as `image` at the larger size; None where none is asked for."""
    label_large: NDArray[np.uint8] | None = None
    """(L, L), likewise."""


def make_ready(
    pair: Pair, dataset: DataSet, size: int, large_size: int = 0, depths: Mapping[str, Path] | None = None
) -> Ready:
    """Decode one pair and bring it to network size, and to `large_size` where that is not 0.

    `depths` has the file of its depth, by the pair's id; None where the set has no depth.

    Raises:
        InputError: a file cannot be read, the label is not binary, or the two differ in size.
    """
    label = read_label(pair.label, dataset)
    photograph = None if pair.image is None else read_photograph(pair.image)
    if pair.image is not None and photograph is not None:
        check_sizes(pair.image, (photograph.height, photograph.width), pair.label, label.in_focus.shape)
    image = at_size(photograph, size)
    return Ready(
        image=image,
        label=nearest(label.in_focus, size),
        packed=np.packbits(label.in_focus),
        traits=Traits(
            height=label.in_focus.shape[0],
            width=label.in_focus.shape[1],
            in_focus=float(label.in_focus.mean()),
            grey=label.grey,
            read_as=label.read_as,
            hashes=np.zeros((len(FLIPS), 2), np.uint64) if photograph is None else hashes_of(image),
            digest=b"" if photograph is None else hashlib.sha256(image.tobytes()).digest(),
        ),
        depth=None if depths is None else read_depth(depths.get(pair.id), size),
        large=at_size(photograph, large_size) if large_size else None,
        label_large=nearest(label.in_focus, large_size) if large_size else None,
    )


def at_size(photograph: Image.Image | None, size: int) -> NDArray[np.uint8]:
    """(size, size, 3) of a photograph, black where there is none."""
    return np.zeros((size, size, 3), np.uint8) if photograph is None else to_network_size(photograph, size)


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
