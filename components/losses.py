"""The losses of the paper, section III, equations 2 to 8 and 10.

Legend: B batch, C channels, H x W pixels. Labels and probabilities are 1 in focus, 0 out of focus.
Every function returns a scalar tensor, and takes plain values.

Where the paper leaves the DOF edge open (it cites Zheng et al. 2020 for it), the form below is the one that meets
the published implementation's golden values: see `soft_edge` and `label_edge`.

The order of operations is part of the contract: the published training traces are met step by step, and Adam's first
steps, which follow the signs of gradients, turn a difference in the last bit into one of 1e-4 two steps later.
"""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Reduction = Literal["mean", "sum"]


def box_difference(maps: Tensor) -> Tensor:
    """Sum of the eight neighbours less eight times the centre, zero outside the image; (B, 1, H, W) to the same."""
    kernel = torch.ones(1, 1, 3, 3, dtype=maps.dtype, device=maps.device)
    kernel[0, 0, 1, 1] = -8
    return F.conv2d(maps, kernel, padding=1)


def soft_edge(probability: Tensor) -> Tensor:
    """Edge strength in [0, 1) of a probability map: e^2 / (e^2 + 1) of its box difference e; (B, 1, H, W)."""
    squared = box_difference(probability).square()
    return squared / (squared + 1)


def label_edge(label: Tensor) -> Tensor:
    """1 where the box difference of a binary label is not zero, else 0; (B, 1, H, W).

    The image's border counts as an edge of an in-focus region, as the region ends there (zero padding).
    """
    return (box_difference(label).abs() > 0.5).to(label.dtype)


def dof_edge_loss(probability: Tensor, label: Tensor, reduction: Reduction) -> Tensor:
    """DOF-edge loss, equation 4: 1 - Dice between predicted edges and label edges.

    Dice = (2 sum(E' E) + 1) / (sum(E'^2) + sum(E^2) + 1) over an image's pixels.

    Args:
        probability: (B, 1, H, W) in [0, 1], 1 = in focus.
        label: (B, 1, H, W) in {0, 1}.
        reduction: over the batch: "mean" (the paper's 1 - Dice) or "sum" (the published code: B times as strong).
    """
    predicted, true = soft_edge(probability).flatten(1), label_edge(label).flatten(1)
    overlap = (predicted * true).sum(1)
    dice = (2 * overlap + 1) / ((predicted.square() + true.square()).sum(1) + 1)
    each = 1 - dice
    return each.mean() if reduction == "mean" else each.sum()


def dbd_loss(logits: Tensor, label: Tensor, *, lambda_edge: float, reduction: Reduction) -> Tensor:
    """Defocus blur detection loss, equations 5 and 6: BCE + lambda * DOF-edge loss.

    Equation 5 misses a minus sign in print; this is the usual binary cross entropy, mean over all pixels.

    Args:
        logits: (B, 1, H, W), positive = in focus.
        label: (B, 1, H, W) in {0, 1}, the same size.
        lambda_edge: lambda of equation 6; 0 leaves the edge term out (and uncomputed).
        reduction: of the DOF-edge loss over the batch.
    """
    bce = F.binary_cross_entropy_with_logits(logits, label)
    if lambda_edge == 0:
        return bce
    return bce + lambda_edge * dof_edge_loss(torch.sigmoid(logits), label, reduction)


def supervised_loss(
    logits: Tensor,
    sides: Sequence[Tensor],
    label: Tensor,
    *,
    lambda_edge: float,
    reduction: Reduction,
    final_weight: float,
    side_weight: float,
) -> Tensor:
    """Equation 7: the DBD loss of the final output and of every side output, brought to the label's size.

    Args:
        logits: final output, (B, 1, H, W), positive = in focus.
        sides: side outputs at their own, smaller sizes, likewise; may be empty (PDNet).
        label: (B, 1, H, W) in {0, 1}.
        lambda_edge, reduction: as in `dbd_loss`.
        final_weight: weight of the final output: 1 (paper), 1.1 in the published stage 2.
        side_weight: alpha of equation 7, the same for all levels.
    """
    total = final_weight * dbd_loss(logits, label, lambda_edge=lambda_edge, reduction=reduction)
    for side in sides:
        total = total + side_weight * dbd_loss(
            at_size_of(side, label), label, lambda_edge=lambda_edge, reduction=reduction
        )
    return total


def at_size_of(maps: Tensor, like: Tensor) -> Tensor:
    """(B, 1, h, w) to the height and width of `like`, bilinearly, with corners not aligned (unlike the decoder)."""
    return F.interpolate(maps, size=like.shape[-2:], mode="bilinear", align_corners=False)


def pairwise_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Pair-wise similarity loss, equation 2, over the channels of each pixel, mean over batch and pixels; 0 to 4.

    Args:
        student: projected student features, (B, C, H, W).
        teacher: teacher features of the same shape, float32 or float16.

    Raises:
        ValueError: the shapes differ.
    """
    if student.shape != teacher.shape:
        raise ValueError(f"student features {tuple(student.shape)} and teacher features {tuple(teacher.shape)} differ")
    return (unit(student.float()) - unit(teacher.float())).pow(2).sum(1).mean()


def unit(features: Tensor) -> Tensor:
    """Each pixel's feature vector, (B, C, H, W), over its length; 1e-6 under the root as in the published code."""
    return features / (features.pow(2).sum(1, keepdim=True) + 1e-6).sqrt()


def feature_loss(projected: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
    """One half of equation 3: the pair-wise loss summed over the encoder's levels (deepest first)."""
    terms = [pairwise_loss(student, target) for student, target in zip(projected, teacher, strict=True)]
    return torch.stack(terms).sum()


def depth_loss(depths: Sequence[Tensor], target: Tensor) -> Tensor:
    """R-DFFNet's depth supervision, equation 10: mean squared error of every depth output, summed.

    Args:
        depths: depth outputs, (B, 1, h, w) each, brought to the target's size.
        target: the depth teacher's inverse depth scaled to [0, 1] per image, (B, 1, H, W).
    """
    return torch.stack([F.mse_loss(at_size_of(depth, target), target) for depth in depths]).sum()
