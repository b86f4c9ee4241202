"""Training batches: images held decoded on the device, flipped and jittered there in batches.

A GPU holds them where they take half of its free memory at most; else the host does, and sends what a batch needs. The
draws are made on the host and sent: nothing here waits for the device.

Every random draw comes from (seed, epoch, index of the image), so that any step can be repeated alone and an
interrupted run goes on as if nothing had happened. Where teachers are cached, colour jitter comes from (seed, view, id
of the image) instead: an image has so many views, one an epoch in turn, and the student sees the view that its teachers
saw.
Legend: B batch, S network size.
"""

import hashlib
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from components.datasets.placing import fits, sent
from components.datasets.prepared import PreparedSet

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
FlipAxis = Literal["vertical", "horizontal"]
FLIP_DIM: dict[FlipAxis, int] = {"vertical": -2, "horizontal": -1}
LUMA = (0.299, 0.587, 0.114)
BRIGHTNESS, CONTRAST, SATURATION = range(3)
ORDERS = torch.tensor(list(permutations((BRIGHTNESS, CONTRAST, SATURATION))))
"""The six orders in which colours may be jittered, (6, 3); equally likely."""


@dataclass(frozen=True)
class TrainingSet:
    """Images and labels of a training split, in memory.

    Attributes:
        images: uint8 (N, 3, S, S), RGB.
        labels: uint8 (N, 1, S, S) in {0, 1}, 1 = in focus (for the depth teacher: float32, inverse depth).
        ids: `set/id` of each image, in order.
        place: where batches are made; None = where the images lie.
    """

    images: Tensor
    labels: Tensor
    ids: list[str]
    place: torch.device | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def device(self) -> torch.device:
        """Where batches are made."""
        return self.place or self.images.device

    def rows(self, index: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Images and labels of some places, on the device."""
        rows = sent(torch.from_numpy(index), self.images.device)
        return sent(self.images[rows], self.device), sent(self.labels[rows], self.device)

    def digest(self) -> str:
        """sha256 of images and labels, hexadecimal."""
        digest = hashlib.sha256(self.images.cpu().numpy().tobytes())
        digest.update(self.labels.cpu().numpy().tobytes())
        return digest.hexdigest()


def load_rows(
    parts: Sequence[tuple[PreparedSet, NDArray[np.int64]]], device: torch.device, *, large: bool = False
) -> TrainingSet:
    """Gather images, from one or several prepared sets, onto the device where they fit it.

    Args:
        parts: (prepared set, rows of it).
        device: where batches are made, and the uint8 arrays are held if they fit.
        large: as they are held for crops, instead of at network size.

    Raises:
        InputError: `large`, and a set was prepared without.
    """
    images, labels, ids = [], [], []
    for prepared, rows in parts:
        pictures, truth = prepared.large_arrays() if large else (prepared.images, prepared.labels)
        images.append(torch.from_numpy(np.ascontiguousarray(pictures[rows].transpose(0, 3, 1, 2))))
        labels.append(torch.from_numpy(np.ascontiguousarray(truth[rows][:, None])))
        ids += [f"{prepared.name}/{prepared.ids[row]}" for row in rows]
    return held(torch.cat(images), torch.cat(labels), ids, device)


def held(images: Tensor, labels: Tensor, ids: list[str], device: torch.device) -> TrainingSet:
    """Images and labels on the device where they fit it, else on the host, for batches on the device."""
    place = device if fits(images.nbytes + labels.nbytes, device) else torch.device("cpu")
    return TrainingSet(images.to(place), labels.to(place), ids, device)


@dataclass(frozen=True)
class Jitter:
    """Strength of colour jitter: each factor is drawn uniformly from 1 - x to 1 + x, and so is their order."""

    brightness: float
    contrast: float
    saturation: float

    def __call__(self, images: Tensor, uniform: NDArray[np.float64]) -> Tensor:
        """Jitter float32 (B, 3, S, S) images in [0, 1] by uniform numbers in [0, 1), (B, 4): `factors` and order."""
        order = ORDERS[(len(ORDERS) * uniform[:, 3]).astype(np.int64)]
        return jitter_colours(images, sent(self.factors(uniform[:, :3]), images.device), sent(order, images.device))

    def factors(self, uniform: NDArray[np.float64]) -> Tensor:
        """Uniform numbers in [0, 1), (B, 3), to factors of brightness, contrast and saturation, float32 (B, 3)."""
        strength = np.array([self.brightness, self.contrast, self.saturation])
        return torch.from_numpy((1 + (2 * uniform - 1) * strength).astype(np.float32))


@dataclass(frozen=True)
class Views:
    """The colour-jittered views of each image, shown in turn.

    Attributes:
        count: how many.
        seed: what their jitter comes from, with (view, id of the image).
    """

    count: int
    seed: int


@dataclass(frozen=True)
class Flips:
    """How an image is changed.

    Attributes:
        axis: of the flip.
        probability: of a flip.
        jitter: of colours.
        views: colour-jittered views of an image, shown in turn; None = every epoch draws its own jitter.
    """

    axis: FlipAxis
    probability: float
    jitter: Jitter
    views: Views | None = None


@dataclass(frozen=True)
class Batch:
    """One training batch.

    Attributes:
        images: float32 (B, 3, S, S), ImageNet-normalised, flipped and jittered.
        labels: float32 (B, 1, S, S) in {0, 1}, 1 = in focus, flipped alike.
        index: int64 (B,), places in the training set; on the host.
        flipped: bool (B,), whether each image is flipped; on the host.
        view: which view of them this is, from 1; 0 where the jitter is this epoch's own.
        read: what was read for its step, a teacher a place: see `components.train.teacher_cache`.
    """

    images: Tensor
    labels: Tensor
    index: Tensor
    flipped: Tensor
    view: int
    read: tuple[tuple[Tensor, ...], ...] = ()


def normalise(images: Tensor) -> Tensor:
    """uint8 (B, 3, S, S) RGB, or float in [0, 1], to ImageNet-normalised float32."""
    scaled = images.float() / 255 if images.dtype == torch.uint8 else images
    return (scaled - colour(IMAGENET_MEAN, images.device)) / colour(IMAGENET_STD, images.device)


def colour(values: tuple[float, float, float], device: torch.device) -> Tensor:
    """A number for each of red, green and blue, float32 (1, 3, 1, 1)."""
    return sent(torch.tensor(values).view(1, 3, 1, 1), device)


def flip(maps: Tensor, flipped: Tensor, axis: FlipAxis) -> Tensor:
    """Flip those of (B, ...) maps for which `flipped` (bool, (B,)) holds."""
    chosen = flipped.view(-1, *[1] * (maps.dim() - 1))
    return torch.where(chosen, maps.flip(FLIP_DIM[axis]), maps)


def jitter_colours(images: Tensor, factors: Tensor, order: Tensor) -> Tensor:
    """Change brightness, contrast (about the mean luma) and saturation (about each pixel's luma) in each image's order.

    Each change is a blend with black, with the mean luma or with the luma, clamped to [0, 1].

    Args:
        images: float32 (B, 3, S, S) in [0, 1].
        factors: float32 (B, 3): brightness, contrast, saturation; 1 = unchanged.
        order: int64 (B, 3), rows of `ORDERS`: what is changed first, second and third.
    """
    weights = colour(LUMA, images.device)
    for turn, factor in zip(order.T, factors.gather(1, order).T, strict=True):
        changed = turn.view(-1, 1, 1, 1)
        luma = (images * weights).sum(1, keepdim=True)
        middle = torch.where(changed == CONTRAST, luma.mean((2, 3), keepdim=True), luma) * (changed != BRIGHTNESS)
        images = (middle + (images - middle) * factor.view(-1, 1, 1, 1)).clamp(0, 1)
    return images


def draws(seed: int, epoch: int, index: Sequence[int]) -> NDArray[np.float64]:
    """Five uniform numbers in [0, 1) for each image of an epoch: flip, and colour jitter's four; (B, 5)."""
    return np.stack([np.random.default_rng([seed, epoch, 1 + int(i)]).random(5) for i in index])


def view_draws(ids: Sequence[str], view: int, seed: int) -> NDArray[np.float64]:
    """Colour jitter's four uniform numbers in [0, 1) for a view (from 1) of each image; (B, 4)."""
    return np.stack([np.random.default_rng([seed, zlib.crc32(image.encode()), view]).random(4) for image in ids])


def view_of(epoch: int, views: Views | None) -> int:
    """Which of an image's views an epoch shows: 1, 2, ..., `count`, 1, 2, ...; 0 if there are none."""
    return (epoch - 1) % views.count + 1 if views else 0


def epoch_order(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    """The epoch's order of the training images: a permutation of range(count)."""
    return np.random.default_rng([seed, epoch, 0]).permutation(count)


def make_batch(data: TrainingSet, index: NDArray[np.int64], *, seed: int, epoch: int, flips: Flips) -> Batch:
    """The batch of the images `index`, int64 (B,), in `epoch`: the same whatever came before it.

    The draws come from `seed` and `epoch`.
    """
    views = flips.views
    view, random = view_of(epoch, views), draws(seed, epoch, index.tolist())
    uniform = view_draws([data.ids[i] for i in index], view, views.seed) if views else random[:, 1:]
    flipped = torch.from_numpy(random[:, 0] < flips.probability)
    chosen = sent(flipped, data.device)
    images, labels = (flip(each, chosen, flips.axis) for each in data.rows(index))
    jittered = flips.jitter(images.float() / 255, uniform)
    return Batch(normalise(jittered), labels.float(), torch.from_numpy(index), flipped, view)


def batches(data: TrainingSet, batch_size: int, *, seed: int, epoch: int, flips: Flips) -> Iterator[Batch]:
    """The batches of one epoch, in its order. See `make_batch`.

    A last, smaller batch is left out, as in the published code (the paper does not say), unless it is the only one.
    """
    order = epoch_order(seed, epoch, len(data))
    for start in range(0, max(1, len(order) - batch_size + 1), batch_size):
        yield make_batch(data, order[start : start + batch_size], seed=seed, epoch=epoch, flips=flips)
