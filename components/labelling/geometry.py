"""Maps between the pixels of two photographs, (3, 3), of points (x, y, 1) with pixel centres at integers."""

import cv2
import numpy as np
from numpy.typing import NDArray

Homography = NDArray[np.float64]


def scaled(homography: Homography, shallow: float, wide: float) -> Homography:
    """The map between the two photographs when they are reduced by these factors (pixel centres at integers)."""
    to = np.array([[wide, 0, (wide - 1) / 2], [0, wide, (wide - 1) / 2], [0, 0, 1]])
    back = np.array([[shallow, 0, (shallow - 1) / 2], [0, shallow, (shallow - 1) / 2], [0, 0, 1]])
    moved = to @ homography @ np.linalg.inv(back)
    return np.asarray(moved / moved[2, 2])


def corners(homography: Homography, size: tuple[int, int]) -> NDArray[np.float64]:
    """Where the corners of a picture of `size` (h, w) go, (4, 2)."""
    height, width = size
    square = np.array([[[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]]], dtype=np.float64)
    return np.asarray(cv2.perspectiveTransform(square, homography)[0])


def turn_of(homography: Homography) -> float:
    """Rotation in degrees, counter-clockwise as seen, of the linear part of a homography."""
    return float(np.degrees(np.arctan2(homography[0, 1] - homography[1, 0], homography[0, 0] + homography[1, 1])))
