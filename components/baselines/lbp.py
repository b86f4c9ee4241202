"""LBP, a defocus blur detector without learning (Yi & Eramian, TIP 2016).

"LBP-based Segmentation of Defocus Blur". Written from knowledge of the paper, its full text not at hand and its code
not looked at.

1. The code of a pixel c of the grey photograph, values in [0, 1], is the rotation-invariant uniform local binary
   pattern of the P = 8 points n_p on the circle of radius R = 1 around it (bilinear between pixels):

       s_p = 1 if n_p - n_c >= T_LBP else 0,                  T_LBP = 0.016
       code = sum s_p if s changes at most twice around the circle, else P + 1 = 9.

2. The sharpness of a window is the share of the codes 6 to 9 in it: where the photograph is blurred, neighbours are
   alike and such codes rare. Windows of 11, 15 and 21 pixels give three maps.
3. Each map gives a first opacity: 1 above `SHARP`, 0 below `BLURRED`, itself in between; matting makes it keep to the
   photograph's edges (matting.py).
4. The three maps are brought together (multiscale.py): the minimum of

       E(h) = sum |h_i^s - m_i^s| + beta (sum |h_i^s - h_j^s| + sum |h_i^s - h_i^(s+1)|),    beta = 0.5,

   of which the map of the largest window is the answer.

What differs: matting and step 4 work at half the photograph's size; the minimum of E is continuous, not by belief
propagation; the numbers below.

Chosen on 20 photographs of CUHK-TR-1 that were held out of it (figures: mean absolute error there): the sign of
n_p - n_c counts (0.18; |n_p - n_c|, as one may also read the paper, 0.22 at its best, each without matting); `SHARP`
(0.3, the paper's, calls nearly everything blurred: 0.28; ours 0.19); `HOLD` (0.0006, the paper's 0.005 over the 9
pixels of a window, finds better shapes, F-beta 0.855 instead of 0.846, and leaves paler maps, 0.21); |x| in E (0.188;
x^2 / 2: 0.199). With |x| and beta below 1 the smaller windows hardly change the answer.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from components.baselines.domain_transform import FloatMap
from components.baselines.grid import to_gray
from components.baselines.matting import matte
from components.baselines.multiscale import bring_together
from components.maps.guided import Guide

T_LBP = 0.016
WINDOWS = (11, 15, 21)
SHARP, BLURRED = 0.03, 0.01
BETA = 0.5
STEPS = 30
MATTING_RADIUS = 1  # pixels of the photograph at half its size
MATTING_SMOOTH = 1e-4
HOLD = 0.005
"""Weight of the first opacity against the matting Laplacian, whose windows count with their mean."""
POINTS = ((0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1))
"""The eight neighbours around the circle, in order; the diagonal ones lie beyond it."""
NOT_UNIFORM = len(POINTS) + 1
FIRST_SHARP = 6


def lbp(image: NDArray[np.uint8]) -> FloatMap:
    """In-focus map of a photograph.

    Args:
        image: (H, W, 3) RGB of any size; the windows suit photographs of about 640 x 480.

    Returns:
        (H, W) in [0, 1], 1 = in focus.
    """
    height, width = image.shape[:2]
    of_codes = codes(to_gray(image))
    guide = Guide(halved(np.float32(1 / 255) * image), radius=MATTING_RADIUS, smooth=MATTING_SMOOTH)
    first = [opacity(halved(sharpness(of_codes, window))) for window in WINDOWS]
    maps = np.stack([matte(guide, each, HOLD) for each in first])
    together = bring_together(np.clip(maps, 0, 1), beta=BETA, steps=STEPS)
    return np.asarray(cv2.resize(together[-1], (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def halved(values: FloatMap) -> FloatMap:
    """Half the size of (H, W) or (H, W, 3), at least one pixel: means of what each pixel covers."""
    size = [max(1, side // 2) for side in values.shape[1::-1]]
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA), np.float32)


def codes(gray: FloatMap) -> NDArray[np.uint8]:
    """Rotation-invariant uniform local binary pattern of each pixel of (H, W), values in [0, 1]: 0 to 9."""
    padded = cv2.copyMakeBorder(gray, 1, 1, 1, 1, cv2.BORDER_REFLECT_101)
    signs = [on_circle(padded, dy, dx) - gray >= T_LBP for dy, dx in POINTS]
    ones = np.add.reduce(signs, axis=0, dtype=np.uint8)
    around = zip(signs, [*signs[1:], signs[0]], strict=True)
    changes = np.add.reduce([one != other for one, other in around], axis=0, dtype=np.uint8)
    return np.where(changes <= 2, ones, np.uint8(NOT_UNIFORM))


def on_circle(padded: FloatMap, dy: int, dx: int) -> FloatMap:
    """Values at the point of the unit circle towards a neighbour; (H, W), of a map padded by one pixel."""
    height, width = padded.shape[0] - 2, padded.shape[1] - 2

    def at(y: int, x: int) -> FloatMap:
        return padded[1 + y : 1 + y + height, 1 + x : 1 + x + width]

    if 0 in (dy, dx):
        return at(dy, dx)
    far, near = np.float32(np.sqrt(0.5)), np.float32(1 - np.sqrt(0.5))
    return np.asarray(far * far * at(dy, dx) + far * near * (at(dy, 0) + at(0, dx)) + near * near * at(0, 0))


def sharpness(of_codes: NDArray[np.uint8], window: int) -> FloatMap:
    """(H, W) in [0, 1]: the share of codes 6 to 9 in window x window pixels."""
    sharp = (of_codes >= FIRST_SHARP).astype(np.float32)
    share: FloatMap = cv2.blur(sharp, (window, window), borderType=cv2.BORDER_REFLECT)
    return share


def opacity(share: FloatMap) -> FloatMap:
    """(H, W) in [0, 1]: surely sharp above `SHARP`, surely blurred below `BLURRED`, undecided in between."""
    decided = np.where(share > SHARP, 1, np.where(share < BLURRED, 0, share))
    return decided.astype(np.float32)
