"""A recorded step does what the step does: replayed from a tape of its kernels, on the CPU."""

import logging
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from components.datasets.loader import Batch, Flips, Jitter, make_batch
from components.models.runtime import Device
from components.train import capture
from components.train.best import Overlap
from components.train.capture import WARM_UP, Losses, Recorded, Runner, Step, as_it_is
from components.train.objectives import Distilled, Objective, Projectors, StageOne, StageTwo, Supervision
from components.train.optimizer import Adam
from components.train.schedules import distillation_weight
from components.train.teacher_cache import OnlineFeatures, TeacherFeatures, named
from tests.test_training import CPU, tiny, toy

pytestmark = pytest.mark.usefixtures("one_thread")
LEVELS = ("level0", "level1", "level2", "level3")
BETA = partial(distillation_weight, epochs=8, beta=3.0, hold=2, rule="paper")
ASKS = (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.lift_fresh.default, torch.ops.aten.nonzero.default)
"""What waits for a device: its values, those of the host, a size that values decide."""
MIXED = Device(torch.device("cpu"), "bfloat16")


class Tape(TorchDispatchMode):
    """Writes down every kernel with the memory that it reads and writes, as a CUDA graph does; no value may be asked.

    Recording does the work once; `kept`, all that it changes, is brought back then, as a GPU only records.
    """

    def __init__(self, kept: list[torch.Tensor]) -> None:
        super().__init__()
        self.kept, self.kernels, self.replays = kept, list[tuple[Any, ...]](), 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func in ASKS:
            raise RuntimeError("asks for a value\nwithin a step")
        made = func(*args, **(kwargs or {}))
        self.kernels.append((func, args, kwargs or {}, made))
        return made

    def run(self, work: Callable[[], Losses]) -> Losses:
        return work()

    def record(self, work: Callable[[], Losses]) -> tuple[Callable[[], None], Losses]:
        before = [each.detach().clone() for each in self.kept]
        try:
            with self:
                losses = work()
        finally:
            with torch.no_grad():
                for each, value in zip(self.kept, before, strict=True):
                    each.copy_(value)
        return self.replay, losses

    @torch.no_grad()
    def replay(self) -> None:
        self.replays += 1
        for func, args, kwargs, made in self.kernels:
            again = func(*args, **kwargs)
            for old, new in zip(tree_leaves(made), tree_leaves(again), strict=True):
                if isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


class Read(TeacherFeatures):
    """A teacher whose features are read before a step."""

    def __init__(self, online: OnlineFeatures) -> None:
        self.online, self.channels, self.views = online, online.channels, 1

    def read(self, batch: Batch) -> tuple[torch.Tensor, ...]:
        return tuple(each.half() for each in self.online.said(batch.images, ()))


def parts(stage: int, device: Device = CPU) -> tuple[Step, list[torch.Tensor]]:
    """A step from the same start each time, and all that it changes."""
    model: nn.Module = tiny().train()
    objective: Objective = StageOne(Overlap(0.5, 0.4))
    if stage == 2:
        torch.manual_seed(1)
        teacher = tiny("pdnet").requires_grad_(False)  # in train(): its BatchNorm sees each batch, and counts
        online = OnlineFeatures(lambda images: named(teacher.encode(images)), LEVELS, teacher.feature_channels)
        distilled = [
            Distilled(name, Projectors(model.feature_channels, online.channels), said)
            for name, said in (("defocus", online), ("depth", Read(online)))
        ]
        objective = StageTwo(Supervision(0.5, "mean", 1.1, 1.0), distilled, BETA, 0.1, 5e-4)
    extra = objective.extra_optimizer()
    optimizers = [Adam(model.parameters(), learning_rate=0.01, weight_decay=0.01, decoupled=True)]
    optimizers += [extra] if extra else []
    state = [value for each in (model, *objective.extras().values()) for value in each.state_dict().values()]
    state += [value for each in optimizers for values in each.state.values() for value in values]
    return Step(model, objective, optimizers, 0.5, device), state


def some_batches(sizes: list[int]) -> Iterator[Batch]:
    flips = Flips("vertical", 0.5, Jitter(0.2, 0.2, 0.2))
    for epoch, size in enumerate(sizes, start=1):
        yield make_batch(
            toy(), np.arange(8)[:size] if epoch % 2 else np.arange(8)[-size:], seed=0, epoch=epoch, flips=flips
        )


def course(step: Step, run: Runner, sizes: list[int]) -> list[dict[str, float]]:
    """The losses of a step an epoch, each with another learning rate."""
    losses = []
    for epoch, batch in enumerate(some_batches(sizes), start=1):
        step.optimizers[0].learning_rate = 0.01 / epoch
        losses.append(run(step.objective.read(batch), step.objective.weight_of(epoch)))
    return [{name: value.item() for name, value in each.items()} for each in losses]


@pytest.mark.parametrize(("stage", "device"), [(1, MIXED), (2, CPU)])
def test_a_replayed_step_is_the_step(stage: int, device: Device) -> None:
    """Also after a batch of another size, with learning rates and eq. 9's weight that change."""
    sizes = [4] * (WARM_UP + 1) + [3] + [4] * 2
    plain, expected = parts(stage, device)
    wanted = course(plain, as_it_is(plain), sizes)
    step, state = parts(stage, device)
    tape = Tape(state)
    assert course(step, Recorded(step, tape), sizes) == wanted
    assert tape.replays == 3
    assert all(torch.equal(a, b) for a, b in zip(state, expected, strict=True))
    assert len({each["loss"] for each in wanted}) == len(sizes)
    if stage == 2:
        assert [each["distill_weight"] for each in wanted] == pytest.approx([BETA(epoch) for epoch in range(1, 8)])


def test_too_few_steps_are_never_recorded() -> None:
    step, state = parts(1)
    tape = Tape(state)
    course(step, Recorded(step, tape), [4] * WARM_UP)
    assert (tape.kernels, tape.replays) == ([], 0)


def test_a_step_that_asks_for_values_is_run_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    class Asks(StageOne):
        def losses(self, model: nn.Module, batch: Batch, weight: torch.Tensor) -> dict[str, torch.Tensor]:
            assert float(batch.labels.sum()) >= 0
            return super().losses(model, batch, weight)

    plain, expected = parts(1)
    step, state = parts(1)
    asking = Step(step.model, Asks(Overlap(0.5, 0.4)), step.optimizers, 0.5, CPU)
    with caplog.at_level(logging.WARNING, capture.__name__):
        found = course(asking, Recorded(asking, Tape(state)), [4] * (WARM_UP + 3))
    assert found == course(plain, as_it_is(plain), [4] * (WARM_UP + 3))
    assert all(torch.equal(a, b) for a, b in zip(state, expected, strict=True))
    assert caplog.messages == ["steps are run as they are, slower: recording failed (asks for a value)"]


def test_losses_are_the_callers_to_keep() -> None:
    step, state = parts(1)
    run = Recorded(step, Tape(state))
    losses = [run(batch, 0.0)["loss"] for batch in islice(some_batches([4] * 9), WARM_UP + 3)]
    assert len({each.item() for each in losses}) == len(losses)
    assert len({each.data_ptr() for each in losses}) == len(losses)


def test_a_cpu_runs_each_step_by_itself() -> None:
    step, _ = parts(1)
    assert not isinstance(capture.runner(step), Recorded)
