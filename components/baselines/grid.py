"""Photographs in grey, and maps that are computed at every few pixels and brought to full size."""

import cv2
import numpy as np
from numpy.typing import NDArray

from components.baselines.domain_transform import FloatMap


def to_gray(image: NDArray[np.uint8]) -> FloatMap:
    """(H, W) in [0, 1], of a photograph (H, W, 3) RGB."""
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) / np.float32(255))


def at_full_size(coarse: FloatMap, stride: int, height: int, width: int) -> FloatMap:
    """(height, width) in [0, 1]: the map of every `stride`-th pixel, interpolated (bicubic) in between."""
    y, x = (np.arange(side, dtype=np.float32) / stride for side in (height, width))
    full: FloatMap = cv2.remap(coarse, *np.meshgrid(x, y), cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.clip(full, 0, 1)
