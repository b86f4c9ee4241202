"""What the published code does at every step and for every map, restated on our models, to measure ours against.

Restated from the paper and from shared/parity (its table of departures and its training traces, which the step below
meets: tests/test_training_trace.py). What makes it slow is kept: both teachers run on every batch, in training mode,
MiDaS with its whole decoder; every feature is normalised into a copy; DOF edges are a convolution of one channel;
gradients are clipped parameter by parameter; Adam is un-fused; all is float32, channels first; scoring sweeps 255
thresholds.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from components.models.network import DefocusOutput, Network
from components.train.losses import at_size_of
from components.train.objectives import Projectors

CLIP = 0.5
LAMBDA_EDGE = 0.5


def unit(features: Tensor) -> Tensor:
    """Each pixel's feature vector over its length, a copy."""
    return features / (features.pow(2).sum(1, keepdim=True) + 1e-6).sqrt()


def pairwise(projected: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
    """Equation 2 for every level, summed, from normalised copies."""
    terms = [(unit(s) - unit(t)).pow(2).sum(1).mean() for s, t in zip(projected, teacher, strict=True)]
    return torch.stack(terms).sum()


def box_difference(maps: Tensor) -> Tensor:
    """Sum of the eight neighbours less eight times the centre."""
    kernel = torch.ones(1, 1, 3, 3, device=maps.device)
    kernel[0, 0, 1, 1] = -8
    return F.conv2d(maps, kernel, padding=1)


def dbd(logits: Tensor, label: Tensor) -> Tensor:
    """Equation 6, with the edge term summed over the batch."""
    squared = box_difference(torch.sigmoid(logits)).square()
    predicted = (squared / (squared + 1)).flatten(1)
    true = (box_difference(label).abs() > 0.5).float().flatten(1)
    dice = (2 * (predicted * true).sum(1) + 1) / ((predicted.square() + true.square()).sum(1) + 1)
    return F.binary_cross_entropy_with_logits(logits, label) + LAMBDA_EDGE * (1 - dice).sum()


def supervised(output: DefocusOutput, label: Tensor, final_weight: float) -> Tensor:
    """Equation 7."""
    total = final_weight * dbd(output.logits, label)
    for side in output.sides:
        total = total + dbd(at_size_of(side, label), label)
    return total


class PublishedStep:
    """One optimisation step of stage 1, or, with teachers, of stage 2.

    Args:
        student: trained.
        teachers: by name; they run whole and in training mode. None in stage 1.
        projectors: by the same names.
        learning_rate: of the student.
        batch_statistics: the teachers normalise by each batch, as in the published script; else they are in eval().
    """

    def __init__(
        self,
        student: Network,
        teachers: dict[str, Network],
        projectors: dict[str, Projectors],
        learning_rate: float,
        *,
        batch_statistics: bool = True,
    ) -> None:
        self.student, self.teachers, self.projectors = student.train(), teachers, projectors
        for teacher in teachers.values():
            teacher.requires_grad_(False).train(batch_statistics)
        plain = {"foreach": False, "fused": False}
        self.optimizers = [torch.optim.Adam(student.parameters(), lr=learning_rate, **plain)]
        if projectors:
            adapters = nn.ModuleDict(projectors).parameters()
            self.optimizers.append(torch.optim.Adam(adapters, lr=0.1, weight_decay=5e-4, **plain))

    def __call__(self, images: Tensor, labels: Tensor, weight: float = 3.0) -> dict[str, float]:
        """One step on float32 (B, 3, S, S) images and (B, 1, S, S) labels; the losses."""
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        output = self.student(images)
        loss = supervised(output, labels, 1.1 if self.teachers else 1.0)
        parts = {}
        for name, teacher in self.teachers.items():
            with torch.no_grad():
                features = teacher(images).features
            parts[name] = pairwise(self.projectors[name](output.features), features)
        if parts:
            loss = loss + weight * torch.stack(list(parts.values())).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        for parameter in self.student.parameters():
            if parameter.grad is not None:
                parameter.grad.data.clamp_(-CLIP, CLIP)
        for optimizer in self.optimizers:
            optimizer.step()
        return {"loss": loss.item()} | {name: part.item() for name, part in parts.items()}


def sweep(probability: Tensor, focus: Tensor, steps: int = 255) -> tuple[Tensor, Tensor]:
    """Precision and recall of the blurred region at each threshold, one after the other.

    Args:
        probability: float32 (H, W) in [0, 1], 1 = in focus.
        focus: float32 (H, W) in {0, 1}.
        steps: thresholds between 0 and 1.
    """
    blurred, truth = 1 - probability, 1 - focus
    precision, recall = torch.zeros(steps), torch.zeros(steps)
    for index, threshold in enumerate(torch.linspace(0, 1 - 1e-10, steps)):
        found = (blurred >= threshold).float()
        both = (found * truth).sum()
        precision[index], recall[index] = both / (found.sum() + 1e-20), both / (truth.sum() + 1e-20)
    return precision, recall


def scored(probability: Tensor, focus: Tensor) -> tuple[float, float]:
    """MAE and the largest F-beta over the thresholds of the map binarised at one half, as published."""
    precision, recall = sweep((probability >= 0.5).float(), focus)
    f_beta = 1.3 * precision * recall / (0.3 * precision + recall)
    return float(F.l1_loss(probability, focus)), float(torch.nan_to_num(f_beta).max())
