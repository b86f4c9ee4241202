"""Weights in and out of files: our own as safetensors with the recipe of the model inside, published ones as they come.

No pickle from outside is executed: `.pt` and `.pth` files are read with `weights_only=True`.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from components.availability import require
from components.errors import InputError
from components.models.backbone import Backbone
from components.models.network import ModelSpec, Network
from components.models.published import LAYOUTS, from_published, recognise
from components.models.registry import build_from_spec
from components.storage import atomic_path

HEADER = (
    "dbdflow"  # the one metadata key: safetensors writes several in random order, and equal weights must hash equal
)


def save_model(path: Path, model: Network, metadata: Mapping[str, str]) -> None:
    """Write weights, recipe and `metadata` to a safetensors file, whole or not at all; equal input, equal bytes.

    Args:
        model: one made by `build_model`.
        metadata: free text about the weights (run, stage, epoch ...); see `read_metadata`.
    """
    assert model.spec is not None, "only models made by build_model can be built again"
    header = json.dumps({"spec": asdict(model.spec), "metadata": dict(metadata)}, sort_keys=True)
    state = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(state, {HEADER: header}))


def load_model(path: Path) -> Network:
    """Build the model that a file of `save_model` describes, with its weights, on the CPU, in `eval()` mode.

    Raises:
        NotAvailableError: the run was not trained, for want of something.
        InputError: the file is missing, broken, not one of ours, or does not fit its own description.
    """
    spec, _ = _read_header(path)
    model = build_from_spec(spec)
    load_weights(path, model)
    return model.eval()


def read_metadata(path: Path) -> dict[str, str]:
    """The `metadata` that `save_model` was given.

    Raises:
        InputError: the file is missing, broken, or not one of ours.
    """
    return _read_header(path)[1]


def load_weights(path: Path, model: Network) -> None:
    """Load the weights of a file of `save_model` into a model of the same make.

    Raises:
        InputError: the file is missing or broken, or its tensors are not those of the model.
    """
    spec, _ = _read_header(path)
    _load(path, f"{spec.name} on {spec.backbone}", model, read_tensors(path))


def load_published(path: Path, model: Network) -> list[str]:
    """Load a published checkpoint (D-DFFNet or MiDaS v2.1; `.safetensors`, `.pt`, `.pth`).

    Returns:
        The keys that were dropped because no forward pass uses them.

    Raises:
        InputError: the file is missing or broken, or its tensors are not those of the model.
    """
    assert model.spec is not None, "only models made by build_model have a published layout"
    assert model.spec.name in LAYOUTS
    state, dropped = from_published(model.spec.name, read_tensors(path), model.state_dict())
    _load(path, "a published checkpoint", model, state)
    return dropped


def open_published(path: Path) -> Network:
    """Build the network whose published checkpoint a file is (see `recognise`), on the CPU, in `eval()` mode.

    Raises:
        InputError: the file is missing or broken, or no published checkpoint that is known here.
    """
    tensors = read_tensors(path)
    known = recognise(tensors)
    if known is None:
        raise InputError(
            f"{path}: no published checkpoint known here: tensors such as {', '.join(sorted(tensors)[:3])}, expected "
            "those of D-DFFNet's authors (resnest.*, vgg.*, agg1.*); name one, or a .safetensors file that a run wrote"
        )
    model = build_from_spec(ModelSpec(*known))
    state, _ = from_published(known[0], tensors, model.state_dict())
    _load(path, "a published checkpoint", model, state)
    return model.eval()


def _load(path: Path, content: str, model: Network, state: Mapping[str, Tensor]) -> None:
    differences = _differences(model.state_dict(), state)
    if differences:
        name = type(model).__name__ if model.spec is None else f"{model.spec.name} on {model.spec.backbone}"
        raise InputError(
            f"{path}: holds {content}, which does not fit {name}: {len(differences)} tensors differ, "
            f"first {'; '.join(differences[:4])}; "
            "name the checkpoint of this model, or the model, backbone and options of this checkpoint"
        )
    model.load_state_dict(state, strict=True)


def _differences(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> list[str]:
    """What keeps `found` from being loaded as `expected`: wrong shapes, missing and surplus keys, in this order."""
    shapes = [
        f"{key} is {tuple(found[key].shape)}, expected {tuple(value.shape)}"
        for key, value in expected.items()
        if key in found and found[key].shape != value.shape
    ]
    missing = [f"{key} is missing" for key in expected if key not in found]
    surplus = [f"{key} is not in the model" for key in found if key not in expected]
    return shapes + missing[:2] + surplus[:2] + missing[2:] + surplus[2:]


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a state dict, from safetensors or from a pickle of nothing but tensors.

    Raises:
        InputError: the file is missing or broken, or holds other objects.
    """
    if path.suffix in {".pt", ".pth"}:
        return _read_pickle(path)
    with _open(path) as file:
        return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (safe_open is no mapping)


def _read_header(path: Path) -> tuple[ModelSpec, dict[str, str]]:
    with _open(path) as file:
        header = (file.metadata() or {}).get(HEADER)
    if header is None:
        raise InputError(f"{path}: no description of a model inside; expected a file that a dbdflow run wrote")
    content = json.loads(header)
    return ModelSpec(**content["spec"]), content["metadata"]


def _open(path: Path) -> safe_open:
    _must_exist(path)
    try:
        return safe_open(path, framework="pt", device="cpu")
    except SafetensorError as error:
        raise InputError(
            f"{path}: not a readable safetensors file ({error}); fetch it again (truncated?), or name a .pt file so"
        ) from error


def _read_pickle(path: Path) -> dict[str, Tensor]:
    _must_exist(path)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError, OSError) as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise InputError(
            f"{path}: not a readable file of weights alone ({reason}); "
            "fetch it again; files with other objects inside are not opened"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"{path}: expected a state dict, found {type(state).__name__} of other objects; convert it")
    return state


def _must_exist(path: Path) -> None:
    require(path.parent)
    if not path.is_file():
        raise InputError(f"{path}: no such file; run the stage that makes it (`dvc repro`)")


def check_start(path: Path | bool, backbone: Backbone) -> None:
    """Check that a backbone that timm made from a file, if it did, has all from there: timm passes over absent weights.

    Raises:
        InputError: one of its parameters is not in the file.
    """
    if not isinstance(path, Path):
        return
    known = {sha256(value.float().numpy().tobytes()).digest() for value in read_tensors(path).values()}
    for name, value in backbone.encoder.named_parameters():
        if sha256(value.detach().float().numpy().tobytes()).digest() not in known:
            raise InputError(
                f"{path}: the parameter {name} of this backbone is not in it; `pretrained` or `dbdflow import` asks "
                "for a file of this very timm model's weights"
            )
