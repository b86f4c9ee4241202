"""Training of both stages: one `fit`; the stages differ in their objective (paper, section III.E).

Interrupted at any moment, kill -9 included, the next `fit` with the same checkpoint goes on after the last whole epoch
and, in deterministic mode on the CPU, ends bit-identical to an uninterrupted one: every random draw of an epoch
comes from (seed, epoch, image), never from a generator's state.
"""

import io
import logging
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from pickle import UnpicklingError
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from components.common.errors import InputError
from components.common.storage import write_whole
from components.datasets.loader import Batch, Flips, TrainingSet, batches
from components.models.run_files import EpochRecord
from components.models.runtime import Device, memory_format
from components.train.capture import Step, as_it_is, runner
from components.train.objectives import Objective
from components.train.optimizer import Adam
from components.train.schedules import Rule, epochs_to_run, poly_learning_rate

log = logging.getLogger(__name__)
NAN_CHECK_STEPS = 25


class Course(Protocol):
    """How a training goes on, in epochs counted from 1: `Schedule` is the paper's, `components.train.best.Best` ours.

    Attributes:
        epochs_run: how many epochs are trained.
        gradient_clip: largest absolute value of a gradient element; 0 = no clipping.
    """

    @property
    def epochs_run(self) -> int: ...

    @property
    def gradient_clip(self) -> float: ...

    def optimizers(self, model: nn.Module) -> list[Adam]:
        """Over the model's parameters."""

    def set_rates(self, optimizers: Sequence[Adam], epoch: int, done: float) -> float:
        """Set the learning rates of a step, `done` of the epoch (0 to 1) before it; returns the first one's."""

    def batches(self, data: TrainingSet, epoch: int) -> Iterator[Batch]:
        """The batches of an epoch."""

    def average(self, model: nn.Module) -> AveragedModel | None:
        """The running average of the weights that the training ends with; None: it ends with the weights themselves."""


@dataclass(frozen=True)
class Schedule:
    """The course of a training by the paper (section IV.A), in epochs counted from 1.

    Attributes:
        epochs: the number that the schedules count on.
        epochs_rule: whether all of them are run, or (published code) one fewer.
        batch_size: images a step.
        learning_rate, poly_power, poly_rule: see `poly_learning_rate`.
        gradient_clip: largest absolute value of a gradient element; 0 = no clipping.
        flips: augmentation.
        seed: of order and augmentation.
    """

    epochs: int
    epochs_rule: Rule
    batch_size: int
    learning_rate: float
    poly_power: float
    poly_rule: Rule
    gradient_clip: float
    flips: Flips
    seed: int

    @property
    def epochs_run(self) -> int:
        """See `Course`, as for all that follow."""
        return epochs_to_run(self.epochs, self.epochs_rule)

    def optimizers(self, model: nn.Module) -> list[Adam]:
        return [Adam(model.parameters(), learning_rate=self.learning_rate)]

    def set_rates(self, optimizers: Sequence[Adam], epoch: int, done: float) -> float:
        (optimizer,) = optimizers
        optimizer.learning_rate = poly_learning_rate(
            epoch, epochs=self.epochs, initial=self.learning_rate, power=self.poly_power, rule=self.poly_rule
        )
        return optimizer.learning_rate

    def batches(self, data: TrainingSet, epoch: int) -> Iterator[Batch]:
        return batches(data, self.batch_size, seed=self.seed, epoch=epoch, flips=self.flips)

    def average(self, model: nn.Module) -> None:
        """The training ends as it is."""


def step(
    model: nn.Module,
    objective: Objective,
    batch: Batch,
    *,
    epoch: int,
    optimizers: Sequence[Adam],
    gradient_clip: float,
    device: Device,
) -> dict[str, Tensor]:
    """One optimisation step by itself, of an epoch from 1; returns the detached losses."""
    run = as_it_is(Step(model, objective, optimizers, gradient_clip, device))
    return run(objective.read(batch), objective.weight_of(epoch))


