"""The depth teacher's encoder features, computed once for every training image and both flips.

In stage 2 the teachers' weights never change, so that their features of an image can be read instead of computed
(paper, III.B: the teachers are frozen). What that means:

* Flip: features are cached of the image as it is and flipped, and the student's flip picks the one to read.
* Colour jitter: the cached teacher sees the image without jitter, while the student sees it jittered. Online, both see
  the same jittered image, as in the published code.
* BatchNorm: cached features come from teachers in eval(). The published code's teachers normalise by the statistics of
  the very batch, which no cache can know: that needs `teacher.mode: online`.

Legend: N images, L levels (deepest first), C channels, h x w a level's size, S network size.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from components.availability import require
from components.data.loader import Batch, FlipAxis, flip, normalise
from components.errors import InputError
from components.storage import read_json, room_for, write_json

MANIFEST = "manifest.json"
NORMALISATION = "ImageNet mean and standard deviation"
Encoder = Callable[[Tensor], Mapping[str, Tensor]]
Array = NDArray[np.generic]


class TeacherFeatures(Protocol):
    """What a teacher says of a training batch: tensors (B, C, h, w), features deepest first, of so many channels."""

    channels: Sequence[int]

    def __call__(self, batch: Batch) -> Sequence[Tensor]: ...


class OnlineFeatures:
    """A teacher that runs on the student's very batch, jitter included.

    Args:
        encode: float32 (B, 3, S, S) normalised images to named tensors.
        names: which of them, in order.
        channels: C of each.
    """

    def __init__(self, encode: Encoder, names: Sequence[str], channels: Sequence[int]) -> None:
        self.encode = encode
        self.names = names
        self.channels = channels

    def __call__(self, batch: Batch) -> Sequence[Tensor]:
        with torch.no_grad():
            values = self.encode(batch.images)
        return [values[name] for name in self.names]


@dataclass(frozen=True)
class Cache:
    """One training set's cache, open for reading.

    Attributes:
        folder: where it lies.
        ids: `set/id` of the images, in row order.
        arrays: by name, memory maps (N, 2, C, h, w); the second axis is not flipped, flipped.
    """

    folder: Path
    ids: list[str]
    arrays: dict[str, Array]


class CachedFeatures:
    """A teacher that is read from the caches of one or more sets.

    Args:
        caches: one a set, or one in all.
        ids: `set/id` of every training image, in the order of the training set.
        names: which arrays, in order.

    Raises:
        InputError: a training image has no cached features.
    """

    def __init__(self, caches: Sequence[Cache], ids: Sequence[str], names: Sequence[str]) -> None:
        self.names = names
        rows = {image: (cache, row) for cache in caches for row, image in enumerate(cache.ids)}
        missing = [image for image in ids if image not in rows]
        if missing:
            folders = ", ".join(str(cache.folder) for cache in caches)
            raise InputError(
                f"{folders}: no cached features for {len(missing)} of {len(ids)} training images, {missing[0]} first; "
                "name their set in cached_sets and run `dvc repro`"
            )
        self.places = [rows[image] for image in ids]
        self.channels: Sequence[int] = [caches[0].arrays[name].shape[2] for name in names]

    def __call__(self, batch: Batch) -> Sequence[Tensor]:
        index, flips = batch.index.tolist(), batch.flipped.tolist()
        places = [(*self.places[i], int(flipped)) for i, flipped in zip(index, flips, strict=True)]
        return [self._gather(name, places).to(batch.images.device) for name in self.names]

    def _gather(self, name: str, places: Sequence[tuple[Cache, int, int]]) -> Tensor:
        return torch.from_numpy(np.stack([cache.arrays[name][row, flipped] for cache, row, flipped in places]))


def named(features: Sequence[Tensor]) -> dict[str, Tensor]:
    """An encoder's features, deepest first, as level0, level1, ..."""
    return {f"level{i}": feature for i, feature in enumerate(features)}


