"""A photograph and its map made into one picture: overlay, cut-out, background blurred further.

Throughout, a photograph is uint8 (H, W, 3) RGB and its map uint8 (H, W), 255 = in focus, 0 = out of focus.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

WHITE = 255
TINT = (255, 0, 110)
"""Colour of what is out of focus in an overlay, RGB: it stands out from foliage, skin and sky."""
STRENGTH = 0.55
"""Share of the tint where nothing is in focus."""


def overlay(photograph: NDArray[np.uint8], levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3): the photograph in grey, tinted the more the less it is in focus; what is in focus in its colours."""
    grey = cv2.cvtColor(photograph, cv2.COLOR_RGB2GRAY)[..., None].astype(np.float32)
    tinted = grey * (1 - STRENGTH) + np.array(TINT, np.float32) * STRENGTH
    return mixed(photograph, tinted, levels)


def on_white(photograph: NDArray[np.uint8], levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3): the photograph on white, as opaque as it is in focus."""
    return mixed(photograph, np.float32(WHITE), levels)


def cut_out(photograph: NDArray[np.uint8], levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 4) RGBA: the photograph, its map as opacity."""
    return np.dstack([photograph, levels])


def background_blurred(photograph: NDArray[np.uint8], levels: NDArray[np.uint8], sigma: float) -> NDArray[np.uint8]:
    """(H, W, 3): what is out of focus blurred further, by a Gaussian of `sigma` pixels.

    The blur is normalised by what is out of focus, so that nothing in focus bleeds into the background.
    """
    away = 1 - levels[..., None].astype(np.float32) / WHITE
    weight = cv2.GaussianBlur(away, (0, 0), sigma)[..., None]
    blurred = cv2.GaussianBlur(photograph * away, (0, 0), sigma) / np.maximum(weight, 1e-3)
    return mixed(photograph, blurred, levels)


def mixed(
    front: NDArray[np.uint8], back: NDArray[np.float32] | np.float32, levels: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """`front` where `levels` are 255, `back` where they are 0, and so on between; rounded."""
    opacity = levels[..., None].astype(np.float32) / WHITE
    return np.asarray(np.rint(np.clip(front * opacity + back * (1 - opacity), 0, WHITE)), np.uint8)
