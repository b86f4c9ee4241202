"""Smoothing along the edges of a photograph: the guided filter (He, Sun, Tang, TPAMI 2013, eq. 14 to 16 and 19)."""

import cv2
import numpy as np

from components.data.optics import Floats

RADIUS = 6
SMOOTH = 1e-4
"""Variance of the guide's colours below which a window counts as flat."""


def mean(values: Floats) -> Floats:
    """Mean over the window around each pixel."""
    side = 2 * RADIUS + 1
    return np.asarray(cv2.blur(values, (side, side), borderType=cv2.BORDER_REFLECT), dtype=np.float32)


class Guide:
    """A photograph (h, w, 3), 0..1, whose edges what is smoothed keeps to."""

    def __init__(self, colours: Floats) -> None:
        self.colours, self.means = colours, mean(colours)
        outer = np.concatenate([colours * colours[..., c : c + 1] for c in range(3)], axis=2)
        products = np.dstack([mean(outer[..., 3 * c : 3 * c + 3]) for c in range(3)]).reshape(*colours.shape, 3)
        covariance = products - self.means[..., :, None] * self.means[..., None, :]
        self.inverse = np.linalg.inv(covariance + np.float32(SMOOTH) * np.eye(3, dtype=np.float32))

    def smooth(self, values: Floats) -> Floats:
        """`values` (h, w) smoothed: in each window a linear function of the guide's colours."""
        average = mean(values)
        with_colours = mean(self.colours * values[..., None]) - self.means * average[..., None]
        slope = np.einsum("...ij,...j->...i", self.inverse, with_colours).astype(np.float32)
        offset = average - (slope * self.means).sum(axis=2)
        return np.asarray((mean(slope) * self.colours).sum(axis=2) + mean(offset), dtype=np.float32)
