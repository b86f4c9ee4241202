"""Smoothing along the edges of a photograph: the guided filter (He, Sun, Tang, TPAMI 2013, eq. 14 to 16 and 19)."""

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


class Guide:
    """A photograph (h, w, 3), 0..1, whose edges what is smoothed keeps to.

    `radius`: of the windows, pixels; `smooth`: variance of the colours below which a window counts as flat.
    """

    def __init__(self, colours: Floats, *, radius: int, smooth: float) -> None:
        self.side = 2 * radius + 1
        self.colours, self.means = colours, self.mean(colours)
        outer = np.concatenate([colours * colours[..., c : c + 1] for c in range(3)], axis=2)
        products = np.dstack([self.mean(outer[..., 3 * c : 3 * c + 3]) for c in range(3)]).reshape(*colours.shape, 3)
        covariance = products - self.means[..., :, None] * self.means[..., None, :]
        self.inverse = np.linalg.inv(covariance + np.float32(smooth) * np.eye(3, dtype=np.float32))

    def mean(self, values: Floats) -> Floats:
        """Mean over the window around each pixel."""
        side = (self.side, self.side)
        return np.asarray(cv2.blur(values, side, borderType=cv2.BORDER_REFLECT), dtype=np.float32)

    def smooth(self, values: Floats) -> Floats:
        """`values` (h, w) smoothed: in each window a linear function of the guide's colours."""
        average = self.mean(values)
        with_colours = self.mean(self.colours * values[..., None]) - self.means * average[..., None]
        slope = np.einsum("...ij,...j->...i", self.inverse, with_colours).astype(np.float32)
        offset = average - (slope * self.means).sum(axis=2)
        return np.asarray((self.mean(slope) * self.colours).sum(axis=2) + self.mean(offset), dtype=np.float32)
