"""Weights in and out of files: our own as safetensors with the recipe of the model inside, published ones as they come.

What a file holds is read by `components.models.tensors`: no pickle from outside is executed.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from functools import partial
from hashlib import sha256
from pathlib import Path

from safetensors.torch import save
from torch import Tensor

from components.common.errors import InputError
from components.common.storage import write_whole
from components.models.backbone import Backbone
from components.models.network import ModelSpec, Network
from components.models.published import LAYOUTS, architecture, from_published, published_key, recognise
from components.models.registry import build_from_spec
from components.models.tensors import COUNTER, HEADER, is_safetensors, must_exist, opened, read_tensors


def save_model(path: Path, model: Network, metadata: Mapping[str, str]) -> None:
    """Write weights, recipe and `metadata` to a safetensors file, whole or not at all; equal input, equal bytes.

    Args:
        model: one made by `build_model`.
        metadata: free text about the weights (run, stage, epoch ...); see `read_metadata`.
    """
    assert model.spec is not None, "only models made by build_model can be built again"
    header = json.dumps({"spec": asdict(model.spec), "metadata": dict(metadata)}, sort_keys=True)
    state = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    write_whole(path, save(state, {HEADER: header}))


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
    _read_header(path)
    tensors = read_tensors(path)
    _load(path, model, tensors, tensors)


def load_published(path: Path, model: Network) -> list[str]:
    """Load a published checkpoint (D-DFFNet or MiDaS v2.1), of safetensors or of torch.

    Returns:
        The keys that were dropped because no forward pass uses them.

    Raises:
        InputError: the file is missing or broken, or its tensors are not those of the model.
    """
    return _load_published(path, model, read_tensors(path))


def _load_published(path: Path, model: Network, tensors: Mapping[str, Tensor]) -> list[str]:
    assert model.spec is not None, "only models made by build_model have a published layout"
    assert model.spec.name in LAYOUTS
    state, dropped = from_published(model.spec.name, tensors, model.state_dict())
    _load(path, model, state, tensors, partial(published_key, model.spec.name))
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
            f"{path}: no published checkpoint known here, but {architecture(tensors)} ({', '.join(sorted(tensors)[:3])}"
            "); expected the names of D-DFFNet's authors (resnest.*, vgg.*, agg1.*): name such a file, or a "
            ".safetensors file that a run wrote"
        )
    model = build_from_spec(ModelSpec(*known))
    _load_published(path, model, tensors)
    return model.eval()


def _load(
    path: Path, model: Network, state: Mapping[str, Tensor], keys: Iterable[str], named: Callable[[str], str] = str
) -> None:
    """Load `state`, which has our names, strictly; BatchNorm's counters, which no forward pass uses, may be absent.

    For messages: `keys` are those of the file, `named` makes them of ours.
    """
    assert model.spec is not None, "only models made by build_model can be told from others"
    expected = model.state_dict()
    counters = {key: value for key, value in expected.items() if key.endswith(COUNTER)}
    whole = {key for key, value in state.items() if value.shape == () and not value.is_floating_point()}
    state = counters | {key: value for key, value in state.items() if key not in counters or key in whole}
    if differences := _differences(expected, state, named):
        raise InputError(
            f"{path}: holds {_content(path, keys)}, which does not fit {model.spec.name} on {model.spec.backbone}: "
            f"{'; '.join(differences)}; name the checkpoint of this model, or the model, backbone and options of this "
            "checkpoint"
        )
    model.load_state_dict(state, strict=True)


def _differences(expected: Mapping[str, Tensor], found: Mapping[str, Tensor], named: Callable[[str], str]) -> list[str]:
    """What keeps `found` from being loaded as `expected`, of each kind the first and how many there are."""
    both = [key for key in expected if key in found]
    kinds = [
        [
            f"{named(key)} is {tuple(found[key].shape)}, expected {tuple(expected[key].shape)}"
            for key in both
            if found[key].shape != expected[key].shape
        ],
        [
            f"{named(key)} is {found[key].dtype}, expected {expected[key].dtype}"
            for key in both
            if found[key].is_floating_point() != expected[key].is_floating_point()
        ],
        [f"{named(key)} is missing" for key in expected if key not in found],
        [f"{key} is not in the model" for key in found if key not in expected],
    ]
    return [f"{each[0]}" + f" (the first of {len(each)})" * (len(each) > 1) for each in kinds if each]


def _content(path: Path, keys: Iterable[str]) -> str:
    """What a file of weights with these keys holds, in words."""
    if not is_described(path):
        return architecture(keys)
    spec, _ = _read_header(path)
    return f"{spec.name} on {spec.backbone}"


def is_described(path: Path) -> bool:
    """Whether a file of weights has the description of a model in it that `save_model` writes.

    Raises:
        InputError: the file is missing or broken.
    """
    must_exist(path)
    if not is_safetensors(path):
        return False
    with opened(path) as file:
        return HEADER in (file.metadata() or {})


def _read_header(path: Path) -> tuple[ModelSpec, dict[str, str]]:
    must_exist(path)
    with opened(path) as file:
        header = (file.metadata() or {}).get(HEADER)
    if header is None:
        raise InputError(f"{path}: no description of a model inside; expected a file that a dbdflow run wrote")
    try:
        content = json.loads(header)
        return ModelSpec(**content["spec"]), dict(content["metadata"])
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{path}: its description of a model cannot be read ({type(error).__name__}: {error}); it was written by "
            "another version of dbdflow, or is damaged: get it again, or train it anew"
        ) from error


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
