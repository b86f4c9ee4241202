"""The depth teacher: MiDaS v2.1 (Ranftl et al., TPAMI 2020), the paper's reference [20].

Images are (B, 3, H, W), ImageNet-normalised; levels are deepest first. The published network is
`MiDaS(Backbone("resnext101_32x8d"), width=256)`.
"""

from torch import Tensor, nn
from torch.nn import functional

from components.models.backbone import Backbone
from components.models.fusion import LEVELS
from components.models.layers import double, each
from components.models.network import DepthOutput, Network


class MiDaS(Network):
    """Encoder, four refinement steps from the deepest level to the finest, and a head that makes inverse depth."""

    def __init__(self, backbone: Backbone, width: int = 256) -> None:
        super().__init__(backbone)
        self.reduce = nn.ModuleList([nn.Conv2d(c, width, 3, padding=1, bias=False) for c in backbone.channels])
        self.enter = nn.ModuleList([ResidualUnit(width) for _ in range(LEVELS - 1)])
        self.leave = nn.ModuleList([ResidualUnit(width) for _ in range(LEVELS)])
        self.head = DepthHead(width)

    def forward(self, images: Tensor) -> DepthOutput:
        """On a backbone of strides 32 to 4 depth has the size of the images."""
        features = self.encode(images)
        deepest, *finer = each(self.reduce, features)
        path = double(self.leave[0](deepest))
        for level, enter, leave in zip(finer, self.enter, list(self.leave)[1:], strict=True):
            path = double(leave(path + enter(level)))
        return DepthOutput(self.head(path), features)


class ResidualUnit(nn.Module):
    """x -> relu(x) + two 3x3 convolutions of relu(x).

    The sum takes relu(x), not x: the published ReLU works in place, and the weights were trained so.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, h, w) -> the same shape."""
        positive = functional.relu(x)
        change: Tensor = self.conv2(functional.relu(self.conv1(positive)))
        return change + positive


class DepthHead(nn.Module):
    """Three convolutions and one doubling, half a pixel's alignment here and only here, to inverse depth >= 0."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(width, width // 2, 3, padding=1)
        self.mix = nn.Conv2d(width // 2, 32, 3, padding=1)
        self.depth = nn.Conv2d(32, 1, 1)
        assert self.depth.bias is not None
        nn.init.ones_(self.depth.bias)  # trained from scratch, a start below zero would stay there: relu'(x < 0) = 0

    def forward(self, path: Tensor) -> Tensor:
        """(B, width, h, w) -> (B, 2h, 2w)."""
        narrow = functional.interpolate(self.narrow(path), scale_factor=2, mode="bilinear", align_corners=False)
        depth: Tensor = functional.relu(self.depth(functional.relu(self.mix(narrow))))
        return depth.squeeze(1)
