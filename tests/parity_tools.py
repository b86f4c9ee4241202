"""Models filled as the reference implementation was, and comparisons with its golden tensors."""

import json
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import Tensor, nn

from components.models.network import Network
from components.models.published import from_published, published_key

GOLDEN_NAMES = {"midas": "midas_v21"}  # where the golden files name a model otherwise than we do


@cache
def _reference_shapes(path: Path) -> dict[str, dict[str, list[int]]]:
    return json.loads(path.read_text())


def reference_shapes(shared: Path, model: str) -> dict[str, tuple[int, ...]]:
    """Every key of the published checkpoint of our model name, with its shape."""
    shapes = _reference_shapes(shared / "parity" / "reference_keys.json")[GOLDEN_NAMES.get(model, model)]
    return {key: tuple(shape) for key, shape in shapes.items()}


def goldens(shared: Path, model: str) -> dict[str, np.ndarray]:
    """The golden tensors of our model name."""
    with np.load(shared / "parity" / f"{GOLDEN_NAMES.get(model, model)}.npz") as file:
        return {key: file[key] for key in file.files}


def reference_value(reference: ModuleType, key: str, shape: tuple[int, ...], seed: int = 0) -> Tensor:
    """The value of one published tensor; the counters of batch normalisation, which are not filled, are zero."""
    if key.endswith("num_batches_tracked"):
        return torch.tensor(0)
    return torch.from_numpy(reference.fill(key, shape, seed))


def fill_as_reference(model: Network, reference: ModuleType, seed: int = 0) -> None:
    """Give each tensor of a model made by `build_model` the value of its published counterpart."""
    assert model.spec is not None
    name = model.spec.name
    published = {
        key: reference_value(reference, key, tuple(value.shape), seed)
        for key, value in ((published_key(name, ours), value) for ours, value in model.state_dict().items())
    }
    state, dropped = from_published(name, published, model.state_dict())
    assert dropped == []
    model.load_state_dict(state, strict=True)


def fill_projectors(projectors: nn.Module, reference: ModuleType, prefix: str, seed: int = 0) -> None:
    """Fill 1x1 projectors, deepest level first, under `<prefix>.conv1.weight` ... `conv4.weight`."""
    for level, weight in enumerate(projectors.parameters(), start=1):
        weight.data = reference_value(reference, f"{prefix}.conv{level}.weight", tuple(weight.shape), seed)


def named_tensors(output: object) -> dict[str, np.ndarray]:
    """The tensors of a model's output under the names of the golden files."""
    tensors: dict[str, Tensor] = {}
    for name in ("logits", "depth"):
        if isinstance(value := getattr(output, name, None), Tensor):
            tensors[name] = value
    for field, name in (("sides", "side"), ("depth_sides", "depth_side")):
        tensors |= {f"{name}{level}": value for level, value in enumerate(getattr(output, field, ()))}
    for level, feature in enumerate(output.features):
        tensors |= {
            f"feature{level}_channel_mean": feature.mean((0, 2, 3)),
            f"feature{level}_channel_std": feature.std((0, 2, 3)),
            f"feature{level}_corner": feature[0, :16, :4, :4],
        }
    return {name: value.detach().cpu().numpy() for name, value in tensors.items()}


def assert_close(ours: dict[str, np.ndarray], golden: dict[str, np.ndarray]) -> None:
    """Each golden tensor is ours but for what processors differ by: 1e-5 of the tensor's largest value.

    The same float32 weights differ by up to 0.83 of it (VGG16 on AVX2; MiDaS 0.57, tiny ones 0.42, the others 0.15)
    with another number of threads or the kernels of another processor, which take sums in another order.
    """
    for name, value in golden.items():
        np.testing.assert_allclose(ours[name], value, rtol=0, atol=1e-5 * float(np.abs(value).max()), err_msg=name)
