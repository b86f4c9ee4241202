"""Small models with weights that depend on nothing but the formula below, and their recorded outputs.

`python -m tests.models.tiny` records them again; do that only when a model is meant to change.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from components.maps.inference import probabilities, to_full_size
from components.models.network import Network
from components.models.registry import build_model
from components.models.runtime import to_be_asked
from tests.parity_tools import named_tensors

GOLDENS = Path(__file__).parent.parent / "goldens" / "models.npz"
CPU = torch.device("cpu")
BACKBONE = {"channels": [8, 8, 16, 16], "stem_width": 8}
MODELS = {
    "dffnet": {"width": 8},
    "dffnet_without_dffm": {"width": 8},
    "dffnet_vgg16": {"width": 8},
    "pdnet": {"width": 8},
    "rdffnet": {"width": 8, "final_depth": True},
    "midas": {"width": 16},
}


def build_tiny(name: str) -> Network:
    """A model on a narrow ResNet-10, filled, in `eval()` mode."""
    model = build_model(name, "resnet10t", backbone_kwargs=BACKBONE, **MODELS[name])
    fill(model)
    return model.eval()


def fill(model: torch.nn.Module) -> None:
    """Give the n-th tensor of the state dict a wave of its own; variances and scales around 1."""
    state = {}
    for number, (key, value) in enumerate(model.state_dict().items()):
        wave = np.sin(1.0 + number + 1.7 * np.arange(value.numel())).reshape(value.shape)
        if value.ndim == 1 and key.endswith(("running_var", "weight")):
            wave = 1.0 + 0.2 * wave
        elif value.ndim == 1:
            wave = 0.1 * wave
        elif value.ndim > 1:
            wave = 2.0 * wave / np.sqrt(value[0].numel())
        state[key] = torch.from_numpy(wave).to(value.dtype)
    model.load_state_dict(state)


def images() -> torch.Tensor:
    """One image with slow and fast waves, float32 (1, 3, 64, 64)."""
    y, x, channel = np.meshgrid(np.arange(64), np.arange(64), np.arange(3), indexing="ij")
    wave = np.sin(0.05 * (x + 1) * (channel + 1)) + np.cos(0.9 * y + 0.3 * x * (channel - 1))
    return torch.from_numpy(wave.transpose(2, 0, 1)[None]).float()


def outputs(name: str, device: torch.device = CPU) -> dict[str, np.ndarray]:
    """Maps (every second pixel of the large ones) and channel means of the features; by default on the CPU."""
    with torch.no_grad():
        tensors = named_tensors(build_tiny(name).to(device)(images().to(device)))
    kept = {key: value for key, value in tensors.items() if not key.endswith(("_std", "_corner"))}
    return {f"{name}/{key}": value[..., ::2, ::2] if value.size == 64 * 64 else value for key, value in kept.items()}


if __name__ == "__main__":
    np.savez_compressed(GOLDENS, **{key: value for name in MODELS for key, value in outputs(name).items()})


def picture_of(model: Network, photo: NDArray[np.uint8], side: int, *, best: bool = False) -> NDArray[np.uint8]:
    """The map of a photograph (H, W, 3) by a network that sees `side` pixels: uint8 (H, W), 255 = in focus."""
    found = probabilities(to_be_asked(model), [photo], image_size=side, device=CPU, best=best)
    return to_full_size(found, photo.shape[:2])
