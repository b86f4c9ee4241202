"""Receptive field block (paper section III.D; Liu, Huang, Wang, ECCV 2018)."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from components.models.layers import ConvNorm

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
