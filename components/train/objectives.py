"""What each stage minimises (paper, section III.E and appendix B.C): a loss of a model and a batch, with its parts."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor, nn

from components.datasets.loader import Batch
from components.models.network import DefocusOutput
from components.train.losses import Reduction, at_size_of, dbd_loss, depth_loss, feature_loss
from components.train.optimizer import Adam
from components.train.teacher_cache import TeacherFeatures


class Supervised(Protocol):
    """A loss of a detector's outputs and labels: `Supervision` is the paper's, `components.train.best.Overlap` ours."""

    def loss(self, output: DefocusOutput, labels: Tensor) -> Tensor:
        """A scalar tensor."""


class Objective(ABC):
    """What a stage minimises."""

    @abstractmethod
    def losses(self, model: nn.Module, batch: Batch, weight: Tensor) -> dict[str, Tensor]:
        """`loss`, the total to minimise, and its parts: scalar tensors.

        It is of tensors alone, so that a GPU can record it: the batch's images, labels and what was `read` for it, on
        the device, and `weight`, that of the epoch, float32 ().
        """

    def weight_of(self, epoch: int) -> float:
        """What an epoch, from 1, weighs of the loss; 0 where all epochs are alike."""
        return 0.0

    def expect(self, batch: Batch) -> None:  # noqa: B027 (most have nothing to read)
        """This batch comes next: time to read ahead what it needs."""

    def read(self, batch: Batch) -> Batch:
        """The batch, with what has to be read for its step."""
        return batch

    def extras(self) -> dict[str, nn.Module]:
        """Trained modules beside the model, by name (the projectors of stage 2)."""
        return {}

    def extra_optimizer(self) -> Adam | None:
        """Their optimizer, with a fixed learning rate."""
        return None


@dataclass(frozen=True)
class Supervision:
    """Equation 7, by its weights.

    Attributes:
        lambda_edge: of the DOF-edge loss (equation 6); 0 = binary cross entropy alone.
        reduction: of the DOF-edge loss over the batch.
        final_weight: of the final output: 1 (paper), 1.1 in the published stage 2.
        side_weight: alpha, of each side output.
    """

    lambda_edge: float
    reduction: Reduction
    final_weight: float
    side_weight: float

    def loss(self, output: DefocusOutput, labels: Tensor) -> Tensor:
        """The DBD loss of the final output and of every side output, of `labels` (B, 1, H, W) in {0, 1}, 1 = in focus.

        Side outputs, smaller ones, are brought to the label's size; there may be none (PDNet).
        """
        total = self.final_weight * self._of(output.logits.float(), labels)
        for side in output.sides:
            total = total + self.side_weight * self._of(at_size_of(side.float(), labels), labels)
        return total

    def _of(self, logits: Tensor, labels: Tensor) -> Tensor:
        return dbd_loss(logits, labels, lambda_edge=self.lambda_edge, reduction=self.reduction)


class StageOne(Objective):
    """Equation 7."""

    def __init__(self, supervision: Supervised) -> None:
        self.supervision = supervision

    def losses(self, model: nn.Module, batch: Batch, weight: Tensor) -> dict[str, Tensor]:
        loss = self.supervision.loss(model(batch.images), batch.labels)
        return {"loss": loss, "dbd_loss": loss}


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

    def losses(self, model: nn.Module, batch: Batch, weight: Tensor) -> dict[str, Tensor]:
        output = model(batch.images)
        dbd = self.supervision.loss(output, batch.labels)
        final = [] if output.depth is None else [output.depth]
        (target,) = self.depth.said(batch.images, *batch.read)
        depth = depth_loss([each.float() for each in (*final, *output.depth_sides)], target.float())
        return {"loss": dbd + self.weight * depth, "dbd_loss": dbd, "depth_loss": depth}

    def expect(self, batch: Batch) -> None:
        self.depth.expect(batch)

    def read(self, batch: Batch) -> Batch:
        return replace(batch, read=(self.depth.read(batch),))


class RelativeDepth(Objective):
    """A depth teacher that is trained here: inverse depth up to scale and shift, as MiDaS (paper, [20]) is trained.

    The batch's labels are inverse depth, in 1/m or relative. Both sides are brought to zero median and unit mean
    deviation per image before they are compared, so that only relative depth counts.
    """

    def losses(self, model: nn.Module, batch: Batch, weight: Tensor) -> dict[str, Tensor]:
        predicted = model(batch.images).depth.float()
        return {"loss": (standardise(predicted) - standardise(batch.labels[:, 0])).abs().mean()}


def standardise(depth: Tensor) -> Tensor:
    """(B, H, W) to zero median and unit mean absolute deviation per image."""
    flat = depth.flatten(1)
    centred = flat - (sorted_median(flat) if flat.is_cuda else flat.median(1, keepdim=True).values)
    return (centred / centred.abs().mean(1, keepdim=True).clamp_min(1e-6)).view_as(depth)


def sorted_median(flat: Tensor) -> Tensor:
    """The (lower) median of each row, (B, n) to (B, 1); torch's own has no deterministic form on a GPU."""
    return flat.sort(dim=1, stable=True).values[:, (flat.shape[1] - 1) // 2, None]


class Projectors(nn.Module):
    """Aligns features for distillation (III.B, A_theta of eq. 3): a 1x1 convolution without bias for each level.

    The weights start Xavier normal, as in the published code; the paper does not say.

    Args:
        student_channels: of the student's features, deepest first.
        teacher_channels: of the teacher's features, deepest first.

    Raises:
        ValueError: the two have different numbers of levels.
    """

    def __init__(self, student_channels: Sequence[int], teacher_channels: Sequence[int]) -> None:
        super().__init__()
        channels = zip(student_channels, teacher_channels, strict=True)
        self.convs = nn.ModuleList([nn.Conv2d(student, teacher, 1, bias=False) for student, teacher in channels])
        for weight in self.parameters():
            nn.init.xavier_normal_(weight)

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Levels of (B, student channels, h, w) -> (B, teacher channels, h, w), deepest first."""
        return tuple(conv(level) for conv, level in zip(self.convs, features, strict=True))


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
class StageTwo(Objective):
    """Equation 8: the supervised loss and beta times the feature losses of both teachers (equation 3).

    Attributes:
        supervision: of the defocus outputs.
        distilled: the teachers with their projectors.
        weight: beta of an epoch, from 1.
        projector_learning_rate, projector_weight_decay: of the projectors' Adam (appendix B.B).
    """

    supervision: Supervised
    distilled: Sequence[Distilled]
    weight: Callable[[int], float]
    projector_learning_rate: float
    projector_weight_decay: float

    def losses(self, model: nn.Module, batch: Batch, weight: Tensor) -> dict[str, Tensor]:
        output = model(batch.images)
        dbd = self.supervision.loss(output, batch.labels)
        parts = {
            f"{each.name}_feature_loss": feature_loss(
                each.projector(output.features), each.teacher.said(batch.images, read)
            )
            for each, read in zip(self.distilled, batch.read, strict=True)
        }
        features = torch.stack(list(parts.values())).sum()
        return {"loss": dbd + weight * features, "dbd_loss": dbd, **parts, "distill_weight": weight}

    def weight_of(self, epoch: int) -> float:
        return self.weight(epoch)

    def expect(self, batch: Batch) -> None:
        for each in self.distilled:
            each.teacher.expect(batch)

    def read(self, batch: Batch) -> Batch:
        return replace(batch, read=tuple(each.teacher.read(batch) for each in self.distilled))

    def extras(self) -> dict[str, nn.Module]:
        return {each.name: each.projector for each in self.distilled}

    def extra_optimizer(self) -> Adam | None:
        parameters = [p for each in self.distilled for p in each.projector.parameters()]
        return Adam(parameters, learning_rate=self.projector_learning_rate, weight_decay=self.projector_weight_decay)
