"""How tensors are named: of our models in the published checkpoints (D-DFFNet, MiDaS v2.1), of others for messages.

The published files also carry tensors that no forward pass uses. Those are named here, so that dropping them is a
decision and anything else unexpected is an error.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

Rules = tuple[tuple[str, str], ...]
T = TypeVar("T")


@dataclass(frozen=True)
class Layout:
    """Names of one published checkpoint.

    Attributes:
        rules: (pattern, replacement), applied in turn to one of our keys.
        unused: pattern of published keys that the forward pass never reads.
    """

    rules: Rules
    unused: str = r"(?!)"


def _numbered(ours: str, theirs: str, numbers: Iterable[int]) -> Rules:
    """Rules from our index 0, 1, ... to their numbers."""
    return tuple((ours.format(index), theirs.format(number)) for index, number in enumerate(numbers))


def _rfbs(numbers: Iterable[int]) -> Rules:
    return (
        *_numbered(r"^rfbs\.{}\.", "rfb{}_1.", numbers),
        (r"^(rfb\d_1)\.branches\.", r"\1.branch"),
        (r"^(rfb\d_1)\.merge\.", r"\1.conv_cat."),
        (r"^(rfb\d_1)\.shortcut\.", r"\1.conv_res."),
    )


RESNEST: Rules = (
    (r"^backbone\.encoder\.", "resnest."),
    (r"^resnest\.layer([34])\.", r"resnest.layer\1_1."),
)
RESNEST_UNUSED = r"resnest\.(layer[34]_2|fc)\."
VGG: Rules = ((r"^backbone\.encoder\.features_", "vgg.features."),)
RFBS_UNUSED = r"rfb\d_1\."
GATES_UNUSED = r"agg1\.conv_upsample[1236]\."

DECODER: Rules = (
    (r"^(fusion\.)?lift\.conv\.", "agg1.conv_upsample4."),
    *_numbered(r"^fusion\.gates\.{}\.", "agg1.conv_upsample{}.", (1, 2, 3, 6)),
    *_numbered(r"^sides\.classifiers\.{}\.", "agg1.side{}.", (1, 2, 3, 4)),
    *_numbered(r"^depth_sides\.classifiers\.{}\.", "agg1.side{}.", (5, 6, 7, 8)),
    *_numbered(r"^attention\.convs\.{}\.", "agg1.spatial_attention{}.0.", (1, 2, 3, 4)),
    *_numbered(r"^reduce\.{}\.", "agg1.conv{}.", (11, 22, 33, 44)),
    *_numbered(r"^aggregation\.lifts\.{}\.conv\.", "agg1.conv_upsample{}.", (5, 7)),
    *_numbered(r"^aggregation\.merges\.{}\.", "agg1.conv_concat{}.", (2, 3, 4)),
    (r"^aggregation\.refine\.", "agg1.conv4."),
    (r"^head\.", "agg1.conv5."),
)

MIDAS: Rules = (
    (r"^backbone\.encoder\.conv1\.", "pretrained.layer1.0."),
    (r"^backbone\.encoder\.bn1\.", "pretrained.layer1.1."),
    (r"^backbone\.encoder\.layer1\.", "pretrained.layer1.4."),
    (r"^backbone\.encoder\.", "pretrained."),
    *_numbered(r"^reduce\.{}\.", "scratch.layer{}_rn.", (4, 3, 2, 1)),
    *_numbered(r"^enter\.{}\.", "scratch.refinenet{}.resConfUnit1.", (3, 2, 1)),
    *_numbered(r"^leave\.{}\.", "scratch.refinenet{}.resConfUnit2.", (4, 3, 2, 1)),
    (r"^head\.narrow\.", "scratch.output_conv.0."),
    (r"^head\.mix\.", "scratch.output_conv.2."),
    (r"^head\.depth\.", "scratch.output_conv.4."),
)

ON_RESNEST = (*RESNEST, *_rfbs((4, 3, 2, 1)), *DECODER)
LAYOUTS = {
    "dffnet": Layout(ON_RESNEST, RESNEST_UNUSED),
    "dffnet_without_dffm": Layout(ON_RESNEST, f"{RESNEST_UNUSED}|{GATES_UNUSED}"),
    "dffnet_vgg16": Layout((*VGG, *_rfbs((4, 3, 2, 5)), *DECODER)),
    "pdnet": Layout(ON_RESNEST, f"{RESNEST_UNUSED}|{RFBS_UNUSED}"),
    "rdffnet": Layout(ON_RESNEST, RESNEST_UNUSED),
    "midas": Layout(MIDAS, r"scratch\.refinenet4\.resConfUnit1\."),
}


def published_key(model: str, key: str) -> str:
    """The published name of our tensor `key` of `model` (one of `components.models.MODEL_NAMES`)."""
    for pattern, replacement in LAYOUTS[model].rules:
        key = re.sub(pattern, replacement, key)
    return key


def to_published(model: str, state: Mapping[str, T]) -> dict[str, T]:
    """Our state dict under published names."""
    return {published_key(model, key): value for key, value in state.items()}


def from_published(model: str, published: Mapping[str, T], keys: Iterable[str]) -> tuple[dict[str, T], list[str]]:
    """A published state dict under our names, and the published keys that were dropped as unused.

    Keys that neither our model has nor the layout calls unused keep their published name, for a strict load to refuse;
    one that happens to be a name of ours is called `their` such.
    """
    ours = {published_key(model, key): key for key in keys}
    names = {key: f"their {key}" for key in ours.values()} | ours
    unused = re.compile(LAYOUTS[model].unused)
    dropped = [key for key in published if key not in ours and unused.match(key)]
    kept = {names.get(key, key): value for key, value in published.items() if key in ours or not unused.match(key)}
    return kept, dropped


def recognise(keys: Iterable[str]) -> tuple[str, str] | None:
    """Model and timm backbone of a checkpoint with these published keys; None if it is none that is known here.

    DFFNet and DFFNet without DFFM have the same keys: taken for DFFNet, as every published file of a detector is one.
    """
    found = set(keys)
    roots = {key.partition(".")[0] for key in found}
    if "pretrained" in roots:
        return "midas", "resnext101_32x8d"
    if "vgg" in roots:
        return "dffnet_vgg16", "vgg16"
    if "resnest" not in roots:
        return None
    if "agg1.side5.weight" in found:
        return "rdffnet", "resnest101e"
    return ("dffnet" if "agg1.side1.weight" in found else "pdnet"), "resnest101e"


ARCHITECTURES = (
    (r"pretrained\.model\.blocks\.", "MiDaS v3 (DPT)"),
    (r"depth_head\.", "Depth Anything"),
    (r"pretrained\.layer1\.3\.", "MiDaS v2.1 small"),
    (r"pretrained\.layer1\.4\.", "MiDaS v2.1"),
    (r"backbone\.encoder\.", "a network of dbdflow, without the description that its .safetensors file has"),
    (r"layer1\.0\.conv2\.(fc1|conv|radix)", "a ResNeSt"),
    (r"layer1\.0\.", "a ResNet"),
    (r"features\.denseblock1\.", "a DenseNet"),
    (r"features\.\d+\.(0|conv)\.", "a MobileNet or EfficientNet of torchvision"),
    (r"features\.\d+\.weight", "a VGG"),
    (r"conv_stem\.", "a MobileNet or EfficientNet of timm"),
    (r"layers\.\d+\.blocks\.\d+\.attn\.", "a Swin Transformer"),
    (r"(blocks|encoder\.layers?)\.\d+\.(attn|attention|self_attention)", "a Vision Transformer"),
    (r"(stages\.\d+\.blocks|downsample_layers)\.", "a ConvNeXt"),
    (r"(inc|down1|up1)\.", "a U-Net"),
)
"""How a name begins that only this network has among those above it, and the network."""


def architecture(keys: Iterable[str]) -> str:
    """What tensors of these names are: "what looks like a ResNet", "tensors of no network known here"."""
    names = sorted(keys)
    for start, what in ARCHITECTURES:
        if any(re.match(start, name) for name in names):
            return f"what looks like {what}"
    known = recognise(names)
    return f"what looks like {known[0]} of D-DFFNet's authors" if known else "tensors of no network known here"
