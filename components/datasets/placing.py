"""Where tensors lie: whether so many bytes fit a device, and how they come to it without anyone's waiting."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def fits(nbytes: int, device: torch.device) -> bool:
    """Whether so many bytes may be held on a device: on a GPU, half of what is free there at most."""
    return device.type != "cuda" or nbytes <= torch.cuda.mem_get_info(device)[0] // 2


def host_memory(shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Room on the host for what goes to a device next: pinned where that is a GPU, so that the copy runs by itself."""
    return torch.empty(shape, dtype=dtype, pin_memory=device.type == "cuda")


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on a device, itself where it lies there.

    To a GPU it goes on a stream of its own, beside what the GPU is at; what is asked of it there next waits for it,
    the host does not.
    """
    if device.type in ("cpu", tensor.device.type):
        return tensor.to(device)
    current, beside = torch.cuda.current_stream(device), _copies(device)
    with torch.cuda.stream(beside):
        there = tensor.pin_memory().to(device, non_blocking=True)
    current.wait_stream(beside)
    there.record_stream(current)
    return there


def brought(tensor: Tensor) -> Callable[[], Tensor]:
    """The tensor on the host, when it is asked for: its copy is asked of the device now."""
    if tensor.device.type == "cpu":
        return lambda: tensor
    host, done = host_memory(tensor.shape, tensor.dtype, tensor.device), torch.cuda.Event()  # type: ignore[no-untyped-call]
    host.copy_(tensor, non_blocking=True)
    done.record()

    def arrived() -> Tensor:
        done.synchronize()
        return host

    return arrived


_STREAMS: dict[torch.device, torch.cuda.Stream] = {}


def _copies(device: torch.device) -> torch.cuda.Stream:
    """The stream of a device's copies."""
    if device not in _STREAMS:
        _STREAMS[device] = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    return _STREAMS[device]
