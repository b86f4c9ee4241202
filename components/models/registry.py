"""Models by name."""

from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path

from components.common.errors import InputError
from components.models import MODEL_NAMES
from components.models.backbone import LAST_FOUR, Backbone
from components.models.dffnet import DFFNet, DFFNetVGG16, DFFNetWithoutDFFM, PDNet, RDFFNet
from components.models.midas import MiDaS
from components.models.network import ModelSpec, Network

CLASSES: dict[str, Callable[..., Network]] = {
    "dffnet": DFFNet,
    "dffnet_without_dffm": DFFNetWithoutDFFM,
    "dffnet_vgg16": DFFNetVGG16,
    "pdnet": PDNet,
    "rdffnet": RDFFNet,
    "midas": MiDaS,
}
assert tuple(CLASSES) == MODEL_NAMES

VGG_LEVELS = (1, 2, 3, 4)  # of timm's six: strides 2, 4, 8, 16, each before its pooling (Table V)


def build_model(
    name: str,
    backbone: str,
    *,
    pretrained: Path | bool = False,
    backbone_kwargs: dict[str, object] | None = None,
    **kwargs: object,
) -> Network:
    """Build a model; what timm did not pretrain has torch's default initialisation.

    Args:
        name: one of `components.models.MODEL_NAMES`.
        backbone: a timm model name, e.g. `resnest101e`, `vgg16`, `resnext101_32x8d` (MiDaS).
        pretrained: start the backbone from ImageNet weights: a file, or True for timm's own loader.
        backbone_kwargs: passed on to timm.
        kwargs: passed on to the model's class: `width` (all), `final_depth` (rdffnet).

    Raises:
        InputError: unknown model or backbone, an argument it does not take, or weights that cannot be had.
    """
    return build_from_spec(ModelSpec(name, backbone, dict(backbone_kwargs or {}), kwargs), pretrained=pretrained)


def build_from_spec(spec: ModelSpec, *, pretrained: Path | bool = False) -> Network:
    """`build_model` from a recipe that a model kept."""
    if spec.name not in CLASSES:
        near = get_close_matches(spec.name, CLASSES, n=1, cutoff=0.0)[0]
        raise InputError(f"model {spec.name!r}: no such model; did you mean {near!r}? Models: {', '.join(CLASSES)}")
    levels = VGG_LEVELS if spec.name == "dffnet_vgg16" else LAST_FOUR
    try:
        backbone = Backbone(spec.backbone, pretrained, levels, **spec.backbone_kwargs)
        model = CLASSES[spec.name](backbone, **spec.kwargs)
    except TypeError as error:
        options = {**spec.backbone_kwargs, **spec.kwargs}
        raise InputError(f"model {spec.name!r} with options {options}: {error}; remove that option") from error
    model.spec = spec
    return model
