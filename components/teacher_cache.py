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

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from components.data.loader import Batch, FlipAxis, flip, normalise
from components.errors import InputError
from components.storage import read_json, write_json

MANIFEST = "manifest.json"
NORMALISATION = "ImageNet mean and standard deviation"
Encoder = Callable[[Tensor], Sequence[Tensor]]


class TeacherFeatures(Protocol):
    """Features of a training batch, deepest first: tensors (B, C, h, w)."""

    def __call__(self, batch: Batch) -> Sequence[Tensor]: ...


class OnlineFeatures:
    """A teacher that runs on the student's very batch, jitter included."""

    def __init__(self, encode: Encoder) -> None:
        self.encode = encode

    def __call__(self, batch: Batch) -> Sequence[Tensor]:
        with torch.no_grad():
            return self.encode(batch.images)


class CachedFeatures:
    """A teacher that is read from a cache.

    Args:
        arrays: memory maps (N, 2, C, h, w), one a level; the second axis is not flipped, flipped.
        rows: int64 (training images,), each training image's row in the arrays.
    """

    def __init__(self, arrays: Sequence[NDArray[np.generic]], rows: NDArray[np.int64]) -> None:
        self.arrays = arrays
        self.rows = rows

    def __call__(self, batch: Batch) -> Sequence[Tensor]:
        rows, flipped = self.rows[batch.index.cpu().numpy()], batch.flipped.cpu().numpy().astype(np.int64)
        return [torch.from_numpy(array[rows, flipped]).to(batch.images.device) for array in self.arrays]


def file_hash(path: Path) -> str:
    """sha256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_features(
    encode: Encoder,
    images: Tensor,
    folder: Path,
    *,
    manifest: dict[str, Any],
    flip_axis: FlipAxis,
    dtype: str,
    batch_size: int,
) -> Iterator[tuple[int, int]]:
    """Compute and write the features of both flips of every image; goes on where an earlier call stopped.

    Args:
        encode: float32 (B, 3, S, S) normalised images to features, deepest first; in eval mode.
        images: uint8 (N, 3, S, S), RGB, on the device to compute on.
        folder: where the arrays `level<i>.npy` and the manifest go; the manifest is written last.
        manifest: what the features depend on (teacher's hash, image ids); shapes and dtype are added.
        flip_axis: of the flipped copy.
        dtype: "float16" or "float32", of the arrays.
        batch_size: images a forward pass.

    Yields:
        (images done, images in all) after each batch.
    """
    folder.mkdir(parents=True, exist_ok=True)
    progress = folder / "progress.json"
    done = read_json(progress)["done"] if progress.exists() else 0
    arrays: list[NDArray[np.generic]] = []
    for start in range(done, len(images), batch_size):
        chunk = images[start : start + batch_size]
        for flipped in (0, 1):
            turned = flip(chunk, torch.full((len(chunk),), bool(flipped), device=chunk.device), flip_axis)
            with torch.no_grad():
                features = encode(normalise(turned))
            arrays = arrays or _open(folder, features, len(images), dtype, create=start == 0)
            for array, feature in zip(arrays, features, strict=True):
                array[start : start + len(chunk), flipped] = feature.float().cpu().numpy()
        for array in arrays:
            array.flush()  # type: ignore[attr-defined]
        write_json(progress, {"done": start + len(chunk)})
        yield start + len(chunk), len(images)
    shapes = [list(np.load(path, mmap_mode="r").shape) for path in _levels(folder)]
    contents = {"flip_axis": flip_axis, "dtype": dtype, "normalisation": NORMALISATION, "shapes": shapes}
    progress.unlink()
    write_json(folder / MANIFEST, manifest | contents)


def _open(
    folder: Path, features: Sequence[Tensor], count: int, dtype: str, *, create: bool
) -> list[NDArray[np.generic]]:
    paths = [folder / f"level{i}.npy" for i in range(len(features))]
    if not create:
        return [np.lib.format.open_memmap(path, mode="r+") for path in paths]
    shapes = [(count, 2, *feature.shape[1:]) for feature in features]
    return [
        np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
        for path, shape in zip(paths, shapes, strict=True)
    ]


def _levels(folder: Path) -> list[Path]:
    return sorted(folder.glob("level*.npy"))


def open_features(folder: Path, *, expected: dict[str, Any]) -> tuple[list[NDArray[np.generic]], list[str]]:
    """Open a cache for reading.

    Args:
        folder: as written by `write_features`.
        expected: manifest entries that must hold, e.g. the teacher's hash and the flip axis.

    Returns:
        memory maps (N, 2, C, h, w), deepest first, and the image ids in row order.

    Raises:
        InputError: an entry differs: the cache was made from something else and is never read as if it were right.
    """
    manifest = read_json(folder / MANIFEST)
    for key, value in expected.items():
        if manifest.get(key) != value:
            raise InputError(
                f"{folder}: this teacher cache was made with {key} {manifest.get(key)!r}, but {value!r} is needed; "
                "make it again (`dvc repro cache_teacher`)"
            )
    return [np.load(path, mmap_mode="r") for path in _levels(folder)], list(manifest["ids"])


def rows_of(ids: Sequence[str], wanted: Sequence[str], folder: Path) -> NDArray[np.int64]:
    """The row of each wanted image.

    Raises:
        InputError: an image has no cached features.
    """
    place = {name: row for row, name in enumerate(ids)}
    missing = [name for name in wanted if name not in place]
    if missing:
        raise InputError(
            f"{folder}: no cached features for {len(missing)} training images, {missing[0]} first; "
            "make the cache again (`dvc repro cache_teacher`)"
        )
    return np.array([place[name] for name in wanted], np.int64)
