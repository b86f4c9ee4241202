"""What the models return. Level order is always deepest (coarsest) first; B = batch, H x W = input size."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class DefocusOutput:
    """Output of a defocus blur detector.

    Polarity: maps are logits of "in focus", so `sigmoid(logits)` near 1 is sharp and near 0 is blurred.

    Attributes:
        logits: (B, 1, H, W), the final map.
        sides: side maps (B, 1, h, w) at their own size, deepest first; empty where the model has none.
        features: what distillation compares (paper eq. 3), (B, C, h, w), deepest first.
        depth: (B, 1, H, W) predicted inverse depth, larger = nearer; None where the model has no such head.
        depth_sides: side maps of inverse depth (B, 1, h, w), deepest first; empty where the model has none.
    """

    logits: Tensor
    sides: tuple[Tensor, ...]
    features: tuple[Tensor, ...]
    depth: Tensor | None = None
    depth_sides: tuple[Tensor, ...] = ()


@dataclass(frozen=True)
class DepthOutput:
    """Output of the depth teacher.

    Attributes:
        depth: (B, H, W) inverse depth up to scale and shift, >= 0, larger = nearer.
        features: what distillation compares (paper eq. 3), (B, C, h, w), deepest first.
    """

    depth: Tensor
    features: tuple[Tensor, ...]
