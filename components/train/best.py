"""The recipe `best`: how the detector that ships is trained. Ours, not the paper's.

AdamW with a slower encoder, a warm-up and a cosine; random crops of photographs that are held larger than the network's
input; a loss that also counts the overlap; at the end the running average of the weights. A crop shows less of a scene
at a finer scale; every draw comes from (seed, epoch, index of the image), as in `components.datasets.loader`.
docs/cuhk.md says how each choice was made, and what was tried. Legend: B batch, S network size, L size held.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from components.datasets.loader import Batch, Jitter, TrainingSet, epoch_order, normalise
from components.datasets.placing import sent
from components.models.network import DefocusOutput, Network
from components.train.losses import at_size_of
from components.train.optimizer import Adam

SHAPE = 0.15
"""Natural logarithm of the largest change of a crop's sides against each other."""
SMALLEST_RATE = 1e-4
"""Of the cosine, as a share of the learning rate."""


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
    images, labels = (
        torch.cat(
            [
                _cut(sent(held[i : i + 1, :, down, across], data.device), mirror, crops.size)
                for i, (down, across), mirror in zip(index.tolist(), windows, mirrored, strict=True)
            ]
        )
        for held in (data.images, data.labels)
    )
    jittered = crops.jitter(images / 255, uniform[:, 1:5])
    unflipped = torch.zeros(len(index), dtype=torch.bool)
    return Batch(normalise(jittered), labels, torch.from_numpy(index), unflipped, 0)


def _cut(window: Tensor, mirror: bool, size: int) -> Tensor:
    """A window, uint8 (1, C, h, w), resized to float32 (1, C, S, S), antialiased bilinear."""
    resized = F.interpolate(window.float(), (size, size), mode="bilinear", antialias=True)
    return resized.flip(-1) if mirror else resized


@dataclass(frozen=True)
class Best:
    """The course of a training; see `components.train.training.Course`.

    Attributes:
        epochs_run: epochs.
        batch_size: images a step; a smaller last batch is dropped.
        learning_rate: of the decoder, at its highest.
        encoder_rate: of the encoder, as a share of that.
        weight_decay: of AdamW, decoupled.
        warm_up: epochs over which the rate rises.
        gradient_clip: largest absolute value of a gradient element.
        averaging: share of the average that a step keeps; less in the first steps.
        crops: augmentation.
        seed: of order and augmentation.
    """

    epochs_run: int
    batch_size: int
    learning_rate: float
    encoder_rate: float
    weight_decay: float
    warm_up: float
    gradient_clip: float
    averaging: float
    crops: Crops
    seed: int

    def optimizers(self, model: nn.Module) -> list[Adam]:
        """The decoder's and the encoder's."""
        assert isinstance(model, Network)
        encoder = list(model.backbone.parameters())
        theirs = {id(each) for each in encoder}
        decoder = [each for each in model.parameters() if id(each) not in theirs]
        return [
            Adam(each, learning_rate=self.learning_rate, weight_decay=self.weight_decay, decoupled=True)
            for each in (decoder, encoder)
        ]

    def set_rates(self, optimizers: Sequence[Adam], epoch: int, done: float) -> float:
        """Up along a line, then down along a cosine."""
        passed = epoch - 1 + done
        cosine = (1 + math.cos(math.pi * passed / self.epochs_run)) / 2
        risen = min(1.0, passed / self.warm_up) if self.warm_up else 1.0
        rate = self.learning_rate * max(SMALLEST_RATE, cosine * risen)
        decoder, encoder = optimizers
        decoder.learning_rate, encoder.learning_rate = rate, self.encoder_rate * rate
        return rate

    def batches(self, data: TrainingSet, epoch: int) -> Iterator[Batch]:
        """Crops of all images, in the epoch's order."""
        order = epoch_order(self.seed, epoch, len(data))
        for start in range(0, len(order) - self.batch_size + 1, self.batch_size):
            index: np.ndarray[tuple[int], np.dtype[np.int64]] = order[start : start + self.batch_size]
            yield cropped_batch(data, index, seed=self.seed, epoch=epoch, crops=self.crops)

    def average(self, model: nn.Module) -> AveragedModel:
        """Exponential, over weights and BatchNorm statistics; it keeps less of the first steps."""
        return Average(model, self.averaging)


class Average(AveragedModel):
    """The running average of a model's weights and buffers; torch's own would wait for the device at every step.

    Args:
        model: what is averaged.
        averaging: see `Best`.
    """

    def __init__(self, model: nn.Module, averaging: float) -> None:
        super().__init__(model, use_buffers=True)
        self.averaging = averaging
        self.taken: int | None = None

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Take a step's weights in; the first are copied."""
        self.taken = int(self.n_averaged) if self.taken is None else self.taken
        ours, theirs = (chain(each.parameters(), each.buffers()) for each in (self.module, model))
        pairs = list(zip(ours, theirs, strict=True))
        floats = [pair for pair in pairs if pair[0].is_floating_point() and self.taken]
        counts = [pair for pair in pairs if not (pair[0].is_floating_point() and self.taken)]
        keep = min(self.averaging, (1 + self.taken) / (10 + self.taken))
        if floats:
            torch._foreach_lerp_([a for a, _ in floats], [b for _, b in floats], 1 - keep)
        if counts:
            torch._foreach_copy_([a for a, _ in counts], [b for _, b in counts])
        self.taken += 1
        self.n_averaged += 1


@dataclass(frozen=True)
class Overlap:
    """BCE and soft IoU of the final output, and BCE of the side outputs.

    Attributes:
        iou_weight: of 1 - soft IoU.
        side_weight: of the mean over the side outputs.
    """

    iou_weight: float
    side_weight: float

    def loss(self, output: DefocusOutput, labels: Tensor) -> Tensor:
        """Of a model's named outputs and labels (B, 1, H, W) in [0, 1], 1 = in focus."""
        logits = output.logits.float()
        total = F.binary_cross_entropy_with_logits(logits, labels)
        total = total + self.iou_weight * (1 - soft_iou(torch.sigmoid(logits), labels))
        sides = [at_size_of(side.float(), labels) for side in output.sides]
        if sides:
            losses = [F.binary_cross_entropy_with_logits(side, labels) for side in sides]
            total = total + self.side_weight * torch.stack(losses).mean()
        return total


def soft_iou(probability: Tensor, labels: Tensor) -> Tensor:
    """Mean over images and over both classes of sum(p t) / sum(p + t - p t), each with 1 added (no empty class)."""
    each = []
    for p, t in ((probability, labels), (1 - probability, 1 - labels)):
        shared = (p * t).sum((1, 2, 3))
        each.append((shared + 1) / ((p + t).sum((1, 2, 3)) - shared + 1))
    return torch.stack(each).mean()
