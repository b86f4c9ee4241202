"""Encoders by their timm name: four levels of features, each half the size of the one below."""

import logging
import os
import socket
import urllib.request
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from torch import Tensor, nn

from components.common.errors import InputError
from components.models.tensors import is_safetensors, opened
from components.models.timm_import import import_timm

LAST_FOUR = (-4, -3, -2, -1)
IN_A_RUN = "backbone.encoder."
"""What stands before the names of an encoder's tensors in the file of a whole network of this project."""


class Backbone(nn.Module):
    """A timm model as encoder.

    Args:
        name: a timm model that offers features at four levels, e.g. `resnest101e`, `vgg16`, `resnet10t`.
        pretrained: initial weights: out of a file, of this timm model or of a whole network of this project with that
            encoder; or (True) ImageNet's through timm, which downloads or has them cached.
        out_indices: which of timm's feature levels, finest first. VGG16 of the paper takes (1, 2, 3, 4).
        timm_kwargs: passed on to timm, e.g. `channels=(16, 32, 64, 128)` for a narrow ResNet.

    Attributes:
        channels: of the four levels, deepest first.
        strides: of the four levels, deepest first.

    Raises:
        InputError: unknown name, missing weights, an argument timm refuses, or a model without four such levels.
    """

    def __init__(
        self,
        name: str,
        pretrained: Path | bool = False,
        out_indices: tuple[int, ...] = LAST_FOUR,
        **timm_kwargs: object,
    ) -> None:
        super().__init__()
        self.encoder = _create(name, pretrained, out_indices, timm_kwargs)
        info: Any = self.encoder.feature_info
        self.channels: tuple[int, ...] = tuple(reversed(info.channels()))
        self.strides: tuple[int, ...] = tuple(reversed(info.reduction()))
        _check_levels(name, self.strides, getattr(getattr(self.encoder, "output_fmt", None), "value", "NCHW"))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) -> four of (B, channels, H / stride, W / stride), deepest first.

        Raises:
            InputError: H or W is no multiple of the deepest stride.
        """
        height, width = images.shape[-2:]
        if height % self.strides[0] or width % self.strides[0]:
            raise InputError(
                f"images of {height} x {width} pixels do not divide into this backbone's levels; "
                f"height and width must be multiples of {self.strides[0]}: change the image size"
            )
        return tuple(reversed(self.encoder(images)))


def _create(
    name: str, pretrained: Path | bool, out_indices: tuple[int, ...], timm_kwargs: dict[str, object]
) -> nn.Module:
    if pretrained is True and not _hub_is_near():
        os.environ.setdefault("HF_HUB_OFFLINE", "1")  # else the hub is asked again and again, for a minute
    timm = import_timm()
    logging.getLogger("timm").setLevel(logging.ERROR)  # what does not fit is told by `check_start`
    if not timm.is_model(name):
        near = ", ".join(get_close_matches(name, timm.list_models(), n=3, cutoff=0.4)) or "none"
        raise InputError(f"backbone {name!r}: timm {timm.__version__} has no such model; nearest names: {near}")
    options, ours = dict(timm_kwargs), dict[str, Tensor]()
    if isinstance(pretrained, Path) and not (ours := encoder_of_run(pretrained)):
        options["pretrained_cfg_overlay"] = {"file": str(pretrained)}
    try:
        model: nn.Module = timm.create_model(
            name, features_only=True, pretrained=bool(pretrained) and not ours, out_indices=out_indices, **options
        )
    except Exception as error:  # timm's loaders raise whatever their HTTP client raises
        raise _refusal(name, pretrained, timm_kwargs, error) from error
    if ours:
        try:
            model.load_state_dict(ours)
        except RuntimeError as error:
            raise InputError(
                f"{pretrained}: the encoder of this run is not {name} ({timm_kwargs or 'no options'}); name its "
                "backbone with its options, or another file"
            ) from error
    return model


def encoder_of_run(path: Path) -> dict[str, Tensor]:
    """The encoder's tensors out of the file of a whole network of this project, e.g. the weights that ship.

    Names are the encoder's own; real numbers as stored. Empty where the file is another.
    """
    if not path.is_file() or not is_safetensors(path):
        return {}
    with opened(path) as file:
        names = [name for name in file.keys() if name.startswith(IN_A_RUN)]  # noqa: SIM118 (it is no mapping)
        return {name.removeprefix(IN_A_RUN): file.get_tensor(name) for name in names}


def _hub_is_near() -> bool:
    """Whether the name of timm's hub can be looked up, or a proxy does that."""
    if urllib.request.getproxies():
        return True
    host = urlsplit(os.environ.get("HF_ENDPOINT", "https://huggingface.co")).hostname
    try:
        return bool(socket.getaddrinfo(host, 443))
    except OSError:
        return False


def _refusal(name: str, pretrained: Path | bool, timm_kwargs: dict[str, object], error: Exception) -> InputError:
    advice = "check backbone_kwargs, and that this model offers four levels of features"
    if isinstance(pretrained, Path):
        advice = f"name a file of {name}'s ImageNet weights"
    elif pretrained:
        advice = (
            f"connect to the network, or get the weights by hand and say `dbdflow import {name} FILE`, "
            "or set pretrained to false"
        )
    return InputError(
        f"backbone {name!r} (pretrained: {pretrained}, {timm_kwargs or 'no other options'}): timm cannot make it "
        f"({type(error).__name__}: {' '.join(str(error).split())}); {advice}"
    )


def _check_levels(name: str, strides: tuple[int, ...], layout: str) -> None:
    halving = all(deeper == 2 * finer for deeper, finer in pairwise(strides))
    if len(strides) != 4 or not halving or "NHWC" in layout:
        raise InputError(
            f"backbone {name!r}: features of strides {strides} (deepest first), layout {layout}; expected four levels, "
            "each twice the stride of the next, channels first: choose a convolutional backbone such as resnest101e"
        )
