"""Flat regions, which look the same whatever the blur, decided by their rims, or left undecided.

A sharp rim belongs to something in focus, on either side of it: whichever is in front. A blurred rim belongs to
something out of focus, or to what is in front of it. So

1. a region whose rim is sharp all around is a thing in focus: what lies behind would be cut off by other things or by
   the picture's edge;
2. a region with a blurred rim is out of focus; also where things in focus stand before it, if it goes on beyond an
   edge of the picture, as what lies behind does: else it may be in focus behind something that is not;
3. a region that reaches the lower edge may be ground, which comes nearer from row to row: it is out of focus only
   from its far rim down to the row where blurred rims cease to prevail;
4. below its last blurred rim any other region may come nearer too.

What is left is undecided. The rules can be wrong (a wall in focus behind something out of focus, against 2), so what
they decide has half the confidence of what is seen.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from components.data.optics import Floats

Mask = NDArray[np.bool_]
FLAT = 0.003
"""A pixel is flat where blur just above the limit changes less than this (square root of light, white = 1)."""
MIN_AREA = 150
"""Smaller flat spots belong to a texture; pixels."""
RIM = 6
"""Width of a rim, pixels."""
MIN_RIM = 20
EVIDENT = 6.0
"""Evidence beyond which a pixel of a rim counts as sharp or as blurred."""
SHARP_RIM, BLURRED_RIM = 0.4, 0.25
"""Parts of a rim that must be sharp, or blurred, to decide a region."""
FAINT_RIM = 0.1
"""Up to this part of a sharp rim may be blurred; a rim with more that is mostly blurred decides too."""
MIXED_RIM = 0.15
"""A region with a blurred rim, of which more than this part is sharp, must reach an edge of the picture."""
CUT_SHARP_RIM, CUT_BLURRED_RIM = 0.7, 0.03
"""The same for a thing that one edge of the picture cuts off."""
EDGE = 3
"""Pixels from the picture's edge within which a region reaches it."""
BOTTOM = 8
ROWS = 41
"""Rows over which sharp and blurred rims are counted, and the blurred ones needed for them to prevail."""
MIN_IN_ROWS = 5
PREVAILS = 0.6
SAME_COLOUR = 0.02
"""Difference from the mean of a flat region nearby, square root of light, up to which a rim's pixel belongs to it."""


@dataclass(frozen=True, eq=False)
class Region:
    """A flat region, within its box and what lies around that."""

    box: tuple[slice, slice]
    inside: Mask
    sharp: Mask
    """Pixels of its rim that are evidently in focus."""
    blurred: Mask
    """... and out of focus."""
    rim: int
    """Pixels of its rim."""
    cut: int
    """Edges of the picture that it reaches."""
    bottom: bool


def large(flat: Mask) -> Mask:
    """The flat pixels (h, w) without the small spots."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(flat.astype(np.uint8), connectivity=4)
    keep = stats[:, cv2.CC_STAT_AREA] >= MIN_AREA
    keep[0] = False
    return np.asarray(keep[labels])


def dilated(mask: Mask, reach: int) -> Mask:
    """`mask` (h, w) grown by `reach` pixels."""
    return np.asarray(cv2.dilate(mask.astype(np.uint8), np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)) > 0)


def find_regions(seen: Floats, flat: Mask, covered: Mask) -> list[Region]:
    """The flat regions; `seen` (h, w) is the evidence of their surroundings, positive = in focus."""
    height, width = flat.shape
    count, labels, stats, _ = cv2.connectedComponentsWithStats((flat & covered).astype(np.uint8), connectivity=4)
    found = []
    for label in range(1, count):
        x, y, w, h = (int(each) for each in stats[label, :4])
        box = (slice(max(y - RIM, 0), y + h + RIM), slice(max(x - RIM, 0), x + w + RIM))
        inside = labels[box] == label
        rim = dilated(inside, RIM) & ~flat[box] & covered[box]
        reached = (y <= EDGE, x <= EDGE, y + h >= height - EDGE, x + w >= width - EDGE)
        sharp, blurred = rim & (seen[box] > EVIDENT), rim & (seen[box] < -EVIDENT)
        found.append(Region(box, inside, sharp, blurred, int(rim.sum()), sum(reached), y + h >= height - BOTTOM))
    return found


def is_sharp(region: Region) -> bool:
    """Whether the region is a thing in focus (rule 1)."""
    sharp, blurred = (int(each.sum()) / region.rim for each in (region.sharp, region.blurred))
    if region.cut == 0:
        return sharp >= SHARP_RIM and blurred <= FAINT_RIM
    return region.cut == 1 and sharp >= CUT_SHARP_RIM and blurred <= CUT_BLURRED_RIM


def is_blurred(region: Region) -> bool:
    """Whether something blurred, and not what is before it, borders on the region (rule 2)."""
    sharp, blurred = (int(each.sum()) / region.rim for each in (region.sharp, region.blurred))
    if region.cut == 0 and sharp > MIXED_RIM:
        return False
    return blurred >= BLURRED_RIM or (blurred > FAINT_RIM and blurred > 2 * sharp)


def last_row(region: Region) -> int:
    """Row of the region's box down to which it is out of focus (rules 3 and 4)."""
    sharp, blurred = (each.sum(axis=1).astype(np.float64) for each in (region.sharp, region.blurred))
    if not region.bottom:
        return int(np.percentile(np.repeat(np.arange(len(blurred)), blurred.astype(int)), 90))
    sharp, blurred = (np.convolve(each, np.ones(ROWS), "full")[ROWS // 2 :][: len(each)] for each in (sharp, blurred))
    enough = blurred >= MIN_IN_ROWS
    first = int(np.argmax(enough))
    ceased = np.flatnonzero((~enough | (blurred < PREVAILS * (sharp + blurred)))[first:])
    return first + int(ceased[0]) if ceased.size else len(blurred) - 1


def decide(seen: Floats, flat: Mask, covered: Mask) -> NDArray[np.int8]:
    """Flat pixels (h, w) decided by their rims: 1 in focus, -1 out of focus, 0 undecided."""
    decided = np.zeros(flat.shape, dtype=np.int8)
    for region in find_regions(seen, flat, covered):
        if region.rim < MIN_RIM:
            continue
        if is_blurred(region):
            above = np.arange(region.inside.shape[0])[:, None] <= last_row(region)
            decided[region.box][region.inside & above] = -1
        elif is_sharp(region):
            decided[region.box][region.inside] = 1
    return decided


def extend(wide_root: Floats, flat: Mask, decided: NDArray[np.int8]) -> tuple[Mask, NDArray[np.int8]]:
    """Flat regions and decisions grown up to the edges of the wide photograph (h, w, 3), square roots of light.

    A pixel of a rim that has the colour of the flat region nearby shows that region, not what stands before it.
    """
    side = 2 * (RIM - 1) + 1
    share = cv2.blur(flat.astype(np.float32), (side, side))
    mean = cv2.blur(wide_root * flat[..., None].astype(np.float32), (side, side)) / np.maximum(share, 1e-6)[..., None]
    alike = (np.abs(wide_root - mean).max(axis=2) < SAME_COLOUR) & (share > 0.02) & ~flat
    _, nearest = cv2.distanceTransformWithLabels(
        (~flat).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    values = np.zeros(int(nearest.max()) + 1, dtype=np.int8)
    values[nearest[flat]] = decided[flat]
    return flat | alike, np.where(alike, values[nearest], decided)
