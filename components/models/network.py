"""What all networks share: an encoder whose features are distilled, and the recipe they were built from."""

from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor, nn

from components.models.backbone import Backbone


@dataclass(frozen=True)
class ModelSpec:
    """All that is needed to build a model again, before its weights are loaded.

    Attributes:
        name: one of `components.models.MODEL_NAMES`.
        backbone: a timm model name.
        backbone_kwargs: passed on to timm.
        kwargs: passed on to the model's class, e.g. `width`.
    """

    name: str
    backbone: str
    backbone_kwargs: dict[str, object] = field(default_factory=dict)
    kwargs: dict[str, object] = field(default_factory=dict)


class Network(nn.Module):
    """A model that starts with a backbone.

    Attributes:
        spec: how `build_model` built it; None for a model put together by hand.
        has_sides: whether it has side outputs, which are supervised too.
    """

    spec: ModelSpec | None = None
    has_sides: ClassVar[bool] = False

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    @property
    def feature_channels(self) -> tuple[int, ...]:
        """Channels of what `encode` returns, deepest first."""
        return self.backbone.channels

    def encode(self, images: Tensor) -> tuple[Tensor, ...]:
        """The features that are distilled (B, C, h, w), deepest first; the decoder does not run."""
        features: tuple[Tensor, ...] = self.backbone(images)
        return features


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
