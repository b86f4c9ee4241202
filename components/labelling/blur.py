"""The blur that turns the wide photograph of a scene into the shallow one: disks of a bank of diameters, tried out.

The wide photograph is blurred in linear light by every disk (`components.render.optics`: a thin lens spreads a point
over a disk), and compared with the shallow one in square roots of light, in which photon noise is alike everywhere.
What is in focus does not spread over its surroundings: once it is known, it is left out of the blur of the others.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from components.render.optics import Floats, blur

BELOW = (0.0, 0.45, 0.62, 0.8)
ABOVE = (1.25, 1.6, 2.1, 2.8, 3.8, 5.2, 7.0, 9.5, 13.0)
"""Diameters tried, as multiples of the limit; a gap around it keeps one side from imitating the other."""
SMOOTHING_PX = 0.7
"""Both photographs are smoothed first: a small aperture's diffraction and JPEG's grain are no sign of focus."""
NOISE = 0.003
"""Difference in square roots of light (white = 1) that means nothing: noise, compression, what exposure leaves."""
MISPLACED_PX = 0.15
"""Error of the alignment that means nothing."""
SOFTEN = 4.0
"""Squared differences beyond this, in units of what means nothing, count by their root: what no blur explains."""
WINDOW = 7
"""Side of the square over which a pixel's evidence is summed."""
INDEPENDENT = 6.0
"""Pixels of a window that count as one observation: smoothing has made neighbours alike."""
UNEXPLAINED = 12.0
"""Where the better explanation leaves this much, evidence counts half."""
LARGEST_KERNEL = 14
"""Larger disks are applied to a halved picture."""
DARKEST = 1e-4


@dataclass(frozen=True)
class Bank:
    """Diameters of disks in pixels."""

    below: tuple[float, ...]
    """Up to the limit: in focus."""
    above: tuple[float, ...]

    @property
    def all(self) -> tuple[float, ...]:
        """Every diameter, ascending."""
        return (*self.below, *self.above)


def make_bank(limit_px: float) -> Bank:
    """The diameters to try for a limit of the circle of confusion."""
    return Bank(tuple(each * limit_px for each in BELOW), tuple(each * limit_px for each in ABOVE))


def spread(picture: Floats, diameter: float) -> Floats:
    """`picture` (h, w, channels) blurred by a disk; a large one on a picture halved as often as needed."""
    small, left = picture, diameter
    while left > LARGEST_KERNEL:
        size = ((small.shape[1] + 1) // 2, (small.shape[0] + 1) // 2)
        small, left = cv2.resize(small, size, interpolation=cv2.INTER_AREA), left / 2
    blurred = blur(small, left)
    if small is not picture:
        blurred = cv2.resize(blurred, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(blurred, dtype=np.float32).reshape(picture.shape)


def root(light: Floats) -> Floats:
    """Square root of linear light."""
    return np.sqrt(np.maximum(light, np.float32(DARKEST)))


def smoothed(light: Floats) -> Floats:
    """Linear light without the finest detail."""
    return np.asarray(cv2.GaussianBlur(light, (0, 0), SMOOTHING_PX), dtype=np.float32)


def allowed(wide: Floats) -> Floats:
    """Squared difference (h, w, 3) in square roots of light that noise and a small misplacement explain."""
    slopes = [cv2.Sobel(root(wide), -1, *order, scale=1 / 8) ** 2 for order in ((1, 0), (0, 1))]
    return np.asarray(NOISE**2 + MISPLACED_PX**2 * cv2.GaussianBlur(slopes[0] + slopes[1], (0, 0), 1.5))


def predicted(wide: Floats, diameter: float, spreads: Floats | None) -> Floats:
    """The shallow photograph if all were out of focus by `diameter`; only what `spreads` (h, w) in 0..1 spreads."""
    if spreads is None or diameter <= 1:
        return spread(wide, diameter)
    parts = spread(np.dstack([wide * spreads[..., None], spreads]), diameter)
    weight = parts[..., 3:]
    return np.where(weight > 0.03, parts[..., :3] / np.maximum(weight, np.float32(0.03)), wide)


def residuals(shallow: Floats, wide: Floats, bank: Bank, spreads: Floats | None = None) -> Floats:
    """How badly each disk explains each pixel, (diameters, h, w), summed over a window; 1 a pixel is what noise leaves.

    `shallow` and `wide` are (h, w, 3), linear light, aligned and equally exposed.
    """
    target, source = root(smoothed(shallow)), smoothed(wide)
    scale = allowed(source)
    found = []
    for diameter in bank.all:
        error = (target - root(predicted(source, diameter, spreads))) ** 2 / scale
        squared = error.sum(axis=2) / 2
        loss = SOFTEN * (np.sqrt(1 + 2 * squared / SOFTEN) - 1)
        found.append(cv2.blur(loss, (WINDOW, WINDOW)) * (WINDOW**2 / INDEPENDENT))
    return np.stack(found).astype(np.float32)


def evidence(residual: Floats, bank: Bank) -> Floats:
    """By how much a blur up to the limit explains each pixel (h, w) better than a larger one: positive = in focus."""
    count = len(bank.below)
    low, high = residual[:count].min(axis=0), residual[count:].min(axis=0)
    return np.asarray((high - low) / (1 + np.minimum(high, low) / UNEXPLAINED), dtype=np.float32)


def shows(wide: Floats, diameter: float) -> Floats:
    """By how much a disk of `diameter` changes the wide photograph, (h, w), root of light: 0 where it is flat."""
    source = smoothed(wide)
    change = (root(source) - root(spread(source, diameter))) ** 2
    return np.asarray(np.sqrt(np.maximum(cv2.blur(change.sum(axis=2) / 2, (5, 5)), 0)), dtype=np.float32)
