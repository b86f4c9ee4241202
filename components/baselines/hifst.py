"""HiFST, a defocus blur detector without learning (Golestaneh & Karam, CVPR 2017).

"Spatially-Varying Blur Detection Based on Multiscale Fused and Sorted Transform Coefficients of Gradient Magnitudes".
Written from knowledge of the paper, its full text not at hand and its code not looked at; the maps its authors
published are the check (tests/baselines/test_hifst.py).

1. The grey photograph B is smoothed by a Gaussian of sigma = 0.5; G = sqrt((B * h_x)^2 + (B * h_y)^2) is its gradient
   magnitude, h_x and h_y the diagonal differences of 2 x 2 pixels.
2. Around every pixel, patches of G of M_r x M_r pixels, M_r = 7, 15, 31, 63, go through the orthonormal DCT. Of each
   the high frequencies are kept, u + v >= M_r - 1 for u, v = 0..M_r - 1: (M_r^2 + M_r) / 2 magnitudes.
3. A pixel's magnitudes of all scales are fused into one list and sorted: L_1 <= L_2 <= ... The map of the t-th
   smallest over the photograph is layer t. A blurred patch has next to nothing in any layer.
4. The first sum of M_r = 116 layers are each scaled to [0, 1]; T is their maximum per pixel.
5. D = T w, where w is the Shannon entropy of T in 7 x 7 pixels: one bright pixel amid dark ones counts for less.
6. D is smoothed, except across edges, by the domain transform and scaled to [0, 1].

What differs: layers are computed at every second pixel of every second row and T is interpolated (bicubic) to full
size. Chosen here, with the published maps of seven photographs: the border (mirrored), the bins of the entropy (the
256 levels of T), and the guide of step 6, the grey photograph after a Gaussian of sigma = 1.
Mean correlation with those maps 0.9937; with every pixel 0.9939 (in nearly four times the time), with D as its own
guide 0.993, without step 5 0.991, without the smoothing of step 6 0.983.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from components.baselines.domain_transform import FloatMap, domain_transform
from components.baselines.grid import at_full_size

PRE_BLUR = 0.5
PATCH_SIZES = (7, 15, 31, 63)
LAYERS = sum(PATCH_SIZES)
STRIDE = 2
ENTROPY_WINDOW = 7
GUIDE_BLUR = 1.0
SMOOTHING_REACH = 15.0  # pixels
SMOOTHING_RANGE = 64.0  # grey levels
ROUNDING = 1e-3  # grey levels; a layer that varies less holds rounding errors, photographs vary 0.02 and more


def hifst(image: NDArray[np.uint8]) -> FloatMap:
    """In-focus map of a photograph.

    Args:
        image: (H, W, 3) RGB of any size; the patch sizes suit photographs of about 640 x 480.

    Returns:
        (H, W) in [0, 1], 1 = in focus: relative to the sharpest place of this photograph. 0 everywhere if the
        photograph has one colour.
    """
    assert image.dtype == np.uint8
    assert image.ndim == 3
    assert image.shape[2] == 3
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    layers = sorted_layers(gradient_magnitude(gray))
    sharpness = at_full_size(max_pooled(layers), STRIDE, *gray.shape)
    weighted = sharpness * local_entropy(sharpness)
    return unit_range(domain_transform(weighted, smoothed(gray, GUIDE_BLUR), SMOOTHING_REACH, SMOOTHING_RANGE))


def smoothed(gray: NDArray[np.uint8], sigma: float) -> FloatMap:
    """(H, W) in grey levels: the photograph after a Gaussian of `sigma` pixels, mirrored at the border."""
    blurred: FloatMap = cv2.GaussianBlur(gray.astype(np.float32), (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    return blurred


def gradient_magnitude(gray: NDArray[np.uint8]) -> FloatMap:
    """(H, W) in grey levels: length of the two diagonal differences of the slightly smoothed photograph (H, W)."""
    smooth = cv2.copyMakeBorder(smoothed(gray, PRE_BLUR), 1, 0, 1, 0, cv2.BORDER_REFLECT)
    falling = smooth[1:, 1:] - smooth[:-1, :-1]
    rising = smooth[:-1, 1:] - smooth[1:, :-1]
    magnitude: FloatMap = np.sqrt(falling**2 + rising**2)  # cv2.magnitude's last bit differs from call to call
    return magnitude


def dct_basis(size: int) -> FloatMap:
    """(size, size) orthonormal DCT-II: row u holds c_u cos(pi u (2 j + 1) / (2 size)) for pixel j."""
    frequency, pixel = np.ogrid[:size, :size]
    basis = np.sqrt(2 / size) * np.cos(np.pi * frequency * (2 * pixel + 1) / (2 * size))
    basis[0] /= np.sqrt(2)
    return np.asarray(basis, np.float32)


def sorted_layers(magnitude: FloatMap) -> FloatMap:
    """The LAYERS smallest high-frequency DCT magnitudes of all patches around a pixel, ascending.

    Args:
        magnitude: (H, W) gradient magnitude.

    Returns:
        (ceil(H / STRIDE), ceil(W / STRIDE), LAYERS), in the unit of `magnitude`; pixel (y, x) is (y, x) * STRIDE there.
    """
    height, width = magnitude.shape
    halves = [size // 2 for size in PATCH_SIZES]
    padded = [cv2.copyMakeBorder(magnitude, h, h, h, h, cv2.BORDER_REFLECT) for h in halves]
    bases = [dct_basis(size) for size in PATCH_SIZES]
    rows, columns = -(-height // STRIDE), -(-width // STRIDE)
    fused = np.empty((columns, sum(size * (size + 1) // 2 for size in PATCH_SIZES)), np.float32)
    layers = np.empty((rows, columns, LAYERS), np.float32)
    for row in range(rows):
        start = 0
        for plane, basis in zip(padded, bases, strict=True):
            start = _high_frequencies(plane[row * STRIDE : row * STRIDE + len(basis)], basis, fused, start)
        np.abs(fused, out=fused)
        fused.partition(LAYERS - 1, axis=1)
        layers[row] = fused[:, :LAYERS]
    layers.sort(axis=2)
    return layers


def _high_frequencies(band: FloatMap, basis: FloatMap, fused: FloatMap, start: int) -> int:
    """DCT coefficients with u + v >= M - 1 of the patches along one band of M rows.

    They go to `fused` (patches, coefficients) from column `start` on; returns the column after the last.
    """
    size = len(basis)
    transformed_columns = basis @ band  # (u, x)
    patches = np.lib.stride_tricks.sliding_window_view(transformed_columns, size, axis=1)[:, ::STRIDE]  # (u, patch, j)
    for u, patch_rows in enumerate(patches):
        np.matmul(patch_rows, basis[size - 1 - u :].T, out=fused[:, start : start + u + 1])
        start += u + 1
    return start


def max_pooled(layers: FloatMap) -> FloatMap:
    """(H, W) in [0, 1]: the maximum over the layers (H, W, layers), each scaled to [0, 1] first."""
    pooled = np.zeros(layers.shape[:2], np.float32)
    for layer in np.moveaxis(layers, 2, 0):
        np.maximum(pooled, unit_range(layer), out=pooled)
    return pooled


def unit_range(one_map: FloatMap) -> FloatMap:
    """(H, W), scaled to [0, 1] by its least and largest value; 0 where they are the same."""
    low, high = one_map.min(), one_map.max()
    scaled: FloatMap = (one_map - low) / max(high - low, np.float32(ROUNDING))
    return scaled


def local_entropy(unit_map: FloatMap) -> FloatMap:
    """Entropy in bits of the 8-bit values around each pixel: -sum p log2 p over ENTROPY_WINDOW^2 pixels.

    Args:
        unit_map: (H, W) in [0, 1].

    Returns:
        (H, W) in [0, log2(ENTROPY_WINDOW^2)].
    """
    levels = np.rint(unit_map * 255).astype(np.uint8)
    window = (ENTROPY_WINDOW, ENTROPY_WINDOW)
    share = np.arange(1, ENTROPY_WINDOW**2 + 1) / ENTROPY_WINDOW**2
    bits = np.zeros(256, np.float32)  # by how often a value occurs in the window
    bits[1 : len(share) + 1] = -share * np.log2(share)
    entropy = np.zeros(unit_map.shape, np.float32)
    for level in np.unique(levels):
        present = (levels == level).view(np.uint8)
        counts = cv2.boxFilter(present, -1, window, normalize=False, borderType=cv2.BORDER_REFLECT)
        entropy += cv2.LUT(counts, bits)
    return entropy
