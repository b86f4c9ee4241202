"""A training step, and how it is run: as it is, or (CUDA) recorded once as a graph of kernels and replayed.

A step of these networks is a thousand small kernels: a GPU is done with each before the host has asked for the next. A
recorded step asks once. It reads and writes the very memory that it was recorded with, so that a batch is copied to
where the first one lay, and what changes from step to step (learning rates, the weight of an epoch) lies on the device
too. What looks at values (a loss that is no number) stays outside.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

import torch
from torch import Tensor, nn

from components.datasets.loader import Batch
from components.models.runtime import Device
from components.train.objectives import Objective
from components.train.optimizer import Adam

log = logging.getLogger(__name__)
WARM_UP = 3
"""Steps that are run as they are before one is recorded: libraries choose their kernels in them. They count."""
Losses = dict[str, Tensor]
Compute = Callable[[Batch, Tensor], Losses]
"""What a step does with a batch, complete and on the device, and the weight of its epoch, float32 ()."""
Runner = Callable[[Batch, float], Losses]
"""Runs a step; its losses are the caller's to keep."""


@dataclass(frozen=True)
class Step:
    """One optimisation step: forward, loss, backward, clip, update. Nothing in it waits for the device.

    Attributes:
        model, objective: what is trained, and for what.
        optimizers: of all that is trained.
        gradient_clip: largest absolute value of a gradient element of the model; 0 = no clipping.
        device: where, and how precisely.
    """

    model: nn.Module
    objective: Objective
    optimizers: Sequence[Adam]
    gradient_clip: float
    device: Device

    def __call__(self, batch: Batch, weight: Tensor) -> Losses:
        """The detached losses."""
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        with self.device.autocast():
            losses = self.objective.losses(self.model, batch, weight)
        losses["loss"].backward()  # type: ignore[no-untyped-call]
        if self.gradient_clip:
            nn.utils.clip_grad_value_(self.model.parameters(), self.gradient_clip)
        for optimizer in self.optimizers:
            optimizer.step()
        return {name: value.detach() for name, value in losses.items()}


def runner(step: Step) -> Runner:
    """How the step is run on its device."""
    device = step.device.device
    return Recorded(step, CudaGraphs(device)) if device.type == "cuda" else as_it_is(step)


def as_it_is(step: Compute) -> Runner:
    """Each step by itself."""
    return lambda batch, weight: step(batch, torch.full((), weight, device=batch.images.device))


class Recorder(Protocol):
    """What records work on a device."""

    def run(self, work: Callable[[], Losses]) -> Losses:
        """Do work as it is, in the place where other work is recorded."""

    def record(self, work: Callable[[], Losses]) -> tuple[Callable[[], None], Losses]:
        """Record work without doing it: what does it from now on, and where its losses will lie then."""


class CudaGraphs:
    """Work of a GPU, recorded as a CUDA graph.

    All that is not replayed runs on the stream that records: autograd remembers where its leaves were used, and a graph
    cannot wait for another stream.
    """

    def __init__(self, device: torch.device) -> None:
        self.stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def run(self, work: Callable[[], Losses]) -> Losses:
        """See `Recorder`, as for all that follow."""
        current = torch.cuda.current_stream(self.stream.device)
        self.stream.wait_stream(current)
        with torch.cuda.stream(self.stream):
            losses = work()
        current.wait_stream(self.stream)
        return losses

    def record(self, work: Callable[[], Losses]) -> tuple[Callable[[], None], Losses]:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self.stream):
            losses = work()
        return graph.replay, losses


class Recorded:
    """Runs a step as it is a few times, then records and replays it.

    A batch of another size than the first is run as it is. So are all, with a warning, where recording fails: some
    backbone may ask its values.

    Args:
        step: what is run.
        recorder: of the device.
    """

    def __init__(self, step: Compute, recorder: Recorder) -> None:
        self.step, self.recorder = step, recorder
        self.sizes: list[tuple[torch.Size, torch.dtype]] | None = None
        self.before = WARM_UP
        self.replayed: Replayed | None = None

    def __call__(self, batch: Batch, weight: float) -> Losses:
        sizes = [(each.shape, each.dtype) for each in tensors(batch)]
        self.sizes = self.sizes or sizes
        if sizes == self.sizes:
            if self.before == 0:
                self._record(batch)
            self.before -= 1
            if self.replayed:
                return self.replayed(batch, weight)
        return self.recorder.run(lambda: as_it_is(self.step)(batch, weight))

    def _record(self, batch: Batch) -> None:
        try:
            self.replayed = Replayed(self.step, self.recorder, batch)
            log.info("a step is recorded and replayed from now on")
        except RuntimeError as error:
            log.warning("steps are run as they are, slower: recording failed (%s)", str(error).partition("\n")[0])


class Replayed:
    """A recorded step.

    Args:
        step: what is recorded.
        recorder: of the device.
        batch: of the size of all that come.
    """

    def __init__(self, step: Compute, recorder: Recorder, batch: Batch) -> None:
        read = tuple(tuple(each.clone() for each in levels) for levels in batch.read)
        nothing = torch.empty(0)  # what a step does not look at
        self.batch = Batch(batch.images.clone(), batch.labels.clone(), nothing, nothing, view=0, read=read)
        self.weight = torch.zeros((), device=batch.images.device)
        self.replay, self.losses = recorder.record(lambda: step(self.batch, self.weight))

    def __call__(self, batch: Batch, weight: float) -> Losses:
        for ours, theirs in zip(tensors(self.batch), tensors(batch), strict=True):
            ours.copy_(theirs)
        self.weight.fill_(weight)
        self.replay()
        return {name: value.clone() for name, value in self.losses.items()}


def tensors(batch: Batch) -> list[Tensor]:
    """What a step looks at of a batch."""
    return [batch.images, batch.labels, *chain.from_iterable(batch.read)]
