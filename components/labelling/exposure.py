"""The wide photograph given the exposure, contrast and fall-off of light of the shallow one.

In each channel, in linear light, shallow = gain x wide^gamma, times a fall-off towards the corners: a lens wide open
darkens them more. Fitted where blur hardly matters: on means over squares much larger than it, robustly, so that the
squares that a blurred edge crosses do not count.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from components.render.optics import Floats

SQUARES = 50
"""Means along the longer side."""
DARK, BRIGHT = 0.01, 0.9
"""Linear light outside of which a mean says nothing: noise, and clipping."""
ROUNDS = 10
HOLD_GAMMA, HOLD_FALLOFF = 0.5, 0.05
"""Weights that hold gamma at 1 and the fall-off at 0 where the scene has too few tones to tell, against one square."""
MIN_SQUARES = 20


@dataclass(frozen=True)
class Exposure:
    """What turns the tones of the wide photograph into those of the shallow one."""

    gain: tuple[float, float, float]
    gamma: tuple[float, float, float]
    """Of red, green and blue."""
    falloff: float
    """Change of the logarithm of light from the centre to the corners."""

    def apply(self, wide: Floats) -> Floats:
        """The wide photograph (h, w, 3), linear light, with the tones of the shallow one."""
        gain, gamma = (np.array(each, dtype=np.float32) for each in (self.gain, self.gamma))
        spread = np.exp(np.float32(self.falloff) * from_centre(wide.shape[:2]))
        return np.asarray(gain * np.maximum(wide, 1e-5) ** gamma * spread[..., None], dtype=np.float32)


UNCHANGED = Exposure((1.0, 1.0, 1.0), (1.0, 1.0, 1.0), 0.0)


def from_centre(size: tuple[int, ...]) -> Floats:
    """Squared distance (h, w) from the centre, 1 in the corners."""
    y, x = (np.linspace(-1, 1, length, dtype=np.float32) for length in size)
    return np.asarray((y[:, None] ** 2 + x[None, :] ** 2) / 2, dtype=np.float32)


def means(picture: Floats) -> Floats:
    """Means over squares, about `SQUARES` along the longer side."""
    step = max(1, max(picture.shape[:2]) // SQUARES)
    size = (max(2, picture.shape[1] // step), max(2, picture.shape[0] // step))
    return np.asarray(cv2.resize(cv2.GaussianBlur(picture, (0, 0), step / 2), size, interpolation=cv2.INTER_AREA))


def robust_fit(design: NDArray[np.float64], values: NDArray[np.float64], hold: NDArray[np.float64]) -> Floats:
    """Coefficients by least squares, reweighted (Cauchy), pulled to 0 by `hold`."""
    weight = np.ones_like(values)
    held = np.diag(np.sqrt(hold))
    found = np.zeros(design.shape[1])
    for _ in range(ROUNDS):
        root = np.sqrt(weight)
        rows = np.vstack([design * root[:, None], held])
        found = np.linalg.lstsq(rows, np.concatenate([values * root, np.zeros(len(hold))]), rcond=None)[0]
        left = values - design @ found
        weight = 1 / (1 + (left / (1.4826 * np.median(np.abs(left)) + 1e-4)) ** 2)
    return found.astype(np.float32)


def match(wide: Floats, shallow: Floats, covered: NDArray[np.bool_]) -> Exposure:
    """The exposure between two aligned photographs (h, w, 3), linear light, from the pixels `covered` (h, w)."""
    one, other = means(wide), means(shallow)
    known = means(covered.astype(np.float32)) > 0.999
    known &= (np.minimum(one, other).min(axis=2) > DARK) & (np.maximum(one, other).max(axis=2) < BRIGHT)
    count = int(known.sum())
    if count < MIN_SQUARES:
        return UNCHANGED
    x, y = (np.log(each[known].astype(np.float64)) for each in (one, other))
    centre = from_centre(one.shape[:2])[known].astype(np.float64)
    design, values = np.zeros((3 * count, 7)), (y - x).T.reshape(-1)
    for c in range(3):
        rows = slice(c * count, (c + 1) * count)
        design[rows, c], design[rows, 3 + c], design[rows, 6] = 1.0, x[:, c], centre
    found = robust_fit(design, values, np.array([0.0] * 3 + [HOLD_GAMMA] * 3 + [HOLD_FALLOFF]))
    red, green, blue = (float(np.exp(found[c])) for c in range(3))
    gammas = (1 + float(found[3]), 1 + float(found[4]), 1 + float(found[5]))
    return Exposure((red, green, blue), gammas, float(found[6]))
