"""What the benchmarks of torch share: a clock that waits for the device, and the name of what they ran on."""

import os
import platform
import time
from collections.abc import Callable

import torch


def synchronise(device: torch.device) -> None:
    """Wait for what a GPU has been asked to do; nothing on a CPU."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def timed(work: Callable[[], object], device: torch.device) -> float:
    """Seconds that `work` takes, on the device too."""
    synchronise(device)
    begun = time.perf_counter()
    work()
    synchronise(device)
    return time.perf_counter() - begun


def machine(device: torch.device) -> str:
    """What a note says of the machine and the versions."""
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"{len(os.sched_getaffinity(0))} cores"
    return f"{platform.machine()}, {name}, Python {platform.python_version()}, torch {torch.__version__}"
