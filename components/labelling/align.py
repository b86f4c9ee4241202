"""Where the wide photograph of a scene lies on the shallow one: features and a homography, then ECC.

The two differ in blur, so matches are kept only where both photographs choose each other (ratio test both ways), and
the map between them is fitted robustly. ECC (Evangelidis and Psarakis, TPAMI 2008), which does not see exposure, then
turns and shifts it, over what is sharp in both only: over all pixels, the rims of what is out of focus, which blur
moves over what lies behind, made it worse (1 px instead of 0.3 px, mean of 24 rendered pairs).
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from components.render.optics import Floats

Pixels = NDArray[np.uint8]
Homography = NDArray[np.float64]
"""(3, 3), of points (x, y, 1) with pixel centres at integers."""
FEATURE_WIDTH = 1600
ECC_WIDTH = 800
"""Widths in pixels at which features are sought and ECC works."""
FEATURES = 4000
RATIO = 0.85
"""A match is kept if it is nearer than this times the second nearest (Lowe, IJCV 2004, section 7.1)."""
MIN_MATCHES = 8
"""Inliers below which nothing is believed; photographs of two scenes agreed on 3 at most (24 pairs)."""
REACH_PX = 3.0
"""Distance from the homography within which a match supports it, at `FEATURE_WIDTH`."""
MORE_MATCHES = 1.15
"""A homography must explain this many times the matches of a similarity."""
ECC_STEPS = 100
ECC_CHANGE = 1e-7
ECC_WINDOW_PX = 3
"""Width of the Gaussian that ECC smooths with."""
MIN_SHARP = 0.04
"""Part of the picture that must be sharp in both for ECC to be believed."""
MIN_CORRELATION = 0.8
MAX_TURN_DEG = 15.0
MAX_STRETCH = 1.15
MAX_SHIFT = 0.15
"""Of a corner, as part of the width."""
MAX_SIZES = 2.0
"""Times that one photograph may be as large as the other."""
MAX_REFINED = 0.02
"""By which ECC may move a corner away from where the features put it, as part of the width."""


class AlignmentError(Exception):
    """The two photographs could not be aligned; the message says what was found and what was expected."""


@dataclass(frozen=True, eq=False)
class Alignment:
    """Where the shallow photograph's pixels lie in the wide one."""

    to_wide: Homography
    """(3, 3), maps (x, y, 1) of the shallow photograph to the wide one, full-size pixels."""
    matches: int
    """Features that agree with it."""
    correlation: float
    """ECC's coefficient, up to 1."""
    shift_px: float
    """Mean distance that the four corners move."""
    turn_deg: float


def reduced(photograph: Pixels, width: int) -> tuple[Pixels, float]:
    """Grey (h, w) of a photograph, at most `width` pixels wide, and the factor."""
    factor = min(1.0, width / photograph.shape[1])
    size = (round(photograph.shape[1] * factor), round(photograph.shape[0] * factor))
    grey = cv2.cvtColor(photograph, cv2.COLOR_RGB2GRAY)
    small = np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return small, size[0] / photograph.shape[1]


def chosen(first: NDArray[np.float32], second: NDArray[np.float32]) -> dict[int, int]:
    """Index of the descriptor of `second` nearest to each of `first`, where it is clearly the nearest."""
    found = [pair for pair in cv2.BFMatcher(cv2.NORM_L2).knnMatch(first, second, k=2) if len(pair) == 2]
    return {near.queryIdx: near.trainIdx for near, next_ in found if near.distance < RATIO * next_.distance}


