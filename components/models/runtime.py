"""Device, precision, seed, determinism and threads: decided once, at a stage's start, and logged with the reason."""

import logging
import os
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from components.common.cores import cores
from components.common.errors import InputError
from components.models.network import Network

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Device:
    """Where the arithmetic runs.

    Attributes:
        device: "cpu" or "cuda".
        precision: of autocast forward passes in training.
    """

    device: torch.device
    precision: Literal["float32", "bfloat16"]

    def autocast(self) -> AbstractContextManager[object]:
        """Mixed precision for a forward pass; does nothing in float32.

        On a GPU no cast weights are kept: within a recorded step they would be of the recording.
        """
        mixed, kept = self.precision == "bfloat16", self.device.type == "cpu"
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=mixed, cache_enabled=kept)


def set_up(*, device: str, precision: Literal["float32", "bfloat16"], deterministic: bool, threads: int) -> Device:
    """Set torch up for this process.

    The CPU algorithms that are used here are deterministic as they are; asking torch for it there would only import
    its compiler, 4 s at every start.

    Args:
        device: "auto" (CUDA when there is one), "cpu" or "cuda".
        precision: of autocast.
        deterministic: bit-identical results for the same seed, machine and thread count.
        threads: CPU threads; 0 = as many as this process may use cores.

    Raises:
        InputError: CUDA is asked for and there is none.
    """
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise InputError("runtime.device: cuda, but torch finds no CUDA device here; set it to auto or cpu")
    chosen = "cuda" if available and device != "cpu" else "cpu"
    torch.set_num_threads(threads or cores())
    if chosen == "cuda":
        torch.backends.cudnn.benchmark = not deterministic
    if chosen == "cuda" and deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
    log.info("device %s (%s), %s, %d threads", chosen, f"asked: {device}", precision, torch.get_num_threads())
    return Device(torch.device(chosen), precision)


def memory_format(model: nn.Module) -> torch.memory_format:
    """The layout of a model's weights and images, by the device that it lies on."""
    depthwise = any(isinstance(each, nn.Conv2d) and each.groups == each.in_channels > 1 for each in model.modules())
    on_cpu = all(each.device.type == "cpu" for each in model.parameters())
    return torch.contiguous_format if depthwise and on_cpu else torch.channels_last


def device_of(model: nn.Module) -> torch.device:
    """Where a model lies."""
    return next(model.parameters()).device


def to_be_asked(model: Network) -> Network:
    """A trained network in the memory layout that suits its forward pass alone, on the device that it lies on.

    On a CPU channels last takes 0.8 of the time, depthwise convolutions included (in training they are slower so); with
    other grouped convolutions, as ResNeSt's, it takes 1.15 (benchmarks/LAYOUT.md).
    """
    grouped = any(isinstance(each, nn.Conv2d) and 1 < each.groups < each.in_channels for each in model.modules())
    if grouped and device_of(model).type == "cpu":
        return model
    return model.to(memory_format=torch.channels_last)
