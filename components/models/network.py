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
