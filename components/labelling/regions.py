"""Flat regions, which look the same whatever the blur, decided by their rims, or left undecided.

A sharp rim belongs to something in focus, on either side of it: whichever is in front. A blurred rim belongs to
something out of focus, or to what is in front of it. So

1. a region whose rim is sharp all around is a thing in focus: what lies behind would be cut off by other things or by
   the picture's edge;
2. a region with a blurred rim is out of focus; also where things in focus stand before it, if it goes on beyond an
   edge of the picture, as what lies behind does: else it may be in focus behind something that is not;
3. a region that reaches the lower edge and another one may be ground, which comes nearer from row to row. On a plane
   the circle of confusion is linear in the row: it falls from that of the far rim to about nothing where sharp things
   stand, and grows again below. Rows where it is clearly above the limit are out of focus, those where it is clearly
   below in focus; what is between is undecided, and so is ground on which nothing sharp stands;
4. below its last blurred rim any other region may come nearer too.

What is left is undecided. The rules can be wrong (a wall in focus behind something out of focus, against 2), so what
they decide has half the confidence of what is seen.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from components.render.optics import Floats

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
BEHIND_CUT, MIXED_RIM = 1, 0.3
"""Edges of the picture that a region with a blurred rim must reach if more than this part of its rim is sharp."""
CUT_SHARP_RIM, CUT_BLURRED_RIM = 0.7, 0.03
"""The same for a thing that one edge of the picture cuts off."""
EDGE = 3
"""Pixels from the picture's edge within which a region reaches it."""
BOTTOM = 8
FAR_ROWS = 20
"""Rows of ground from its far rim on, over which the rim's blur is measured, and that are as blurred."""
CLEARLY, STRIP = 1.5, 0.6
"""Times the limit: the ground is out of focus above the first, and in focus below the second."""
STANDS = 0.5
"""Times the limit: largest blur at the foot of what stands in the strip in focus."""
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
    diameters: Floats
    """Best diameter of blur of each pixel, as multiples of the limit."""
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


def find_regions(seen: Floats, best: Floats, flat: Mask, covered: Mask) -> list[Region]:
    """The flat regions; `seen` and `best` (h, w) are as in `decide`."""
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
        bottom = y + h >= height - BOTTOM
        found.append(Region(box, inside, sharp, blurred, best[box], int(rim.sum()), sum(reached), bottom))
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
    if region.cut < BEHIND_CUT and sharp > MIXED_RIM:
        return False
    return blurred >= BLURRED_RIM or (blurred > FAINT_RIM and blurred > 2 * sharp)


def side_of_rows(region: Region) -> NDArray[np.int8]:
    """What the rows (h, 1) of the box show of a region with a blurred rim: -1, or what rules 3 and 4 say."""
    rows = np.arange(region.inside.shape[0])[:, None]
    at = np.nonzero(region.blurred)[0]
    if region.bottom and region.cut > 1:
        return ground(region, rows, int(np.percentile(at, 2, method="higher")))
    return np.where(rows <= np.percentile(at, 90), -1, 0).astype(np.int8)


def ground(region: Region, rows: NDArray[np.int64], far: int) -> NDArray[np.int8]:
    """Rows of ground whose far rim is in row `far`: -1 out of focus, 1 in focus, 0 undecided (rule 3)."""
    beyond = far + FAR_ROWS
    near_rim = (rows >= far) & (rows < beyond)
    blur = float(np.median(region.diameters[region.blurred & near_rim]))
    side = np.where(rows < beyond, -1, 0).astype(np.int8)
    standing = np.nonzero(region.sharp)[0]
    foot = int(np.percentile(standing, 95, method="higher")) if standing.size >= MIN_RIM else far
    if foot <= beyond:
        return side
    coc = blur * np.abs(foot - rows) / (foot - far)
    side[coc > CLEARLY] = -1
    at_foot = region.sharp & (np.abs(rows - foot) < FAR_ROWS)
    if blur > CLEARLY and np.median(region.diameters[at_foot]) < STANDS:
        side[(coc < STRIP) & (rows > beyond)] = 1
    return side


def decide(seen: Floats, best: Floats, flat: Mask, covered: Mask) -> NDArray[np.int8]:
    """Flat pixels (h, w) decided by their rims: 1 in focus, -1 out of focus, 0 undecided.

    `seen` (h, w) is the evidence of all pixels, positive = in focus; `best` (h, w) the diameter of blur that explains
    each best, as a multiple of the limit.
    """
    decided = np.zeros(flat.shape, dtype=np.int8)
    for region in find_regions(seen, best, flat, covered):
        if region.rim < MIN_RIM:
            continue
        if is_blurred(region):
            decided[region.box] = np.where(region.inside, side_of_rows(region), decided[region.box])
        elif is_sharp(region):
            decided[region.box][region.inside] = 1
    return decided


def extend(wide_root: Floats, flat: Mask, decided: NDArray[np.int8]) -> tuple[Mask, NDArray[np.int8]]:
    """Flat regions and decisions grown up to the edges of the wide photograph (h, w, 3), square roots of light.

    A pixel of a rim that has the colour of the flat region nearby shows that region, not what stands before it.
    """
    reach = RIM - 1
    share = cv2.blur(flat.astype(np.float32), (2 * reach + 1, 2 * reach + 1))
    mean = cv2.blur(wide_root * flat[..., None].astype(np.float32), (2 * reach + 1, 2 * reach + 1))
    distance, nearest = cv2.distanceTransformWithLabels(
        (~flat).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    values = np.zeros(int(nearest.max()) + 1, dtype=np.int8)
    colours = np.full((len(values), 3), np.inf, dtype=np.float32)
    values[nearest[flat]] = decided[flat]
    colours[nearest[flat]] = mean[flat] / share[flat][:, None]
    alike = (distance <= reach) & (np.abs(wide_root - colours[nearest]).max(axis=2) < SAME_COLOUR)
    return flat | alike, np.where(alike, values[nearest], decided)
