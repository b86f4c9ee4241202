"""The paper's detectors: DFFNet (section III.D) and what it is compared with (Tables I, IV, V and VI).

Each reads encoder -> decoder -> head. Images are (B, 3, H, W), ImageNet-normalised, H and W multiples of the deepest
stride; levels are deepest first. Activations, sharing of weights and interpolation, which the paper leaves open,
are those under which the published weights give the published outputs.
"""

from torch import Tensor, nn

from components.models.backbone import Backbone
from components.models.fusion import Aggregation, DenseFusion, SideClassifiers, SpatialAttention
from components.models.layers import RFB, Lift, each, resize_to
from components.models.network import DefocusOutput, Network


class Detector(Network):
    """What all detectors share: the encoder at the start, the aggregation and its 1x1 classifier at the end."""

    has_sides = True

    def __init__(self, backbone: Backbone, width: int) -> None:
        super().__init__(backbone)
        self.aggregation = Aggregation(width)
        self.head = nn.Conv2d(self.aggregation.outputs, 1, 1)


class DFFNet(Detector):
    """DFFNet: RFBs, dense fusion, side classifiers, spatial attention, aggregation (Fig. 3(a))."""

    def __init__(self, backbone: Backbone, width: int = 32) -> None:
        super().__init__(backbone, width)
        self.rfbs = nn.ModuleList([RFB(channels, width) for channels in backbone.channels])
        self.fusion = DenseFusion(width)
        self.sides = SideClassifiers(width)
        self.attention = SpatialAttention(width)

    def forward(self, images: Tensor) -> DefocusOutput:
        """Side maps show the fused levels: strides 16, 16, 8, 4 on a backbone of strides 32 to 4."""
        features = self.encode(images)
        fused = self.fusion(each(self.rfbs, features))
        sides = self.sides(fused)
        refined = self.aggregation(self.attention(fused, sides))
        return DefocusOutput(resize_to(self.head(refined), images), sides, features)


class DFFNetWithoutDFFM(Detector):
    """DFFNet without dense fusion (Table VI, "w/o DFFM"): sides and attention work on the RFBs' own outputs."""

    def __init__(self, backbone: Backbone, width: int = 32) -> None:
        super().__init__(backbone, width)
        self.rfbs = nn.ModuleList([RFB(channels, width) for channels in backbone.channels])
        self.sides = SideClassifiers(width)
        self.attention = SpatialAttention(width)
        self.lift = Lift(width)

    def forward(self, images: Tensor) -> DefocusOutput:
        """Side maps show the RFBs' outputs: strides 32, 16, 8, 4 on a backbone of strides 32 to 4."""
        features = self.encode(images)
        reduced = each(self.rfbs, features)
        sides = self.sides(reduced)
        deepest, *finer = self.attention(reduced, sides)
        refined = self.aggregation([self.lift(deepest), *finer])
        return DefocusOutput(resize_to(self.head(refined), images), sides, features)


class DFFNetVGG16(Detector):
    """DFFNet on VGG16 (Table V): levels of strides 16 to 2 and no spatial attention.

    It distils the RFBs' outputs instead of the backbone's features; the published code does so here and only here.
    """

    def __init__(self, backbone: Backbone, width: int = 32) -> None:
        super().__init__(backbone, width)
        self.rfbs = nn.ModuleList([RFB(channels, width) for channels in backbone.channels])
        self.fusion = DenseFusion(width)
        self.sides = SideClassifiers(width)
        self.width = width

    @property
    def feature_channels(self) -> tuple[int, ...]:
        """The decoder's width at every level."""
        return (self.width,) * len(self.rfbs)

    def encode(self, images: Tensor) -> tuple[Tensor, ...]:
        """The features that are distilled (B, width, h, w), deepest first: backbone and RFBs, nothing after them."""
        return each(self.rfbs, self.backbone(images))

    def forward(self, images: Tensor) -> DefocusOutput:
        """Side maps show the fused levels: strides 8, 8, 4, 2 on VGG16."""
        features = self.encode(images)
        fused = self.fusion(features)
        logits = resize_to(self.head(self.aggregation(fused)), images)
        return DefocusOutput(logits, self.sides(fused), features)


class PDNet(Detector):
    """PDNet (Table IV): the decoder reduced to 1x1 convolutions and the aggregation; no side maps."""

    has_sides = False

    def __init__(self, backbone: Backbone, width: int = 32) -> None:
        super().__init__(backbone, width)
        self.reduce = nn.ModuleList([nn.Conv2d(channels, width, 1) for channels in backbone.channels])
        self.lift = Lift(width)

    def forward(self, images: Tensor) -> DefocusOutput:
        """`sides` is empty."""
        features = self.encode(images)
        deepest, *finer = each(self.reduce, features)
        refined = self.aggregation([self.lift(deepest), *finer])
        return DefocusOutput(resize_to(self.head(refined), images), (), features)


class RDFFNet(DFFNet):
    """R-DFFNet (appendix B.C): DFFNet that also predicts depth, for response-based distillation (eq. 10).

    Args:
        final_depth: also predict depth at the size of the image, as the paper says; the published code has
            the four depth side maps only.
    """

    def __init__(self, backbone: Backbone, width: int = 32, final_depth: bool = True) -> None:
        super().__init__(backbone, width)
        self.depth_sides = SideClassifiers(width)
        self.depth_head = nn.Conv2d(self.aggregation.outputs, 1, 1) if final_depth else None

    def forward(self, images: Tensor) -> DefocusOutput:
        """`depth_sides` are made where `sides` are, from the same fused levels, before attention."""
        features = self.encode(images)
        fused = self.fusion(each(self.rfbs, features))
        sides = self.sides(fused)
        refined = self.aggregation(self.attention(fused, sides))
        logits = resize_to(self.head(refined), images)
        depth = None if self.depth_head is None else resize_to(self.depth_head(refined), images)
        return DefocusOutput(logits, sides, features, depth, self.depth_sides(fused))
