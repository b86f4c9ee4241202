"""A photograph and its map made into one picture: overlay, cut-out, background blurred further.

Throughout, a photograph is uint8 (H, W, 3) RGB and its map uint8 (H, W), 255 = in focus, 0 = out of focus. What is
computed in floats is computed a strip of rows at a time: a large photograph takes no more than its own pixels.
"""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

WHITE = 255
TINT = (255, 0, 110)
"""Colour of what is out of focus in an overlay, RGB: it stands out from foliage, skin and sky."""
STRENGTH = 0.55
"""Share of the tint where nothing is in focus."""
ROWS = 256
"""Of a picture, made at a time."""
WIDE = 8
"""Pixels: a background that is blurred by more is blurred at a reduced size, where the Gaussian has at least this."""


def overlay(photograph: NDArray[np.uint8], levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3): the photograph in grey, tinted the more the less it is in focus; what is in focus in its colours."""

    def tinted(rows: slice) -> NDArray[np.float32]:
        grey = cv2.cvtColor(photograph[rows], cv2.COLOR_RGB2GRAY)[..., None].astype(np.float32)
        return np.asarray(grey * (1 - STRENGTH) + np.array(TINT, np.float32) * STRENGTH)

    return mixed(photograph, tinted, levels)


def on_white(photograph: NDArray[np.uint8], levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3): the photograph on white, as opaque as it is in focus."""
    return mixed(photograph, lambda rows: np.float32(WHITE), levels)


def cut_out(photograph: NDArray[np.uint8], levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 4) RGBA: the photograph, its map as opacity."""
    return np.dstack([photograph, levels])


def background_blurred(photograph: NDArray[np.uint8], levels: NDArray[np.uint8], sigma: float) -> NDArray[np.uint8]:
    """(H, W, 3): what is out of focus blurred further, by a Gaussian of `sigma` pixels.

    The blur is normalised by what is out of focus, so that nothing in focus bleeds into the background.
    """
    height, width = levels.shape
    times = max(1, int(sigma / WIDE))
    size = (max(1, width // times), max(1, height // times))
    small, away = (cv2.resize(each, size, interpolation=cv2.INTER_AREA) for each in (photograph, WHITE - levels))
    share = away.astype(np.float32) / WHITE
    weight = cv2.GaussianBlur(share, (0, 0), sigma / times)[..., None]
    blurred = cv2.GaussianBlur(small * share[..., None], (0, 0), sigma / times) / np.maximum(weight, 1e-3)
    full = cv2.resize(np.rint(np.clip(blurred, 0, WHITE)).astype(np.uint8), (width, height))
    return mixed(photograph, lambda rows: full[rows].astype(np.float32), levels)


def mixed(
    front: NDArray[np.uint8], back: Callable[[slice], NDArray[np.float32] | np.float32], levels: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """`front` where `levels` are 255, what `back` gives for some rows where they are 0, and so on between; rounded."""
    made = np.empty_like(front)
    for start in range(0, len(front), ROWS):
        rows = slice(start, start + ROWS)
        opacity = levels[rows, :, None].astype(np.float32) / WHITE
        made[rows] = np.rint(np.clip(front[rows] * opacity + back(rows) * (1 - opacity), 0, WHITE))
    return made
