"""A teacher's features, computed once for every training image: so many colour-jittered views, and both flips of each.

In stage 2 the teachers' weights never change, so that their features of an image can be read instead of computed
(paper, III.B: the teachers are frozen). What that means:

* Colour jitter: an image has so many jittered views as the space allows, one an epoch in turn; the student sees the
  view that its teachers saw. With as many views as epochs that is the paper's random jitter; with fewer, it repeats.
* Flip: features are cached of each view as it is and flipped, and the student's flip picks the one to read.
* BatchNorm: cached features come from teachers in eval(). The published code's teachers normalise by the statistics of
  the very batch, which no cache can know: that needs `teacher.mode: online`.

A cache is a folder of shards and a manifest, written last. A shard is a .npy file of at most `SHARD_BYTES`, (images, 2)
records of all that the teacher says of one flip of one image of one view, so that a batch reads one run of bytes an
image. Features lie channels last, as the student's do.

Legend: N images, L levels (deepest first), C channels, h x w a level's size, S network size.
"""

import hashlib
import mmap
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from components.common.availability import require
from components.common.errors import InputError
from components.common.storage import atomic_path, file_hash, read_json, write_json
from components.datasets.loader import Batch, FlipAxis, Jitter, flip, normalise, view_draws
from components.datasets.placing import host_memory, sent
from components.datasets.prepared import npy_head

MANIFEST = "manifest.json"
NORMALISATION = "ImageNet mean and standard deviation"
SHARD_BYTES = 2**30
CHUNK = 32
"""Images whose features go to a device at a time."""
Encoder = Callable[[Tensor], Mapping[str, Tensor]]
Records = NDArray[np.void]


class TeacherFeatures(ABC):
    """What a teacher says of a training batch: tensors (B, C, h, w), features deepest first, of so many channels.

    What lies in a cache is read before a step, as it is another memory for each batch; a teacher that runs does so
    within the step. `said` is what either says, and asks nothing of the host.

    `views`: colour-jittered views that it saw of each image; 0 = it sees every batch itself.
    """

    channels: Sequence[int]
    views: int

    @abstractmethod
    def read(self, batch: Batch) -> tuple[Tensor, ...]:
        """What is read for a batch, before its step, onto the device."""

    def said(self, images: Tensor, read: tuple[Tensor, ...]) -> Sequence[Tensor]:
        """The tensors of a batch, from its images and what was read for it."""
        return read

    def expect(self, batch: Batch) -> None:  # noqa: B027 (most have nothing to read)
        """This batch comes next: time to read ahead."""


class OnlineFeatures(TeacherFeatures):
    """A teacher that runs on the student's very batch, jitter included.

    Args:
        encode: float32 (B, 3, S, S) normalised images to named tensors.
        names: which of them, in order.
        channels: C of each.
    """

    views = 0

    def __init__(self, encode: Encoder, names: Sequence[str], channels: Sequence[int]) -> None:
        self.encode = encode
        self.names = names
        self.channels = channels

    def read(self, batch: Batch) -> tuple[Tensor, ...]:
        """Nothing."""
        return ()

    def said(self, images: Tensor, read: tuple[Tensor, ...]) -> Sequence[Tensor]:
        with torch.no_grad():
            values = self.encode(images)
        return [values[name] for name in self.names]


@dataclass(frozen=True)
class Plan:
    """What a cache is made from, beside its images: features of another plan are never read.

    Attributes:
        teacher: sha256 of the teacher's weights.
        image_size: S, pixels.
        flip_axis: of the flipped copies.
        dtype: "float16" or "float32", of the features.
        jitter: colour jitter of the views.
        seed: what their jitter comes from.
    """

    teacher: str
    image_size: int
    flip_axis: FlipAxis
    dtype: str
    jitter: Jitter
    seed: int

    def seen(self, images: Tensor, ids: Sequence[str], view: int, *, flipped: bool) -> Tensor:
        """What the teacher sees: uint8 (B, 3, S, S) images to float32, jittered, flipped and normalised."""
        jittered = self.jitter(images.float() / 255, view_draws(ids, view, self.seed))
        return normalise(flip(jittered, torch.full((len(ids),), flipped, device=images.device), self.flip_axis))


@dataclass(frozen=True)
class Shard:
    """One file of a cache, mapped into memory: records (images, 2), not flipped and flipped."""

    file: mmap.mmap
    offset: int
    records: Records

    @classmethod
    def open(cls, path: Path) -> "Shard":
        """Map the file, read-only."""
        with path.open("rb") as file:
            assert np.lib.format.read_magic(file) == (1, 0)
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
            offset = file.tell()
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return cls(mapped, offset, np.frombuffer(mapped, dtype, offset=offset).reshape(shape))

    def read_ahead(self, row: int, flipped: int) -> None:
        """Have the system read one record in the background."""
        size = self.records.dtype.itemsize
        start = self.offset + (2 * row + flipped) * size
        aligned = start - start % mmap.PAGESIZE
        self.file.madvise(mmap.MADV_WILLNEED, aligned, start + size - aligned)