def fit(
    model: nn.Module,
    objective: Objective,
    data: TrainingSet,
    course: Course,
    *,
    device: Device,
    checkpoint: Path,
) -> Iterator[EpochRecord]:
    """Train `model` in place, yielding each epoch's record; records of epochs already in `checkpoint` come first.

    Args:
        model: on the device, in training mode from here on.
        objective: what the stage minimises.
        data: the training split.
        course: how it goes on.
        device: where, and how precisely.
        checkpoint: file written after every epoch and read at the start; kept when an epoch fails.

    Raises:
        InputError: the loss is not finite, or `checkpoint` is of another training.
    """
    ours, extra = course.optimizers(model), objective.extra_optimizer()
    optimizers = [*ours, *([extra] if extra else [])]
    average = course.average(model)
    state = nn.ModuleDict({"model": model, **objective.extras()} | ({"average": average} if average else {}))
    records = _resume(checkpoint, state, optimizers)
    yield from records
    run = runner(Step(model, objective, optimizers, course.gradient_clip, device))
    for epoch in range(len(records) + 1, course.epochs_run + 1):
        state.train()
        taken, rate, totals = 0, 0.0, Totals(epoch)
        for batch in announced(laid_out(course.batches(data, epoch), model), objective):
            rate = course.set_rates(ours, epoch, taken / len(data))
            totals.add(run(objective.read(batch), objective.weight_of(epoch)))
            if average is not None:
                average.update_parameters(model)
            taken += len(batch.index)
        records.append(EpochRecord(epoch, course.epochs_run, totals.means() | {"learning_rate": rate}))
        _save(checkpoint, state, optimizers, records)
        yield records[-1]
    if average is not None:
        model.load_state_dict(average.module.state_dict())


class Totals:
    """Sums of an epoch's losses, looked at now and then: they lie on the device."""

    def __init__(self, epoch: int) -> None:
        self.epoch, self.steps, self.sums = epoch, 0, dict[str, Tensor]()

    def add(self, losses: dict[str, Tensor]) -> None:
        """Add a step's."""
        self.sums = {name: self.sums[name] + value if self.sums else value for name, value in losses.items()}
        self.steps += 1
        if self.steps % NAN_CHECK_STEPS == 0:
            self._check_finite()

    def means(self) -> dict[str, float]:
        """Over the steps."""
        self._check_finite()
        return {name: float(total) / self.steps for name, total in self.sums.items()}

    def _check_finite(self) -> None:
        bad = [name for name, total in self.sums.items() if not math.isfinite(float(total))]
        if bad:
            raise InputError(
                f"{', '.join(bad)} became {float(self.sums[bad[0]])} in epoch {self.epoch}, by step {self.steps}; "
                "expected a finite number. Lower the stage's learning_rate, or use runtime.precision: float32; the "
                "last whole epoch is kept"
            )


def laid_out(coming: Iterable[Batch], model: nn.Module) -> Iterator[Batch]:
    """The batches, with images in the memory layout that suits the model."""
    layout = memory_format(model)
    for batch in coming:
        yield replace(batch, images=batch.images.contiguous(memory_format=layout))


def announced(coming: Iterable[Batch], objective: Objective) -> Iterator[Batch]:
    """The batches, each made and announced to the objective while the one before it is still to be trained on."""
    previous = None
    for batch in coming:
        objective.expect(batch)
        if previous is not None:
            yield previous
        previous = batch
    if previous is not None:
        yield previous


def _save(path: Path, state: nn.Module, optimizers: Sequence[Adam], records: Sequence[EpochRecord]) -> None:
    contents = {
        "state": state.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
        "records": [(record.epoch, record.epochs, record.values) for record in records],
    }
    buffer = io.BytesIO()  # torch's own writer does not say why it fails: a full disk is to be named
    torch.save(contents, buffer)
    write_whole(path, buffer.getbuffer())


def _resume(path: Path, state: nn.Module, optimizers: Sequence[Adam]) -> list[EpochRecord]:
    if not path.exists():
        return []
    try:
        contents = torch.load(path, weights_only=True, map_location="cpu")
        state.load_state_dict(contents["state"])
        for optimizer, saved in zip(optimizers, contents["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
    except (UnpicklingError, RuntimeError, EOFError, KeyError, ValueError) as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise InputError(f"{path}: no checkpoint of this training ({reason}); delete it to begin anew") from error
    records = [EpochRecord(*record) for record in contents["records"]]
    log.info("going on after epoch %d, from %s", len(records), path)
    return records
