"""What people use today where no method is at hand: how strong edges are around a pixel, against a fixed limit.

Neither is from a paper. Window, limit and power were chosen by MAE on the 60 photographs of CUHK-TR-1-VAL, 640 pixels
wide (2026-11-28; windows 7 to 91, powers 0.5 to 4, limits by factors of the square root of 2): gradient 0.287,
Laplacian 0.229. Each photograph's own range scaled to [0, 1] gives 0.287 and more for both.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from components.baselines.domain_transform import FloatMap
from components.baselines.hifst import gradient_magnitude

POWER = 4
GRADIENT_WINDOW, GRADIENT_LIMIT = 31, 16.0  # pixels; grey levels
LAPLACIAN_WINDOW, LAPLACIAN_LIMIT = 45, 512.0  # pixels; grey levels squared


def gradient(image: NDArray[np.uint8]) -> FloatMap:
    """In-focus map of a photograph: mean gradient magnitude of the window around each pixel.

    Args:
        image: (H, W, 3) RGB; the windows suit photographs of about 640 x 480.

    Returns:
        (H, W) in [0, 1], 1 = in focus.
    """
    magnitude = gradient_magnitude(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))
    return beyond(mean(magnitude, GRADIENT_WINDOW), GRADIENT_LIMIT)


def laplacian(image: NDArray[np.uint8]) -> FloatMap:
    """Likewise: variance of the Laplacian (4 neighbours) in the window."""
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    second = cv2.Laplacian(gray, cv2.CV_32F, borderType=cv2.BORDER_REFLECT_101)
    variance = mean(second**2, LAPLACIAN_WINDOW) - mean(second, LAPLACIAN_WINDOW) ** 2
    return beyond(np.maximum(variance, 0), LAPLACIAN_LIMIT)


def mean(values: FloatMap, window: int) -> FloatMap:
    """Mean over the window around each pixel, (H, W)."""
    return np.asarray(cv2.blur(values, (window, window), borderType=cv2.BORDER_REFLECT_101), np.float32)


def beyond(strength: FloatMap, limit: float) -> FloatMap:
    """(H, W) >= 0 as a map: 0.5 at the limit, towards 1 beyond it."""
    powered = (strength / np.float32(limit)) ** POWER
    return np.asarray(powered / (1 + powered), np.float32)