def relative_depth(depth: Tensor) -> Tensor:
    """Inverse depth (B, H, W) of any scale to (B, 1, H, W) in [0, 1], 0 farthest and 1 nearest in its image."""
    flat = depth.flatten(1)
    low, high = flat.amin(1), flat.amax(1)
    return ((depth - low[:, None, None]) / (high - low).clamp_min(1e-6)[:, None, None])[:, None]


def write_cache(
    encode: Encoder,
    images: Tensor,
    ids: Sequence[str],
    folder: Path,
    *,
    made_from: Mapping[str, Any],
    flip_axis: FlipAxis,
    dtype: str,
    batch_size: int,
) -> Iterator[tuple[int, int]]:
    """Compute and write what a teacher says of both flips of every image.

    Goes on where an earlier call stopped, and does nothing where one has ended.

    Args:
        encode: float32 (B, 3, S, S) normalised images to named tensors (B, C, h, w); in eval mode.
        images: uint8 (N, 3, S, S), RGB, on the device to compute on.
        ids: `set/id` of the images.
        folder: where the arrays `<name>.npy` and, last, the manifest go.
        made_from: what the features depend on (the teacher's hash); goes into the manifest.
        flip_axis: of the flipped copy.
        dtype: "float16" or "float32", of the arrays.
        batch_size: images a forward pass.

    Yields:
        (images done, images in all) after each batch.

    Raises:
        InputError: the disk has no room for the arrays.
    """
    if (folder / MANIFEST).exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    progress = folder / "progress.json"
    done = read_json(progress)["done"] if progress.exists() else 0
    arrays = {path.stem: np.lib.format.open_memmap(path, mode="r+") for path in _paths(folder)} if done else {}
    for start in range(done, len(images), batch_size):
        chunk = images[start : start + batch_size]
        rows = slice(start, start + len(chunk))
        for flipped in (0, 1):
            turned = flip(chunk, torch.full((len(chunk),), bool(flipped), device=chunk.device), flip_axis)
            with torch.no_grad():
                values = encode(normalise(turned))
            arrays = arrays or _create(folder, values, len(images), dtype)
            for name, value in values.items():
                arrays[name][rows, flipped] = value.float().cpu().numpy()
        for array in arrays.values():
            array.flush()
        write_json(progress, {"done": rows.stop})
        yield rows.stop, len(images)
    contents = {
        "ids": list(ids),
        "flip_axis": flip_axis,
        "dtype": dtype,
        "normalisation": NORMALISATION,
        "shapes": {name: list(array.shape) for name, array in arrays.items()},
    }
    progress.unlink(missing_ok=True)
    write_json(folder / MANIFEST, dict(made_from) | contents)


def _create(folder: Path, values: Mapping[str, Tensor], count: int, dtype: str) -> dict[str, np.memmap[Any, Any]]:
    """Arrays with all their room taken at once: a memory map that finds the disk full later kills the process."""
    arrays = {}
    for name, value in values.items():
        path = folder / f"{name}.npy"
        shape = (count, 2, *value.shape[1:])
        with room_for(path):
            arrays[name] = np.lib.format.open_memmap(path, mode="w+", dtype=np.dtype(dtype), shape=shape)
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return arrays


def _paths(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.npy"))


def open_cache(folder: Path, *, expected: Mapping[str, Any]) -> Cache:
    """Open a cache for reading.

    Args:
        folder: as written by `write_cache`.
        expected: manifest entries that must hold, e.g. the teacher's hash and the flip axis.

    Raises:
        NotAvailableError: it was not made, for want of something.
        InputError: an entry differs: stale features are never read as if they were right.
    """
    require(folder)
    manifest = read_json(folder / MANIFEST)
    for key, value in expected.items():
        if manifest.get(key) != value:
            raise InputError(
                f"{folder}: this teacher cache was made with {key} {manifest.get(key)!r}, but {value!r} is needed; "
                "make it again (`dvc repro cache_teacher`)"
            )
    return Cache(folder, manifest["ids"], {path.stem: np.load(path, mmap_mode="r") for path in _paths(folder)})
