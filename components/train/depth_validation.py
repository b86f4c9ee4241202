"""How good a trained depth teacher is on photographs that it was not trained on, up to scale and shift.

Legend: N photographs, S network size.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from components.datasets.loader import TrainingSet, normalise
from components.datasets.placing import sent
from components.models.network import Network
from components.models.runtime import device_of
from components.train.objectives import standardise

TILES = 24
SIDE = 112
"""Pixels of a tile's side on the sheet."""
ACROSS = 4
"""Photographs in a row of the sheet."""
RANGE = 3.0
"""Mean deviations from the median that black and white stand for on the sheet."""


@torch.no_grad()
def predictions(model: Network, images: Tensor, batch_size: int) -> Tensor:
    """Inverse depth, float32 (N, S, S) on the CPU, of uint8 images (N, 3, S, S); the model is left in `eval()`."""
    model.eval()
    device = device_of(model)
    parts = [model(normalise(sent(each, device))).depth.float().cpu() for each in torch.split(images, batch_size)]
    return torch.cat(parts)


def errors(predicted: Tensor, target: Tensor) -> dict[str, float]:
    """`validation_error` and `validation_rank_correlation` of inverse depth (N, S, S), means over the photographs.

    The error is the mean absolute difference after both are brought to zero median and unit mean deviation (0 is
    perfect, a constant gives 1); the correlation is Spearman's, ties sharing their mean rank (1 is perfect).
    """
    difference = (standardise(predicted) - standardise(target)).abs().mean()
    pairs = zip(predicted.flatten(1), target.flatten(1), strict=True)
    correlations = [float(torch.corrcoef(torch.stack([ranks(one), ranks(other)]))[0, 1]) for one, other in pairs]
    return {"validation_error": float(difference), "validation_rank_correlation": float(np.nanmean(correlations))}


def ranks(values: Tensor) -> Tensor:
    """Ranks of (n,) values from 1; equal values share their mean rank."""
    _, inverse, counts = torch.unique(values, return_inverse=True, return_counts=True)
    mean: Tensor = counts.cumsum(0) - (counts - 1) / 2
    return mean[inverse]


def sheet(data: TrainingSet, predicted: Tensor) -> NDArray[np.uint8]:
    """The first 24 photographs, each beside its target and its prediction (nearer = brighter): uint8 (h, w, 3)."""
    target = shown(data.labels[:TILES, 0].cpu())
    photographs = data.images[:TILES].cpu().permute(0, 2, 3, 1).numpy()
    triples = zip(photographs, target, shown(predicted[:TILES]), strict=True)
    strips = [np.concatenate([tile(each) for each in triple], axis=1) for triple in triples]
    blank = np.full_like(strips[0], 255)
    strips += [blank] * (-len(strips) % ACROSS)
    rows = [np.concatenate(strips[i : i + ACROSS], axis=1) for i in range(0, len(strips), ACROSS)]
    return np.concatenate(rows)


def shown(depth: Tensor) -> NDArray[np.uint8]:
    """(N, S, S) inverse depth as grey levels: the median is mid grey."""
    grey = (standardise(depth) / RANGE).clamp(-1, 1) * 127.5 + 127.5
    return grey.round().to(torch.uint8).numpy()


def tile(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A photograph or map, (SIDE, SIDE, 3)."""
    return np.asarray(Image.fromarray(pixels).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR))
