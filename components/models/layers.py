"""Bricks of the decoder: normalised convolution, doubling, receptive field block. B = batch, h x w = a level's size."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class ConvNorm(nn.Module):
    """Convolution without bias, then batch normalisation, at the same h x w.

    No activation follows: the decoder is linear between its products, as the published weights demand.
    """

    def __init__(self, inputs: int, outputs: int, kernel: tuple[int, int], dilation: int = 1) -> None:
        super().__init__()
        padding = (dilation * (kernel[0] // 2), dilation * (kernel[1] // 2))
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=padding, dilation=dilation, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) -> (B, outputs, h, w)."""
        normalised: Tensor = self.bn(self.conv(x))
        return normalised


class Lift(nn.Module):
    """Double the size of a level, then a 3x3 `ConvNorm` of the same width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = ConvNorm(width, width, (3, 3))

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, h, w) -> (B, width, 2h, 2w)."""
        lifted: Tensor = self.conv(double(x))
        return lifted


def double(x: Tensor) -> Tensor:
    """Bilinear, corner pixels kept in the corners: (B, C, h, w) -> (B, C, 2h, 2w)."""
    return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)


def resize_to(x: Tensor, like: Tensor) -> Tensor:
    """Bilinear, corner pixels kept in the corners: (B, C, h, w) -> (B, C, H, W) with the H x W of `like`."""
    return functional.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=True)


def each(modules: nn.ModuleList, levels: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Run each level through its own module."""
    return tuple(module(x) for module, x in zip(modules, levels, strict=True))


KERNELS = (3, 5, 7)  # of the three dilated branches; a branch's dilation equals its kernel


class RFB(nn.Module):
    """Four branches of growing receptive field, merged and added to a 1x1 short cut; the only ReLU is at the end."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        branches = [_dilated_branch(inputs, width, kernel) for kernel in KERNELS]
        self.branches = nn.ModuleList([nn.Sequential(ConvNorm(inputs, width, (1, 1))), *branches])
        self.merge = ConvNorm(len(self.branches) * width, width, (3, 3))
        self.shortcut = ConvNorm(inputs, width, (1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) -> (B, width, h, w), >= 0."""
        merged = self.merge(torch.cat([branch(x) for branch in self.branches], dim=1))
        return functional.relu(merged + self.shortcut(x))


def _dilated_branch(inputs: int, width: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        ConvNorm(inputs, width, (1, 1)),
        ConvNorm(width, width, (1, kernel)),
        ConvNorm(width, width, (kernel, 1)),
        ConvNorm(width, width, (3, 3), dilation=kernel),
    )
