"""Photographs that are in a training and in a test split at once, or nearly so: perceptual hashes and their search.

Two 64-bit hashes of the photograph at network size, which is one size for all. pHash: which of the 64 lowest
frequencies of the cosine transform (without the mean) exceed their median. dHash: where the brightness grows from
left to right. Each of them in the four orientations of a flipped copy.

Both must agree for two photographs to be near each other. `PHASH` and `DHASH` are the largest numbers of bits that may
differ. On 10 photographs of CUHK and DUT and 60 rendered ones, copies that were scaled, compressed, 30 % brighter or
darker, flipped, or cropped by 2 % on each side differ by at most 8 and 11; two different ones by 16 and more of pHash.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import permutations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from components.datasets.prepared import PreparedSet, open_array

PHASH = 10
DHASH = 14
SIDE = 32
"""Pixels a side of the picture that pHash transforms."""
FLIPS = ("", "left to right", "upside down", "half turn")
BLOCK = 256
"""Rows compared at once; bounds the memory."""

Hashes = NDArray[np.uint64]
"""(N, 4, 2): of each photograph, in the order of `FLIPS`, pHash and dHash."""


@dataclass(frozen=True)
class Near:
    """Two photographs that are nearly the same; rows or names."""

    first: int
    second: int
    phash: int
    dhash: int
    """Bits that differ, of 64."""
    flip: str
    """One of `FLIPS`: how the second is turned to be as the first."""


@dataclass(frozen=True)
class CrossDuplicate:
    """A training photograph and one of another set's test photographs that are nearly the same: `set/id` of each."""

    training: str
    test: str
    phash: int
    dhash: int
    flip: str


@cache
def cosines() -> NDArray[np.float64]:
    """The transform, (SIDE, SIDE): row k holds cos(pi (n + 1/2) k / SIDE)."""
    k, n = np.arange(SIDE)[:, None], np.arange(SIDE)[None, :]
    return np.cos(np.pi * (n + 0.5) * k / SIDE)


@cache
def lowest() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Vertical and horizontal frequency of the 64 lowest ones by their sum, without (0, 0)."""
    ordered = sorted(((u, v) for u in range(SIDE) for v in range(SIDE)), key=lambda uv: (sum(uv), uv))
    chosen = np.array(ordered[1:65])
    return chosen[:, 0], chosen[:, 1]


def pack(bits: NDArray[np.bool_]) -> int:
    """64 bits as one number, the first one highest."""
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def hashes_of(photograph: NDArray[np.uint8]) -> Hashes:
    """pHash and dHash, (4, 2), of a photograph (S, S, 3)."""
    grey = Image.fromarray(photograph).convert("L")
    small = np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float64)
    steps = np.asarray(grey.resize((9, 8), Image.Resampling.BOX))
    u, v = lowest()
    # Rounded, so that the last digits of a flat picture decide nothing.
    waves = np.round((cosines() @ small @ cosines().T)[u, v], 3)
    values = []
    for across, down in ((0, 0), (1, 0), (0, 1), (1, 1)):
        turned = waves * (-1.0) ** (across * v + down * u)
        side = steps[:: -1 if down else 1, :: -1 if across else 1]
        values.append([pack(turned > np.median(turned)), pack(side[:, 1:] > side[:, :-1])])
    return np.array(values, dtype=np.uint64)


def search(first: Hashes, second: Hashes) -> list[Near]:
    """Every photograph of `second` that is near one of `first`, in its nearest orientation; nearest ones first."""
    best: dict[tuple[int, int], Near] = {}
    for flip, name in enumerate(FLIPS):
        for start in range(0, len(first), BLOCK):
            bits = np.bitwise_count(first[start : start + BLOCK, None, 0] ^ second[None, :, flip])
            for i, j in np.argwhere((bits[..., 0] <= PHASH) & (bits[..., 1] <= DHASH)):
                near = Near(start + int(i), int(j), int(bits[i, j, 0]), int(bits[i, j, 1]), name)
                key = (near.first, near.second)
                best[key] = min(best.get(key, near), near, key=lambda each: each.phash + each.dhash)
    return sorted(best.values(), key=lambda near: (near.phash + near.dhash, near.first, near.second))


def equal_rows(digests: Sequence[bytes]) -> list[list[int]]:
    """Rows whose digests are equal, group by group; an empty digest equals none."""
    groups: dict[bytes, list[int]] = {}
    for row, digest in enumerate(digests):
        if digest:
            groups.setdefault(digest, []).append(row)
    return [rows for rows in groups.values() if len(rows) > 1]


def read_hashes(data: PreparedSet) -> Hashes:
    """Hashes of a prepared set, (N, 4, 2); of no meaning where a row has no photograph.

    Raises:
        InputError: they are missing or damaged.
    """
    return open_array(Path(data.folder) / "hashes.npy", len(data), 3, "uint64")


def rows_of(data: PreparedSet, splits: Iterable[str]) -> NDArray[np.int64]:
    """Rows with a photograph that are in any of `splits`."""
    return np.unique(np.concatenate([np.zeros(0, np.int64), *(data.split(name) for name in splits)]))


def cross_duplicates(sets: Sequence[PreparedSet]) -> list[CrossDuplicate]:
    """Training photographs of each set that are near a test photograph of another; nearest ones first.

    Those within one set are in its `validation.json`.

    Raises:
        InputError: a set's hashes are missing or damaged.
    """
    found = []
    for trained, tested in permutations(sets, 2):
        training = rows_of(trained, set(trained.split_names) - set(trained.test_splits()))
        test = rows_of(tested, tested.test_splits())
        for near in search(read_hashes(trained)[training], read_hashes(tested)[test]):
            first, second = training[near.first], test[near.second]
            found.append(
                CrossDuplicate(
                    f"{trained.name}/{trained.ids[first]}",
                    f"{tested.name}/{tested.ids[second]}",
                    near.phash,
                    near.dhash,
                    near.flip,
                )
            )
    return sorted(found, key=lambda each: (each.phash + each.dhash, each.training, each.test))
