"""Where on a photograph an error lies: homogeneous or textured surface, near the label's boundary or away from it.

The paper's reason for distillation is that homogeneous regions in focus are taken for blur (section I, Figs. 1, 8, 12,
13), and for the DOF-edge loss that boundaries are found better (Fig. 9); it shows pictures of both and measures
neither. The definitions are ours. Everything is at network size (S, S); 1 (or 255) = in focus.
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

FLAT = 3.0
"""8-bit levels a pixel of mean gradient below which a place is homogeneous."""
WINDOW = 9
"""Pixels of the side of the square over which the gradient's mean is taken."""
BAND = 64
"""The edge band reaches as far from the boundary as the side of the photograph divided by this (5 pixels of 320)."""

REGIONS = {
    "homogeneous": "Homogeneous",
    "homogeneous_in_focus": "Homogeneous, in focus",
    "textured": "Textured",
    "edge": "Edge band",
    "interior": "Interior",
}
"""Names of the regions: as a column has them (`mae_<name>`), and as people read them."""


def gradient(photograph: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Mean gradient magnitude of the luminance around each pixel, central differences, 8-bit levels a pixel.

    Args:
        photograph: (S, S, 3) RGB.
    """
    grey = cv2.cvtColor(photograph, cv2.COLOR_RGB2GRAY).astype(np.float32)
    x, y = (cv2.Sobel(grey, cv2.CV_32F, *order, ksize=1, scale=0.5) for order in ((1, 0), (0, 1)))
    mean: NDArray[np.float32] = cv2.blur(cv2.magnitude(x, y), (WINDOW, WINDOW))
    return mean


def edge_band(label: NDArray[np.uint8]) -> Mask:
    """Pixels near one of the other class: a square of 2 k + 1 around them holds both, k = S / `BAND`, at least 1."""
    reach = max(1, len(label) // BAND)
    square = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    band: Mask = cv2.dilate(label, square) != cv2.erode(label, square)
    return band


def regions(photograph: NDArray[np.uint8], label: NDArray[np.uint8]) -> dict[str, Mask]:
    """The pixels of each of `REGIONS`, bool (S, S).

    Homogeneous and textured cover the photograph, and so do edge band and interior.

    Args:
        photograph: (S, S, 3) RGB.
        label: (S, S) in {0, 1}.
    """
    flat, band = gradient(photograph) < FLAT, edge_band(label)
    return {
        "homogeneous": flat,
        "homogeneous_in_focus": flat & (label == 1),
        "textured": ~flat,
        "edge": band,
        "interior": ~band,
    }


def region_errors(
    prediction: NDArray[np.uint8] | NDArray[np.float16], label: NDArray[np.uint8], masks: dict[str, Mask]
) -> dict[str, float]:
    """MAE within each region, in [0, 1]; NaN where it has no pixel.

    Args:
        prediction: map of any size, uint8 with 255 = in focus or float16 with 1 = in focus; brought to network size
            by area.
        label: (S, S) in {0, 1}.
        masks: see `regions`.
    """
    small = prediction.astype(np.float32) / (255 if prediction.dtype == np.uint8 else 1)
    if small.shape != label.shape:
        small = cv2.resize(small, label.shape[::-1], interpolation=cv2.INTER_AREA)
    error = np.abs(small - label)
    return {name: float(error[mask].mean(dtype=np.float64)) if mask.any() else math.nan for name, mask in masks.items()}
