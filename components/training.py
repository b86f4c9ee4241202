"""Training of both stages: one `fit`; the stages differ in their objective (paper, section III.E).

Interrupted at any moment, kill -9 included, the next `fit` with the same checkpoint goes on after the last whole epoch
and, in deterministic mode on the CPU, ends bit-identical to an uninterrupted one: every random draw of an epoch
comes from (seed, epoch, image), never from a generator's state.
"""

import io
import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Protocol

import torch
from torch import Tensor, nn

from components.data.loader import Batch, FlipAxis, Jitter, TrainingSet, batches
from components.errors import InputError
from components.losses import Reduction, depth_loss, feature_loss, supervised_loss
from components.models.outputs import DefocusOutput
from components.optimizer import Adam
from components.runtime import Device
from components.schedules import Rule, distillation_weight, epochs_to_run, poly_learning_rate
from components.storage import atomic_path
from components.teacher_cache import TeacherFeatures

log = logging.getLogger(__name__)
NAN_CHECK_STEPS = 25


@dataclass(frozen=True)
class Schedule:
    """The course of a training, in epochs counted from 1.

    Attributes:
        epochs: the number that the schedules count on.
        epochs_rule: whether all of them are run, or (published code) one fewer.
        batch_size: images a step.
        learning_rate, poly_power, poly_rule: see `poly_learning_rate`.
        gradient_clip: largest absolute value of a gradient element; 0 = no clipping.
        flip_axis, flip_probability, jitter: augmentation.
        seed: of order and augmentation.
    """

    epochs: int
    epochs_rule: Rule
    batch_size: int
    learning_rate: float
    poly_power: float
    poly_rule: Rule
    gradient_clip: float
    flip_axis: FlipAxis
    flip_probability: float
    jitter: Jitter
    seed: int


@dataclass(frozen=True)
class EpochRecord:
    """What one epoch came to.

    Attributes:
        epoch: from 1.
        epochs: how many are run.
        values: mean over the epoch's steps of the loss and its parts, and the epoch's learning rate.
    """

    epoch: int
    epochs: int
    values: dict[str, float]


class Objective(Protocol):
    """What a stage minimises."""

    def losses(self, model: nn.Module, batch: Batch, epoch: int) -> dict[str, Tensor]:
        """`loss`, the total to minimise, and its parts: scalar tensors."""

    def extras(self) -> dict[str, nn.Module]:
        """Trained modules beside the model, by name (the projectors of stage 2)."""

    def extra_optimizer(self) -> Adam | None:
        """Their optimizer, with a fixed learning rate."""


@dataclass(frozen=True)
class Supervision:
    """The weights of equations 6 and 7.

    Attributes:
        lambda_edge: of the DOF-edge loss; 0 = binary cross entropy alone.
        reduction: of the DOF-edge loss over the batch.
        final_weight: of the final output.
        side_weight: of each side output.
    """

    lambda_edge: float
    reduction: Reduction
    final_weight: float
    side_weight: float

    def loss(self, output: DefocusOutput, labels: Tensor) -> Tensor:
        """Equation 7 for a model's named outputs."""
        return supervised_loss(
            output.logits.float(),
            [side.float() for side in output.sides],
            labels,
            lambda_edge=self.lambda_edge,
            reduction=self.reduction,
            final_weight=self.final_weight,
            side_weight=self.side_weight,
        )


class StageOne:
    """Equation 7."""

    def __init__(self, supervision: Supervision) -> None:
        self.supervision = supervision

    def losses(self, model: nn.Module, batch: Batch, epoch: int) -> dict[str, Tensor]:
        loss = self.supervision.loss(model(batch.images), batch.labels)
        return {"loss": loss, "dbd_loss": loss}

    def extras(self) -> dict[str, nn.Module]:
        return {}

    def extra_optimizer(self) -> Adam | None:
        return None


