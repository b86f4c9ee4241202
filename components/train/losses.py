"""The losses of the paper, section III, equations 2 to 8 and 10.

Legend: B batch, C channels, H x W pixels. Labels and probabilities are 1 in focus, 0 out of focus.
Every function returns a scalar tensor, and takes plain values.

Where the paper leaves the DOF edge open (it cites Zheng et al. 2020 for it), the form below is the one that meets
the published implementation's golden values: see `soft_edge` and `label_edge`.

Written for speed: the box difference and the pair-wise loss give the published implementation's values to about one
part in a million, in other orders of operation (benchmarks/CANDIDATES.md).
"""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Reduction = Literal["mean", "sum"]


def box_difference(maps: Tensor) -> Tensor:
    """Sum of the eight neighbours less eight times the centre, zero outside the image; (B, 1, H, W) to the same.

    As the 3x3 sum less nine times the centre, rows and columns apart: a convolution of one channel takes 50 times as
    long on a CPU.
    """
    padded = F.pad(maps, (1, 1, 1, 1))
    rows = padded[..., :-2, :] + padded[..., 1:-1, :] + padded[..., 2:, :]
    return rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:] - 9 * maps


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


def at_size_of(maps: Tensor, like: Tensor) -> Tensor:
    """(B, C, h, w) to the height and width of `like`, bilinearly, with corners not aligned (unlike the decoder)."""
    return F.interpolate(maps, size=like.shape[-2:], mode="bilinear", align_corners=False)


LENGTH_EPSILON = 1e-6
"""Added to a feature vector's squared length, as in the published code."""
CHUNK = 2**18
"""Elements that the pair-wise loss takes at a time on a CPU, so that they stay in its caches."""


def pairwise_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Pair-wise similarity loss, equation 2, over the channels of each pixel, mean over batch and pixels; 0 to 4.

    Args:
        student: projected student features, (B, C, H, W); gradients flow here alone.
        teacher: teacher features (B, C, h, w), of any floating type. Where they are of another size (VGG16, whose
            levels are twice MiDaS's), they are brought to the student's bilinearly, after they are normalised: their
            vectors are shorter than 1 between pixels that differ. The paper does not say; the published code does so.

    Raises:
        ValueError: batch or channels differ.
    """
    if student.shape[:2] != teacher.shape[:2]:
        raise ValueError(f"student features {tuple(student.shape)} and teacher features {tuple(teacher.shape)} differ")
    if student.shape != teacher.shape:
        resized = at_size_of(unit(teacher), student)
        return (unit(student) - resized).square().sum(1).mean()
    with torch.autocast(student.device.type, enabled=False):  # else its products would be made in half precision
        return _Pairwise.apply(pixels(student), pixels(teacher))  # type: ignore[no-any-return]


def unit(features: Tensor) -> Tensor:
    """Every pixel's feature vector over its length, in float32 at least; (B, C, H, W)."""
    exact = features.to(torch.promote_types(features.dtype, torch.float32))
    return exact * (exact.square().sum(1, keepdim=True) + LENGTH_EPSILON).rsqrt()


def pixels(features: Tensor) -> Tensor:
    """(B, C, H, W) as a feature vector a pixel, (B H W, C); no copy of channels-last features."""
    return features.permute(0, 2, 3, 1).reshape(-1, features.shape[1])


class _Pairwise(torch.autograd.Function):
    """Equation 2 as |s|^2/n_s + |t|^2/n_t - 2 s.t / sqrt(n_s n_t), with n = |.|^2 + epsilon, and its gradient in s.

    That is 2 - 2 cos(s, t) but for epsilon. Normalised copies are never made: features are read once for the three
    products of each pixel and once for the gradient, a chunk of pixels at a time.
    """

    @staticmethod
    def forward(ctx: Any, student: Tensor, teacher: Tensor) -> Tensor:  # noqa: ANN401 (torch's context)
        products = [_products(s, t) for s, t in _chunks(student, teacher)]
        both, ours, theirs = (torch.cat(each) for each in zip(*products, strict=True))
        our_length, their_length = ours + LENGTH_EPSILON, theirs + LENGTH_EPSILON
        inverse = (our_length * their_length).rsqrt()
        cosine = both * inverse
        ctx.save_for_backward(student, teacher, cosine, our_length, inverse)
        return (ours / our_length + theirs / their_length - 2 * cosine).mean()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        student, teacher, cosine, length, inverse = ctx.saved_tensors
        scale = 2 * grad / len(cosine)
        of_student = scale * (LENGTH_EPSILON / length.square() + cosine / length)
        of_teacher = -scale * inverse
        gradient = torch.empty_like(student)
        parts = _chunks(student, teacher, gradient, of_student[:, None], of_teacher[:, None])
        for s, t, out, a, b in parts:
            out.copy_(torch.addcmul(s.to(a.dtype) * a, t.to(a.dtype), b))
        return gradient, None


def _products(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """s.t, s.s and t.t of each pixel, (P,) each, in float32 at least."""
    dtype = torch.promote_types(student.dtype, torch.float32)
    s, t = student.to(dtype), teacher.to(dtype)
    return torch.linalg.vecdot(s, t), torch.linalg.vecdot(s, s), torch.linalg.vecdot(t, t)


def _chunks(features: Tensor, *others: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Pixel after pixel of tensors (P, ...), so many at a time that the features fit a CPU's caches."""
    count = len(features) if features.is_cuda else max(1, CHUNK // features.shape[1])
    yield from zip(*(torch.split(each, count) for each in (features, *others)), strict=True)


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
