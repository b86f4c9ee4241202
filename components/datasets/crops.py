"""Batches of the recipe `best`: random crops of photographs that are held larger than the network's input.

A crop shows less of the scene at a finer scale, so that a photograph looks another in every epoch. Every draw comes
from (seed, epoch, index of the image), as in `components.datasets.loader`. Legend: B batch, S network size, L size
held.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from components.datasets.loader import Batch, Jitter, TrainingSet, normalise

SHAPE = 0.15
"""Natural logarithm of the largest change of a crop's sides against each other."""


@dataclass(frozen=True)
class Crops:
    """How an image is changed.

    Attributes:
        size: S, pixels.
        smallest: the shortest side of a crop, as a share of the photograph's; 1 = the whole photograph, always.
        flip_probability: of mirroring left and right.
        jitter: of colours.
    """

    size: int
    smallest: float
    flip_probability: float
    jitter: Jitter


def window(uniform: NDArray[np.float64], held: int, smallest: float) -> tuple[slice, slice]:
    """Rows and columns of a crop.

    Args:
        uniform: four numbers in [0, 1): scale, shape, place down, place across.
        held: L, pixels.
        smallest: see `Crops`.
    """
    scale, shape = smallest + (1 - smallest) * uniform[0], np.exp(SHAPE * (2 * uniform[1] - 1))
    sides = [round(held * float(np.clip(scale * by, smallest, 1))) for by in (shape, 1 / shape)]
    starts = [int(place * (held - side + 1)) for place, side in zip(uniform[2:], sides, strict=True)]
    down, across = (slice(start, start + side) for start, side in zip(starts, sides, strict=True))
    return down, across


def cropped_batch(data: TrainingSet, index: NDArray[np.int64], *, seed: int, epoch: int, crops: Crops) -> Batch:
    """The batch of the images `index` in `epoch`: the same whatever came before it.

    Args:
        data: images and labels of L x L pixels.
        index: int64 (B,), of the images.
        seed, epoch: what the draws come from.
        crops: how they are changed.

    Returns:
        images and labels of S x S pixels; labels have values between 0 and 1 along edges.
    """
    uniform = np.stack([np.random.default_rng([seed, epoch, 1 + int(i)]).random(9) for i in index])
    windows = [window(each[5:], data.images.shape[-1], crops.smallest) for each in uniform]
    mirrored = (uniform[:, 0] < crops.flip_probability).tolist()
    images = _cut(data.images, index.tolist(), windows, mirrored, crops.size) / 255
    labels = _cut(data.labels, index.tolist(), windows, mirrored, crops.size)
    rows = torch.from_numpy(index).to(data.images.device)
    return Batch(
        normalise(crops.jitter(images, uniform[:, 1:5])), labels, rows, torch.zeros_like(rows, dtype=torch.bool), 0
    )


def _cut(
    held: Tensor, index: Sequence[int], windows: Sequence[tuple[slice, slice]], mirrored: Sequence[bool], size: int
) -> Tensor:
    """Windows of uint8 (N, C, L, L), resized to float32 (B, C, S, S), antialiased bilinear."""
    cut = []
    for i, (down, across), mirror in zip(index, windows, mirrored, strict=True):
        part = held[i : i + 1, :, down, across].float()
        resized = functional.interpolate(part, (size, size), mode="bilinear", antialias=True)
        cut.append(resized.flip(-1) if mirror else resized)
    return torch.cat(cut)