class StageOneWithDepth(StageOne):
    """Equation 10: R-DFFNet, which also predicts the depth teacher's inverse depth.

    Args:
        supervision: of the defocus outputs.
        depth: the depth teacher; gives relative inverse depth, (B, 1, S, S) in [0, 1].
        weight: lambda of equation 10.
    """

    def __init__(self, supervision: Supervision, depth: TeacherFeatures, weight: float) -> None:
        super().__init__(supervision)
        self.depth = depth
        self.weight = weight

    def losses(self, model: nn.Module, batch: Batch, epoch: int) -> dict[str, Tensor]:
        output = model(batch.images)
        dbd = self.supervision.loss(output, batch.labels)
        final = [] if output.depth is None else [output.depth]
        (target,) = self.depth(batch)
        depth = depth_loss([each.float() for each in (*final, *output.depth_sides)], target.float())
        return {"loss": dbd + self.weight * depth, "dbd_loss": dbd, "depth_loss": depth}


class DepthFromRendering:
    """The miniature's depth teacher: inverse depth up to scale and shift, as MiDaS (paper, [20]) is trained.

    The batch's labels are inverse depth in 1/m. Both sides are brought to zero median and unit mean deviation per
    image before they are compared, so that only relative depth counts.
    """

    def losses(self, model: nn.Module, batch: Batch, epoch: int) -> dict[str, Tensor]:
        predicted = model(batch.images).depth.float()
        return {"loss": (standardise(predicted) - standardise(batch.labels[:, 0])).abs().mean()}

    def extras(self) -> dict[str, nn.Module]:
        return {}

    def extra_optimizer(self) -> Adam | None:
        return None


def standardise(depth: Tensor) -> Tensor:
    """(B, H, W) to zero median and unit mean absolute deviation per image."""
    flat = depth.flatten(1)
    centred = flat - flat.median(1, keepdim=True).values
    return (centred / centred.abs().mean(1, keepdim=True).clamp_min(1e-6)).view_as(depth)


@dataclass(frozen=True)
class Distilled:
    """One teacher of stage 2.

    Attributes:
        name: "defocus" or "depth".
        projector: student features to the teacher's channels, level by level.
        teacher: its features of a batch.
    """

    name: str
    projector: nn.Module
    teacher: TeacherFeatures


@dataclass(frozen=True)
class StageTwo:
    """Equation 8: the supervised loss and beta times the feature losses of both teachers (equation 3).

    Attributes:
        supervision: of the defocus outputs.
        distilled: the teachers with their projectors.
        beta, hold, epochs, rule: see `distillation_weight`.
        projector_learning_rate, projector_weight_decay: of the projectors' Adam (appendix B.B).
    """

    supervision: Supervision
    distilled: Sequence[Distilled]
    beta: float
    hold: int
    epochs: int
    rule: Rule
    projector_learning_rate: float
    projector_weight_decay: float

    def losses(self, model: nn.Module, batch: Batch, epoch: int) -> dict[str, Tensor]:
        output = model(batch.images)
        dbd = self.supervision.loss(output, batch.labels)
        weight = distillation_weight(epoch, epochs=self.epochs, beta=self.beta, hold=self.hold, rule=self.rule)
        parts = {
            f"{each.name}_feature_loss": feature_loss(each.projector(output.features), each.teacher(batch))
            for each in self.distilled
        }
        features = torch.stack(list(parts.values())).sum()
        return {
            "loss": dbd + weight * features,
            "dbd_loss": dbd,
            **parts,
            "distill_weight": torch.tensor(weight, device=dbd.device),
        }

    def extras(self) -> dict[str, nn.Module]:
        return {each.name: each.projector for each in self.distilled}

    def extra_optimizer(self) -> Adam | None:
        parameters = [p for each in self.distilled for p in each.projector.parameters()]
        return Adam(parameters, learning_rate=self.projector_learning_rate, weight_decay=self.projector_weight_decay)


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
    """One optimisation step; returns the detached losses."""
    for optimizer in optimizers:
        optimizer.zero_grad()
    with device.autocast():
        losses = objective.losses(model, batch, epoch)
    losses["loss"].backward()  # type: ignore[no-untyped-call]
    if gradient_clip:
        nn.utils.clip_grad_value_(model.parameters(), gradient_clip)
    for optimizer in optimizers:
        optimizer.step()
    return {name: value.detach() for name, value in losses.items()}