@dataclass(frozen=True)
class Cache:
    """One training set's cache, open for reading.

    Attributes:
        folder: where it lies.
        ids: `set/id` of the images, in row order.
        shards: of view 1, then of view 2, ...
        shard_images: images in each shard of a view but its last.
    """

    folder: Path
    ids: list[str]
    shards: list[list[Shard]]
    shard_images: int

    @property
    def record(self) -> np.dtype[np.void]:
        """The names, dtypes and shapes (h, w, C) of what is known of one flip of one view of one image."""
        return self.shards[0][0].records.dtype

    def place(self, view: int, row: int) -> tuple[Shard, int]:
        """The shard and row in it of an image in a view, from 1."""
        return self.shards[view - 1][row // self.shard_images], row % self.shard_images


class CachedFeatures(TeacherFeatures):
    """A teacher that is read from the caches of one or more sets.

    Args:
        caches: one a set, or one in all.
        ids: `set/id` of every training image, in the order of the training set.
        names: which features, in order.

    Attributes:
        views: of every image: of the cache that has fewest.
        nbytes: of the features of all training images, all views and both flips.

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
        self.channels = [caches[0].record[name].shape[-1] for name in names]
        self.views = min(len(cache.shards) for cache in caches)
        self.nbytes = len(ids) * self.views * 2 * sum(caches[0].record[name].itemsize for name in names)

    def read(self, batch: Batch) -> tuple[Tensor, ...]:
        return tuple(level.permute(0, 3, 1, 2) for level in self.levels(batch, batch.images.device))

    def levels(self, batch: Batch, device: torch.device) -> Iterator[Tensor]:
        """The features of a batch on the device, (B, h, w, C) each."""
        found = [shard.records[row, flipped] for shard, row, flipped in self._found(batch)]
        for name in self.names:
            each = [record[name] for record in found]
            level = host_memory((len(each), *each[0].shape), getattr(torch, each[0].dtype.name), device)
            np.stack(each, out=level.numpy())
            yield sent(level, device)

    def expect(self, batch: Batch) -> None:
        """Read the batch's records ahead, in the background."""
        for shard, row, flipped in self._found(batch):
            shard.read_ahead(row, flipped)

    def _found(self, batch: Batch) -> Iterator[tuple[Shard, int, int]]:
        for index, flipped in zip(batch.index.tolist(), batch.flipped.tolist(), strict=True):
            cache, row = self.places[index]
            yield (*cache.place(batch.view, row), int(flipped))


class HeldFeatures(TeacherFeatures):
    """Cached features that are held on the training's device from the start: a batch is picked out there.

    Args:
        cached: where they are read from.
        device: where they are held.

    Attributes:
        held: of each view: a level a tensor (images and then flipped images, h, w, C).
    """

    def __init__(self, cached: CachedFeatures, device: torch.device) -> None:
        self.channels, self.views = cached.channels, cached.views
        self.images, self.device = len(cached.places), device
        self.held = [self._view(cached, view) for view in range(1, cached.views + 1)]

    def _view(self, cached: CachedFeatures, view: int) -> list[Tensor]:
        rows, flipped = torch.arange(self.images).repeat(2), torch.arange(2 * self.images) >= self.images
        held: list[Tensor] = []
        for start in range(0, len(rows), CHUNK):
            chosen = slice(start, start + CHUNK)
            part = Batch(torch.empty(0), torch.empty(0), rows[chosen], flipped[chosen], view)
            levels = list(cached.levels(part, self.device))
            held = held or [level.new_empty((len(rows), *level.shape[1:])) for level in levels]
            for whole, level in zip(held, levels, strict=True):
                whole[chosen] = level
        return held

    def read(self, batch: Batch) -> tuple[Tensor, ...]:
        rows = sent(batch.index + self.images * batch.flipped, self.device)
        return tuple(level[rows].permute(0, 3, 1, 2) for level in self.held[batch.view - 1])


def named(features: Sequence[Tensor]) -> dict[str, Tensor]:
    """An encoder's features, deepest first, as level0, level1, ..."""
    return {f"level{i}": feature for i, feature in enumerate(features)}


def relative_depth(depth: Tensor) -> Tensor:
    """Inverse depth (B, H, W) of any scale to (B, 1, H, W) in [0, 1], 0 farthest and 1 nearest in its image."""
    flat = depth.flatten(1)
    low, high = flat.amin(1), flat.amax(1)
    return ((depth - low[:, None, None]) / (high - low).clamp_min(1e-6)[:, None, None])[:, None]


def views_that_fit(encode: Encoder, images: Tensor, plan: Plan, *, budget: float, most: int) -> int:
    """How many views of all images, both flips of each, a cache of `budget` bytes holds: 1 at least, `most` at most."""
    record = _record(encode, plan.seen(images[:1], [""], view=1, flipped=False), plan.dtype)
    return max(1, min(most, int(budget // (2 * len(images) * record.itemsize))))


def write_cache(
    encode: Encoder, images: Tensor, ids: Sequence[str], folder: Path, plan: Plan, *, views: int, batch_size: int
) -> Iterator[tuple[int, int]]:
    """Compute and write what a teacher says of every view and both flips of every image.

    Goes on after the last whole shard where an earlier call stopped, and does nothing where one has ended.

    Args:
        encode: float32 (B, 3, S, S) normalised images to named tensors (B, C, h, w); in eval mode.
        images: uint8 (N, 3, S, S), RGB, on the device to compute on.
        ids: `set/id` of the images.
        folder: where the shards and, last, the manifest go.
        plan: what the features are of.
        views: colour-jittered views of each image.
        batch_size: images a forward pass.

    Yields:
        (views done, views in all) after each batch, over all images.

    Raises:
        InputError: the disk has no room for a shard.
    """
    progress = folder / "progress.json"
    if (folder / MANIFEST).exists():
        progress.unlink(missing_ok=True)  # a kill may have come between the two
        return
    folder.mkdir(parents=True, exist_ok=True)
    shards: list[dict[str, Any]] = read_json(progress) if progress.exists() else []
    record = _record(encode, plan.seen(images[:1], ids[:1], view=1, flipped=False), plan.dtype)
    shard_images = max(1, SHARD_BYTES // (2 * record.itemsize))
    blocks = [(view, start) for view in range(1, views + 1) for start in range(0, len(images), shard_images)]
    for view, start in blocks[len(shards) :]:
        name, stop = f"view{view}-{start:06d}.npy", min(start + shard_images, len(images))
        digest = hashlib.sha256()
        with atomic_path(folder / name) as temporary, temporary.open("wb") as file:
            header = npy_head(record, (stop - start, 2))
            digest.update(header)
            file.write(header)
            for begin in range(start, stop, batch_size):
                chosen = slice(begin, min(begin + batch_size, stop))
                seen = [plan.seen(images[chosen], ids[chosen], view, flipped=flipped) for flipped in (False, True)]
                said = _said(encode, seen, record).tobytes()
                digest.update(said)
                file.write(said)
                yield (view - 1) * len(images) + chosen.stop, views * len(images)
        shards.append({"name": name, "view": view, "sha256": digest.hexdigest()})
        write_json(progress, shards)
    contents = {"ids": list(ids), "normalisation": NORMALISATION, "shard_images": shard_images, "shards": shards}
    write_json(folder / MANIFEST, asdict(plan) | {"views": views} | contents)
    progress.unlink(missing_ok=True)


def _record(encode: Encoder, image: Tensor, dtype: str) -> np.dtype[np.void]:
    """The fields of a record, (h, w, C) each, as the teacher says them of one image."""
    with torch.no_grad():
        said = encode(image)
    return np.dtype([(name, dtype, tuple(channels_last(value).shape[1:])) for name, value in said.items()])


def _said(encode: Encoder, seen: Sequence[Tensor], record: np.dtype[np.void]) -> Records:
    """What the teacher says of images as they are and flipped: records (B, 2)."""
    records = np.empty((len(seen[0]), 2), record)
    for flipped, images in enumerate(seen):
        with torch.no_grad():
            said = encode(images)
        for name, value in said.items():
            dtype = getattr(torch, record[name].base.name)
            records[name][:, flipped] = channels_last(value).to(dtype).cpu().numpy()
    return records


def channels_last(features: Tensor) -> Tensor:
    """(B, C, h, w) as (B, h, w, C)."""
    return features.permute(0, 2, 3, 1)


def open_cache(folder: Path, plan: Plan) -> Cache:
    """Open a cache for reading; every shard is read once, which checks it and leaves it in the system's file cache.

    Args:
        folder: as written by `write_cache`.
        plan: that it must have been written by.

    Raises:
        NotAvailableError: it was not made, for want of something.
        InputError: it is of another plan (stale features are never read as if they were right), or a shard is missing
            or damaged, or it holds no views.
    """
    require(folder)
    manifest = read_json(folder / MANIFEST)
    for key, value in asdict(plan).items():
        if manifest.get(key) != value:
            raise InputError(
                f"{folder}: this teacher cache was made with {key} {manifest.get(key)!r}, but {value!r} is needed; "
                "make it again (`dvc repro cache_teacher`)"
            )
    if not manifest["views"]:
        raise InputError(
            f"{folder}: no cached features, as this cache was made where teachers run online (on a GPU); "
            "set teacher.mode: online, or cached"
        )
    views: list[list[Shard]] = [[] for _ in range(manifest["views"])]
    for shard in manifest["shards"]:
        path = folder / shard["name"]
        found = f"sha256 {file_hash(path)}" if path.exists() else "no such file"
        if found != f"sha256 {shard['sha256']}":
            raise InputError(
                f"{path}: damaged: {found}, but the manifest says sha256 {shard['sha256']}; "
                f"remove {folder} and run again"
            )
        views[shard["view"] - 1].append(Shard.open(path))
    return Cache(folder, manifest["ids"], views, manifest["shard_images"])
