"""Forward passes of a trained detector: over prepared images, and over photographs of any size.

Maps that are scored are half floats, the probability of being in focus; that of a photograph is a picture, 255 = in
focus (the probability times 255, rounded).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from components.datasets.loader import normalise
from components.datasets.placing import brought, sent

ROWS = 512
"""Of a full-size map, made at a time."""
SHARPNESS = 3.0
"""What logits are multiplied by in maps of the recipe `best`: its maps are soft, and a map is an answer more than a
probability. Chosen on validation photographs, where it takes MAE from 0.082 to 0.067 and leaves what is below 0.5 as it
is (docs/cuhk.md)."""


def by_best(card: Mapping[str, Any]) -> bool:
    """Whether a run was trained by the recipe `best`, so that its maps are made by it too; see `probability`."""
    return bool(card["params"].get("model", {}).get("training") == "best1")


def probability(model: nn.Module, inputs: Tensor, *, best: bool) -> Tensor:
    """Probability of being in focus, float32 (B, 1, H, W) in [0, 1].

    Args:
        model: in eval mode.
        inputs: float32 (B, 3, H, W), normalised, on its device.
        best: of the mean of the logits with those of the images mirrored left and right, `SHARPNESS` times.
    """
    logits = model(inputs).logits.float()
    if best:
        logits = SHARPNESS * (logits + model(inputs.flip(-1)).logits.float().flip(-1)) / 2
    return torch.sigmoid(logits)


def predict_maps(
    model: nn.Module, images: NDArray[np.uint8], *, batch_size: int, device: torch.device, best: bool
) -> Iterator[NDArray[np.float16]]:
    """Maps of prepared images. A GPU is at the next batch while one is taken from it.

    Args:
        model: in eval mode, on the device.
        images: uint8 (N, S, S, 3), RGB.
        batch_size: images a forward pass.
        device: where to compute.
        best: see `probability`.

    Yields:
        float16 (B, S, S) a batch, in [0, 1], 1 = in focus, in order.
    """
    previous: Callable[[], Tensor] | None = None
    for start in range(0, len(images), batch_size):
        coming = _begun(model, images[start : start + batch_size], device, best)
        if previous:
            yield np.array(previous().numpy())
        previous = coming
    if previous:
        yield np.array(previous().numpy())


@torch.inference_mode()
def _begun(model: nn.Module, images: NDArray[np.uint8], device: torch.device, best: bool) -> Callable[[], Tensor]:
    """A batch's maps, float16 (B, S, S), when they are there."""
    chunk = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    maps = probability(model, normalise(sent(torch.from_numpy(chunk), device)), best=best)
    return brought(maps[:, 0].half())


def probabilities(
    model: nn.Module, photos: Sequence[NDArray[np.uint8]], *, image_size: int, device: torch.device, best: bool
) -> Tensor:
    """Maps of photographs of any sizes, at the network's.

    A photograph is resized to the network's input as in training (Pillow's antialiased bilinear).

    Args:
        model: in eval mode, on the device.
        photos: uint8 (h, w, 3) each, RGB.
        image_size: side S of the network's input, pixels.
        device: where to compute.
        best: see `probability`.

    Returns:
        float32 (N, 1, S, S) in [0, 1], 1 = in focus, on the device.
    """
    small = np.stack([resized(photo, image_size) for photo in photos])
    with torch.inference_mode():
        inputs = normalise(sent(torch.from_numpy(small.transpose(0, 3, 1, 2).copy()), device))
        return probability(model, inputs, best=best)


def resized(photo: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """A photograph, uint8 (h, w, 3), as a network of this side sees it, uint8 (S, S, 3)."""
    return np.asarray(Image.fromarray(photo).resize((side, side), Image.Resampling.BILINEAR))


def at_full_size(found: Tensor, size: tuple[int, int]) -> NDArray[np.float32]:
    """A map, float32 (1, 1, h, w) in [0, 1], brought bilinearly to (H, W): to be used, not to be scored."""
    return np.asarray(F.interpolate(found, size, mode="bilinear")[0, 0].cpu().numpy())


def to_full_size(found: Tensor, size: tuple[int, int]) -> NDArray[np.uint8]:
    """A map, float32 (1, 1, h, w) in [0, 1], brought bilinearly to (H, W), uint8; rows by rows, in bounded memory."""
    height, width = size
    full = np.empty(size, np.uint8)
    wide = F.interpolate(found, (found.shape[2], width), mode="bilinear")[0, 0]
    centres = ((torch.arange(height, device=found.device) + 0.5) * (len(wide) / height) - 0.5).clamp(min=0)
    above = centres.long()
    below, share = (above + 1).clamp(max=len(wide) - 1), (centres - above)[:, None]
    for start in range(0, height, ROWS):
        rows = slice(start, start + ROWS)
        values = wide[above[rows]].lerp(wide[below[rows]], share[rows])
        full[rows] = (values * 255).round().to(torch.uint8).cpu().numpy()
    return full
