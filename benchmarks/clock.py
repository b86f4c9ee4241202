"""What the benchmarks of torch share: a clock that waits for the device, memory, rates, the name of the machine."""

import os
import platform
import threading
import time
from collections.abc import Callable
from pathlib import Path

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


class Memory(threading.Thread):
    """Looks fifty times a second how much memory of its own the process has; `peak` is the most that it saw."""

    def __init__(self, device: torch.device) -> None:
        super().__init__(daemon=True)
        self.device, self.seen = device, 0
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        self.start()

    def run(self) -> None:
        while True:
            self.seen = max(self.seen, own_memory())
            time.sleep(0.02)

    @property
    def peak(self) -> int:
        return torch.cuda.max_memory_allocated() if self.device.type == "cuda" else self.seen


def own_memory() -> int:
    """Bytes of this process's memory, without the files that it maps."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(status.split("RssAnon:")[1].split()[0])


def measured_rates(device: torch.device, precision: str, *, side: int = 0, numbers: int = 2**27) -> dict[str, float]:
    """The best of several large matrix products (FLOP/s) and copies of float32 numbers (bytes/s, read and written).

    `side` of the matrices: 8192 on a GPU, else 2048, unless it is said.
    """
    dtype = getattr(torch, precision)
    side = side or (8192 if device.type == "cuda" else 2048)
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    source = torch.empty(numbers, device=device)
    target = torch.empty_like(source)

    def best(work: Callable[[], object]) -> float:
        return min(timed(work, device) for _ in range(6))

    return {
        "flops": 2 * side**3 / best(lambda: torch.mm(a, b)),
        "bytes": 2 * source.nbytes / best(lambda: target.copy_(source)),
    }
