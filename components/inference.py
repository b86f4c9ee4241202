"""Forward passes of a trained detector: over prepared images, and over photographs of any size.

Maps that are scored are half floats, the probability of being in focus; that of a photograph is a picture, 255 = in
focus (the probability times 255, rounded).
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from components.data.loader import normalise

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
    """Maps of prepared images.

    Args:
        model: in eval mode, on the device.
        images: uint8 (N, S, S, 3), RGB.
        batch_size: images a forward pass.
        device: where to compute.
        best: see `probability`.

    Yields:
        float16 (B, S, S) a batch, in [0, 1], 1 = in focus, in order.
    """
    for start in range(0, len(images), batch_size):
        chunk = np.ascontiguousarray(images[start : start + batch_size].transpose(0, 3, 1, 2))
        with torch.inference_mode():
            maps = probability(model, normalise(torch.from_numpy(chunk).to(device)), best=best)
            yield np.asarray(maps[:, 0].half().cpu().numpy())


def predict_photo(
    model: nn.Module, photo: NDArray[np.uint8], *, image_size: int, device: torch.device, best: bool
) -> NDArray[np.uint8]:
    """The map of one photograph at its own size.

    The photograph is resized to the network's input as in training (Pillow's antialiased bilinear), and the
    probability map is brought back bilinearly: this map is to be looked at and used, not to be scored by the tables'
    rules.

    Args:
        model: in eval mode, on the device.
        photo: uint8 (H, W, 3), RGB.
        image_size: side of the network's input, pixels.
        device: where to compute.
        best: see `probability`.

    Returns:
        uint8 (H, W), 255 = in focus.
    """
    height, width = photo.shape[:2]
    small = np.asarray(Image.fromarray(photo).resize((image_size, image_size), Image.Resampling.BILINEAR))
    with torch.inference_mode():
        inputs = normalise(torch.from_numpy(small.transpose(2, 0, 1)[None].copy()).to(device))
        found = probability(model, inputs, best=best)
        full = torch.nn.functional.interpolate(found, (height, width), mode="bilinear")
    return np.asarray((full[0, 0] * 255).round().to(torch.uint8).cpu().numpy())