def matched(shallow: Pixels, wide: Pixels) -> tuple[Floats, Floats]:
    """Points (n, 2) of grey photographs that choose each other; AlignmentError where they are too few."""
    sift = cv2.SIFT_create(  # type: ignore[attr-defined]
        nfeatures=FEATURES, contrastThreshold=0.02
    )
    (points, described), (wide_points, wide_described) = (sift.detectAndCompute(each, None) for each in (shallow, wide))
    there: dict[int, int] = {}
    if len(points) > 1 and len(wide_points) > 1:
        there, back = chosen(described, wide_described), chosen(wide_described, described)
        there = {i: k for i, k in there.items() if back.get(k) == i}
    if len(there) < MIN_MATCHES:
        raise AlignmentError(f"{len(there)} features found in both photographs, expected at least {MIN_MATCHES}")
    of = np.array([points[i].pt for i in there], dtype=np.float32)
    return of, np.array([wide_points[k].pt for k in there.values()], dtype=np.float32)


def fitted(of: Floats, to: Floats) -> tuple[Homography, int]:
    """The map on which most points agree, and how many: a similarity, or a homography if it explains far more.

    Points of what is in focus are few and close together; a homography through them swings at the corners.
    """
    similarity, near = cv2.estimateAffinePartial2D(
        of, to, method=cv2.RANSAC, ransacReprojThreshold=REACH_PX, maxIters=5000, confidence=0.999
    )
    homography, inside = cv2.findHomography(of, to, cv2.USAC_MAGSAC, REACH_PX, None, 5000, 0.999)
    simple, full = (0 if each is None else int(each.sum()) for each in (near, inside))
    if homography is not None and full > MORE_MATCHES * max(simple, MIN_MATCHES):
        return np.asarray(homography), full
    return np.eye(3) if similarity is None else np.vstack([similarity, [0, 0, 1]]), simple


def from_features(shallow: Pixels, wide: Pixels) -> tuple[Homography, int]:
    """The map on which most features agree, and how many do; AlignmentError where they are too few."""
    grey, factor = reduced(shallow, FEATURE_WIDTH)
    wide_grey, wide_factor = reduced(wide, FEATURE_WIDTH)
    of, to = matched(grey, wide_grey)
    cv2.setRNGSeed(0)
    found, count = fitted(of, to)
    if count < MIN_MATCHES:
        raise AlignmentError(f"{count} features agree on one homography, expected at least {MIN_MATCHES}")
    return scaled(found, 1 / factor, 1 / wide_factor), count


def detail(grey: Floats) -> Floats:
    """Strength (h, w) of detail about two pixels wide."""
    fine = cv2.GaussianBlur(grey, (0, 0), 0.7) - cv2.GaussianBlur(grey, (0, 0), 2.0)
    return np.asarray(np.sqrt(np.maximum(cv2.GaussianBlur(fine * fine, (0, 0), 4.0), 0)), dtype=np.float32)


def sharp_in_both(shallow: Floats, wide: Floats) -> NDArray[np.bool_]:
    """Where two grey photographs (h, w), 0..255, show the same detail: ECC looks only there.

    At the rim of something out of focus, blur does move an edge to one side: to that of what lies behind.
    """
    in_shallow, in_wide = detail(shallow), detail(wide)
    return np.asarray((in_shallow > 0.6 * in_wide) & (in_wide > 1.5))


def refine(shallow: Pixels, wide: Pixels, start: Homography) -> tuple[Homography, float]:
    """`start` turned and shifted by ECC, and the correlation of what is sharp in both; AlignmentError: it diverges."""
    grey, factor = reduced(shallow, ECC_WIDTH)
    wide_grey, wide_factor = reduced(wide, ECC_WIDTH)
    first = scaled(start, factor, wide_factor)
    moved, covered = warp(wide_grey.astype(np.float32), first, (grey.shape[0], grey.shape[1]))
    mask = sharp_in_both(grey.astype(np.float32), moved) & covered
    if mask.mean() < MIN_SHARP:
        mask = covered
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, ECC_STEPS, ECC_CHANGE)
    still, inside = np.eye(2, 3, dtype=np.float32), mask.astype(np.uint8)
    try:
        found, step = cv2.findTransformECC(
            grey.astype(np.float32), moved, still, cv2.MOTION_EUCLIDEAN, stop, inside, ECC_WINDOW_PX
        )
    except cv2.error as error:
        raise AlignmentError("ECC diverged from where the features put it; is it the same scene?") from error
    if mask is covered:  # too little is sharp in both: blur would pull the edges aside
        return start, float(found)
    return scaled(first @ np.vstack([step, [0, 0, 1]]), 1 / factor, 1 / wide_factor), float(found)


