"""Detectors of the paper and the depth teacher. Importing this package imports no torch: names load on first use."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from components.models.backbone import Backbone
    from components.models.checkpoints import load_model, load_published, save_model
    from components.models.network import ModelSpec, Network
    from components.models.outputs import DefocusOutput, DepthOutput
    from components.models.projectors import Projectors
    from components.models.registry import build_model

DETECTOR_NAMES = ("dffnet", "dffnet_without_dffm", "dffnet_vgg16", "pdnet", "rdffnet")
DEPTH_NAMES = ("midas",)
MODEL_NAMES = (*DETECTOR_NAMES, *DEPTH_NAMES)

__all__ = [
    "DEPTH_NAMES",
    "DETECTOR_NAMES",
    "MODEL_NAMES",
    "Backbone",
    "DefocusOutput",
    "DepthOutput",
    "ModelSpec",
    "Network",
    "Projectors",
    "build_model",
    "load_model",
    "load_published",
    "save_model",
]

_HOMES = {
    "Backbone": "backbone",
    "DefocusOutput": "outputs",
    "DepthOutput": "outputs",
    "ModelSpec": "network",
    "Network": "network",
    "Projectors": "projectors",
    "build_model": "registry",
    "load_model": "checkpoints",
    "load_published": "checkpoints",
    "save_model": "checkpoints",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value
