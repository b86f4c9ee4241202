"""One pair of a set as it goes into the prepared one: decoded once, in focus = 1, at network size."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.data.catalog import DataSet
from components.data.images import read_photograph, to_network_size
from components.data.labels import nearest, read_label
from components.data.near_duplicates import FLIPS, Hashes, hashes_of
from components.data.pairs import Pair, check_sizes
from components.errors import InputError


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
    depth: NDArray[np.float16] | None
    """(S, S) metres; rendered sets only."""
    traits: Traits


def read_depth(path: Path, size: int) -> NDArray[np.float16]:
    """Distances (size, size) in metres of a rendered photograph, nearest neighbour.

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        depth = np.load(path)
    except (ValueError, EOFError, OSError) as error:
        raise InputError(f"{path}: cannot be read ({error}); render the set again with `dvc repro download`") from error
    rows, columns = (((np.arange(size) + 0.5) * length / size).astype(int) for length in depth.shape)
    return np.asarray(depth[rows[:, None], columns[None, :]], dtype=np.float16)


def make_ready(pair: Pair, dataset: DataSet, raw: Path, size: int) -> Ready:
    """Decode one pair and bring it to network size.

    Raises:
        InputError: a file cannot be read, the label is not binary, or the two differ in size.
    """
    label = read_label(pair.label, dataset)
    photograph = None if pair.image is None else read_photograph(pair.image)
    if pair.image is not None and photograph is not None:
        check_sizes(pair.image, (photograph.height, photograph.width), pair.label, label.in_focus.shape)
    image = np.zeros((size, size, 3), np.uint8) if photograph is None else to_network_size(photograph, size)
    return Ready(
        image=image,
        label=nearest(label.in_focus, size),
        packed=np.packbits(label.in_focus),
        depth=depth_of(pair, raw, size) if (raw / "depth").is_dir() else None,
        traits=Traits(
            height=label.in_focus.shape[0],
            width=label.in_focus.shape[1],
            in_focus=float(label.in_focus.mean()),
            grey=label.grey,
            hashes=np.zeros((len(FLIPS), 2), np.uint64) if photograph is None else hashes_of(image),
            digest=b"" if photograph is None else hashlib.sha256(image.tobytes()).digest(),
        ),
    )


def depth_of(pair: Pair, raw: Path, size: int) -> NDArray[np.float16]:
    """Distances (size, size) in metres; 0 for a label whose photograph is not there.

    Raises:
        InputError: the file is missing or damaged.
    """
    if pair.image is None:
        return np.zeros((size, size), np.float16)
    return read_depth(raw / "depth" / pair.image.relative_to(raw).with_suffix(".npy"), size)
