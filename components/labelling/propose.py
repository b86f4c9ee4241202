"""A defocus label proposed from a wide and a shallow photograph of one scene.

1. Align the wide photograph to the shallow one (`align`), give it the same exposure (`exposure`).
2. Find for each pixel whether a blur up to the limit, or a larger one, turns the first into the second (`blur`).
3. Decide flat regions by their rims (`regions`), smooth along the wide photograph's edges, leave the rest undecided.
4. Once more, with what is in focus known: it hides what lies behind and does not spread over it.

A pixel is out of focus where the circle of confusion of its front-most surface exceeds the limit, as in
`components.render.miniature`.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from components.labelling import regions
from components.labelling.align import Alignment, Pixels, align, warp
from components.labelling.blur import ABOVE, BELOW, Bank, evidence, make_bank, residuals, root, shows
from components.labelling.checks import check_kinds, check_residual
from components.labelling.exposure import Exposure, match
from components.labelling.regions import Mask
from components.maps.guided import Guide
from components.render.optics import Floats, to_linear

OUT_OF_FOCUS, UNDECIDED, IN_FOCUS = 0, 128, 255
"""Values of a proposal's pixels."""
REFERENCE_WIDTH = 1600
COC_LIMIT_PX = 6.0
"""Diameter of the circle of confusion above which a surface is out of focus, in a photograph `REFERENCE_WIDTH` wide.

At 320 px, the paper's network size, it is 1.2 px: the least that shows there."""
WORK_LIMIT_PX = 3.0
WORK_WIDTH = 800
"""Photographs are reduced until the limit is the first, but not below the second."""
GUIDE_RADIUS, GUIDE_SMOOTH = 6, 1e-4
"""Of the guided filter: pixels of the reduced photograph, variance of its colours below which a window is flat."""
PASSES = 2
WHITE = 0.97
"""Linear light of a clipped pixel."""
FLAT_WEIGHT = 0.5
"""Of what rims decide, against what is seen."""
MIN_WEIGHT = 0.08
"""Evidence around a pixel below which it is undecided."""
MIN_AGREEMENT = 0.5
"""Of the evidence around a pixel, from 0 (half says in focus) to 1."""
KEEPS_STILL = 0.3
"""Agreement from which a pixel is taken to be in focus in the second pass."""
MAX_HOLE = 1500
"""Undecided pixels (of the reduced photograph) that are filled where all around them agree."""


@dataclass(frozen=True, eq=False)
class Proposal:
    """A proposed label at the size of the shallow photograph."""

    label: NDArray[np.uint8]
    """(h, w): 255 in focus, 0 out of focus, 128 undecided."""
    confidence: Floats
    """(h, w) in 0..1; 0 = undecided."""
    aligned: Pixels
    """(h, w, 3) uint8 sRGB: the wide photograph as it lies on the shallow one, with its exposure."""
    alignment: Alignment
    exposure: Exposure
    blur_px: float
    """Median diameter of the blur where the label is out of focus; 0 where nothing is."""

    @property
    def decided(self) -> float:
        """Fraction of the pixels that are decided."""
        return float((self.label != UNDECIDED).mean())


@dataclass(frozen=True, eq=False)
class Scene:
    """The two photographs (h, w, 3) as they are compared: linear light, aligned, equally exposed, reduced."""

    shallow: Floats
    wide: Floats
    covered: Mask
    """(h, w): where the wide one covers the shallow one."""
    bank: Bank


def limit_px(coc_limit: float, width: int) -> float:
    """The limit in pixels of a photograph of this width."""
    return coc_limit * width / REFERENCE_WIDTH


def shrunk(picture: Floats, size: tuple[int, int]) -> Floats:
    """`picture` at `size` (w, h), averaged."""
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.float32)


def prepare(shallow: Pixels, wide: Pixels, alignment: Alignment, coc_limit: float) -> tuple[Scene, Exposure, Pixels]:
    """The photographs ready to compare, their exposures, and the wide one (h, w, 3) as it lies on the other."""
    height, width = shallow.shape[:2]
    limit = limit_px(coc_limit, width)
    factor = min(1.0, max(WORK_LIMIT_PX / limit, WORK_WIDTH / width))
    size = (max(16, round(width * factor)), max(16, round(height * factor)))
    levels = to_linear(np.arange(256, dtype=np.float32) / np.float32(255))
    moved, covered = warp(levels[wide], alignment.to_wide, (height, width))
    one, other = shrunk(np.maximum(moved, 0), size), shrunk(levels[shallow], size)
    inside = shrunk(covered.astype(np.float32), size) > 0.999
    inside &= ~regions.dilated(~inside, 2)
    exposure = match(one, other, inside)
    seen = np.rint(root(np.clip(exposure.apply(np.maximum(moved, 0)), 0, 1)) * 255).astype(np.uint8)
    return Scene(other, exposure.apply(one), inside, make_bank(limit * size[0] / width)), exposure, seen


def clipped(scene: Scene) -> Mask:
    """Where both photographs are white (h, w), and show nothing."""
    return np.asarray((scene.wide.min(axis=2) > WHITE) & (scene.shallow.min(axis=2) > WHITE))