def fit(
    model: nn.Module,
    objective: Objective,
    data: TrainingSet,
    schedule: Schedule,
    *,
    device: Device,
    checkpoint: Path,
) -> Iterator[EpochRecord]:
    """Train `model` in place, yielding each epoch's record; records of epochs already in `checkpoint` come first.

    Args:
        model: on the device, in training mode from here on.
        objective: what the stage minimises.
        data: the training split.
        schedule: its course.
        device: where, and how precisely.
        checkpoint: file written after every epoch and read at the start; kept when an epoch fails.

    Raises:
        InputError: the loss is not finite, or `checkpoint` is of another training.
    """
    optimizer = Adam(model.parameters(), learning_rate=schedule.learning_rate)
    extra = objective.extra_optimizer()
    optimizers = [optimizer, *([extra] if extra else [])]
    state = nn.ModuleDict({"model": model, **objective.extras()})
    records = _resume(checkpoint, state, optimizers)
    yield from records
    epochs = epochs_to_run(schedule.epochs, schedule.epochs_rule)
    state.train()
    for epoch in range(len(records) + 1, epochs + 1):
        rate = poly_learning_rate(
            epoch,
            epochs=schedule.epochs,
            initial=schedule.learning_rate,
            power=schedule.poly_power,
            rule=schedule.poly_rule,
        )
        optimizer.learning_rate = rate
        values = _epoch(model, objective, data, schedule, epoch=epoch, optimizers=optimizers, device=device)
        records.append(EpochRecord(epoch, epochs, values | {"learning_rate": rate}))
        _save(checkpoint, state, optimizers, records)
        yield records[-1]


def _epoch(
    model: nn.Module,
    objective: Objective,
    data: TrainingSet,
    schedule: Schedule,
    *,
    epoch: int,
    optimizers: Sequence[Adam],
    device: Device,
) -> dict[str, float]:
    totals: dict[str, Tensor] = {}
    steps = 0
    for batch in batches(
        data,
        batch_size=schedule.batch_size,
        seed=schedule.seed,
        epoch=epoch,
        flip_axis=schedule.flip_axis,
        flip_probability=schedule.flip_probability,
        jitter=schedule.jitter,
    ):
        losses = step(
            model,
            objective,
            batch,
            epoch=epoch,
            optimizers=optimizers,
            gradient_clip=schedule.gradient_clip,
            device=device,
        )
        totals = {name: totals[name] + value if totals else value for name, value in losses.items()}
        steps += 1
        if steps % NAN_CHECK_STEPS == 0:
            _check_finite(totals, epoch, steps)
    _check_finite(totals, epoch, steps)
    return {name: float(total) / steps for name, total in totals.items()}


def _check_finite(totals: dict[str, Tensor], epoch: int, steps: int) -> None:
    bad = [name for name, total in totals.items() if not math.isfinite(float(total))]
    if bad:
        raise InputError(
            f"{', '.join(bad)} became {float(totals[bad[0]])} in epoch {epoch}, by step {steps}; expected a finite "
            "number. Lower the stage's learning_rate, or use runtime.precision: float32; the last whole epoch is kept"
        )


def _save(path: Path, state: nn.Module, optimizers: Sequence[Adam], records: Sequence[EpochRecord]) -> None:
    contents = {
        "state": state.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
        "records": [(record.epoch, record.epochs, record.values) for record in records],
    }
    buffer = io.BytesIO()  # torch's own writer does not say why it fails: a full disk is to be named
    torch.save(contents, buffer)
    with atomic_path(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


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
