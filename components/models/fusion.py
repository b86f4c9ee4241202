"""How the decoder joins its four levels: DFFM, side classifiers, spatial attention, aggregation.

Paper section III.D, Fig. 3 and appendix B.A. Levels are given deepest first; level k + 1 has twice the size of level k.
"""

from collections.abc import Sequence
from functools import reduce
from operator import mul

import torch
from torch import Tensor, nn

from components.models.layers import ConvNorm, Lift, double, each

LEVELS = 4

# Which gate convolution carries each deeper level into level 2, 3 and 4. The published network shares the gates
# of level 3 with level 4, and so do we: its weights would not fit otherwise.
GATES = ((0,), (1, 2), (1, 2, 3))


class DenseFusion(nn.Module):
    """Dense feature fusing module, DFFM (appendix B.A): each level is multiplied by all deeper ones.

    Deeper levels are cleaner, so they gate the noise of finer ones. The deepest level has nothing above it and
    is lifted to the size of the second.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.lift = Lift(width)
        self.gates = nn.ModuleList([ConvNorm(width, width, (3, 3)) for _ in range(LEVELS)])

    def forward(self, levels: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Four of (B, width, h, w) -> the same shapes, but the deepest at twice its size.

        Each gate lifts its level anew and the deepest is lifted last: gradients then add up in the order in which
        the published training trace adds them, to the last bit.
        """
        finer = []
        for index, (level, gates) in enumerate(zip(levels[1:], GATES, strict=True), start=1):
            gated = [
                self.gates[gate](lifted(deeper, index - depth))
                for depth, (gate, deeper) in enumerate(zip(gates, levels[:index], strict=True))
            ]
            finer.append(reduce(mul, [*gated, level]))
        return (self.lift(levels[0]), *finer)


def lifted(x: Tensor, times: int) -> Tensor:
    """`double` applied `times` times."""
    for _ in range(times):
        x = double(x)
    return x


class SideClassifiers(nn.Module):
    """A 1x1 convolution a level, from features to a one-channel map of the same size."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.classifiers = nn.ModuleList([nn.Conv2d(width, 1, 1) for _ in range(LEVELS)])

    def forward(self, levels: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Four of (B, width, h, w) -> four of (B, 1, h, w)."""
        return each(self.classifiers, levels)


class SpatialAttention(nn.Module):
    """Weight each level by a sigmoid of its own side map (Fig. 3(b)): one 3x3 convolution, a weight a channel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList([nn.Conv2d(1, width, 3, padding=1, bias=False) for _ in range(LEVELS)])

    def forward(self, levels: Sequence[Tensor], sides: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Four of (B, width, h, w) and of (B, 1, h, w) -> four of (B, width, h, w)."""
        return tuple(x * torch.sigmoid(conv(side)) for conv, x, side in zip(self.convs, levels, sides, strict=True))


class Aggregation(nn.Module):
    """Agg (Fig. 3): from deepest to finest, join a level to what is below it and mix both by a 3x3 convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.outputs = LEVELS * width
        self.lifts = nn.ModuleList([Lift(depth * width) for depth in range(2, LEVELS)])
        self.merges = nn.ModuleList([_square(depth * width) for depth in range(2, LEVELS + 1)])
        self.refine = _square(self.outputs)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Four levels, the two deepest of equal size -> (B, 4 width, h, w) at the size of the finest."""
        deepest, second, *finer = levels
        merged = self.merges[0](torch.cat([second, deepest], dim=1))
        for level, lift, merge in zip(finer, self.lifts, list(self.merges)[1:], strict=True):
            merged = merge(torch.cat([level, lift(merged)], dim=1))
        refined: Tensor = self.refine(merged)
        return refined


def _square(width: int) -> ConvNorm:
    return ConvNorm(width, width, (3, 3))