def check_sizes(shallow: Pixels, wide: Pixels) -> None:
    """Refuse (AlignmentError) two photographs whose sizes or shapes are too different to be one view."""
    (height, width), (wide_height, wide_width) = shallow.shape[:2], wide.shape[:2]
    across, down = wide_width / width, wide_height / height
    stretch = max(across / down, down / across)
    if stretch > MAX_STRETCH or not 1 / MAX_SIZES <= across <= MAX_SIZES:
        raise AlignmentError(
            f"the wide photograph has {wide_width}x{wide_height} pixels, the shallow one {width}x{height}; expected "
            f"one shape, and at most {MAX_SIZES:.0f} times the size"
        )


def check(to_wide: Homography, start: Homography, correlation: float, size: tuple[int, int]) -> None:
    """Refuse (AlignmentError) a homography that a tripod that was touched cannot explain."""
    height, width = size
    moved, before = corners(to_wide, size), corners(start, size)
    still = corners(np.eye(3), size)
    sides = np.linalg.norm(np.roll(moved, -1, axis=0) - moved, axis=1) / [width - 1, height - 1, width - 1, height - 1]
    shift, refined = (float(np.linalg.norm(moved - other, axis=1).max()) / width for other in (still, before))
    turn = abs(turn_of(to_wide))
    said = ""
    if correlation < MIN_CORRELATION:
        said = f"correlation {correlation:.2f} once aligned, expected at least {MIN_CORRELATION}"
    elif refined > MAX_REFINED:
        said = f"ECC moved a corner by {refined:.1%} of the width, expected at most {MAX_REFINED:.0%}"
    elif shift > MAX_SHIFT or turn > MAX_TURN_DEG or sides.max() > MAX_STRETCH or sides.min() < 1 / MAX_STRETCH:
        said = (
            f"implausible: a corner moves by {shift:.0%} of the width, {turn:.1f} degrees, sides x {sides.min():.2f} "
            f"to {sides.max():.2f}; expected at most {MAX_SHIFT:.0%}, {MAX_TURN_DEG} degrees and x {MAX_STRETCH}"
        )
    if said:
        raise AlignmentError(said)


def align(shallow: Pixels, wide: Pixels) -> Alignment:
    """Align two photographs (h, w, 3) uint8 of one scene; their sizes may differ.

    Raises:
        AlignmentError: other shapes, too few matches, ECC diverged, or the result is implausible.
    """
    check_sizes(shallow, wide)
    size = shallow.shape[:2]
    base = np.diag([wide.shape[1] / size[1], wide.shape[0] / size[0], 1.0])
    start, matches = from_features(shallow, wide)
    to_wide, correlation = refine(shallow, wide, start)
    check(np.linalg.inv(base) @ to_wide, np.linalg.inv(base) @ start, correlation, size)
    moved = np.linalg.norm(corners(np.linalg.inv(base) @ to_wide, size) - corners(np.eye(3), size), axis=1)
    return Alignment(to_wide, matches, correlation, float(moved.mean()), turn_of(to_wide))


def warp(wide: Floats, to_wide: Homography, size: tuple[int, int]) -> tuple[Floats, NDArray[np.bool_]]:
    """The wide photograph (h, w, channels) on the shallow one of `size` (h, w), and where it covers it."""
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    moved = cv2.warpPerspective(wide, to_wide, size[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)
    inside = np.full(wide.shape[:2], 255, dtype=np.uint8)
    covered = cv2.warpPerspective(inside, to_wide, size[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return np.asarray(moved, dtype=np.float32), np.asarray(covered == 255)


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