def combine(scene: Scene, guide: Guide, flat: Mask, seen: Floats, best: Floats) -> tuple[Floats, Floats]:
    """Agreement (h, w) in -1..1, positive = in focus, and the weight of evidence (h, w) behind it."""
    by_rims = regions.decide(seen, best, flat, scene.covered)
    grown, by_rims = regions.extend(root(scene.wide), flat, by_rims)
    weight = np.minimum(np.abs(seen) / regions.EVIDENT, 1)
    weight = np.where(grown, FLAT_WEIGHT * np.abs(by_rims), weight) * scene.covered
    side = np.where(grown, by_rims, np.sign(seen))
    total = np.maximum(guide.smooth(weight.astype(np.float32)), 0)
    agreement = guide.smooth((side * weight).astype(np.float32)) / np.maximum(total, np.float32(1e-2))
    known = (total >= MIN_WEIGHT) & scene.covered & ~(grown & (by_rims == 0)) & ~clipped(scene)
    return np.where(known, np.clip(agreement, -1, 1), 0).astype(np.float32), np.minimum(total, 1)


def fill_holes(agreement: Floats, covered: Mask) -> Floats:
    """Small undecided spots (h, w) decided as all around them is."""
    filled = agreement.copy()
    undecided = (np.abs(agreement) <= MIN_AGREEMENT) & covered
    _, labels, stats, _ = cv2.connectedComponentsWithStats(undecided.astype(np.uint8), connectivity=4)
    for label in 1 + np.flatnonzero(stats[1:, cv2.CC_STAT_AREA] <= MAX_HOLE):
        x, y, w, h = (int(each) for each in stats[label, :4])
        box = np.s_[max(y - 1, 0) : y + h + 1, max(x - 1, 0) : x + w + 1]
        hole = labels[box] == label
        around = agreement[box][regions.dilated(hole, 1) & ~hole]
        votes = np.sign(around) * (np.abs(around) > MIN_AGREEMENT)
        if votes.size and abs(float(votes.mean())) > 0.9:
            filled[box][hole] = np.sign(votes.mean()) * (MIN_AGREEMENT + 0.1)
    return filled


def judge(scene: Scene, residual: Floats) -> tuple[Floats, Floats, Floats]:
    """Agreement and weight of evidence as in `combine`, and the best diameter (h, w) as a multiple of the limit.

    `residual` is what every disk leaves where all spreads, (diameters, h, w).
    """
    guide = Guide(root(np.clip(scene.wide, 0, 1)), radius=GUIDE_RADIUS, smooth=GUIDE_SMOOTH)
    flat = regions.large(shows(scene.wide, scene.bank.above[0]) < regions.FLAT)
    multiples = np.array((*BELOW, *ABOVE), dtype=np.float32)
    first = seen = evidence(residual, scene.bank)
    agreement, weight = combine(scene, guide, flat, seen, multiples[residual.argmin(axis=0)])
    for _ in range(PASSES - 1):
        spreads = agreement < KEEPS_STILL
        residual = residuals(scene.shallow, scene.wide, scene.bank, spreads.astype(np.float32))
        seen = np.where(spreads, evidence(residual, scene.bank), first)
        agreement, weight = combine(scene, guide, flat, seen, multiples[residual.argmin(axis=0)])
    return fill_holes(agreement, scene.covered), weight, multiples[residual.argmin(axis=0)]


def propose(
    shallow: Pixels, wide: Pixels, coc_limit: float = COC_LIMIT_PX, *, keep_misaligned: bool = False
) -> Proposal:
    """Propose the label of `shallow` (h, w, 3) uint8 sRGB from `wide`, a photograph of the same scene, about as large.

    `coc_limit` is a diameter in pixels of a photograph `REFERENCE_WIDTH` wide.

    Raises:
        AlignmentError: the two could not be aligned, are swapped or one photograph, or (unless `keep_misaligned`)
            differ by what no blur explains.
    """
    alignment = align(shallow, wide)
    scene, exposure, aligned = prepare(shallow, wide, alignment, coc_limit)
    check_kinds(scene.shallow, scene.wide, scene.covered)
    residual = residuals(scene.shallow, scene.wide, scene.bank)
    check_residual(residual, scene.covered, keep_misaligned=keep_misaligned)
    agreement, weight, best = judge(scene, residual)
    full = shallow.shape[1::-1]
    agreement_full, weight_full = (
        cv2.resize(each, full, interpolation=cv2.INTER_LINEAR) for each in (agreement, weight)
    )
    known = np.abs(agreement_full) > MIN_AGREEMENT
    label = np.where(known, np.where(agreement_full > 0, IN_FOCUS, OUT_OF_FOCUS), UNDECIDED).astype(np.uint8)
    confidence = np.where(known, np.abs(agreement_full) * np.clip(weight_full, 0.01, 1), 0).astype(np.float32)
    blurred = best[agreement < -MIN_AGREEMENT] * limit_px(coc_limit, full[0])
    return Proposal(label, confidence, aligned, alignment, exposure, float(np.median(blurred)) if blurred.size else 0.0)
