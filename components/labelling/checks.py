"""Whether two aligned photographs are what they are said to be: a wide and a shallow one, of one scene, at one place.

The limits were chosen on five rendered pairs (410 x 640): as they are, swapped, one photograph twice, and with the wide
one bent smoothly by about 2 and 4 pixels, as what moved or another place would.
"""

import cv2
import numpy as np

from components.labelling.align import AlignmentError, detail
from components.labelling.blur import root
from components.labelling.regions import Mask
from components.render.optics import Floats

SHARPER = 1.25
"""Detail beyond this times the other's, and a level of 255, is sharper."""
SWAPPED = 0.03
"""Part of the picture in which the shallow one is the sharper: at most 0.008 as they are, 0.057 or more swapped."""
SAME = 2.0
"""Mean difference of brightness, levels of 255, where neither is sharper: at most 1.8 between a photograph and the same
saved again (as JPEG at 60, or at 0.7 of its size), 7 or more as they are."""
ALIKE = 0.005
"""Part of the picture in which one may be sharper then."""
MISALIGNED = "misaligned"
"""How the message of a pair that is left out begins."""
LARGEST_RESIDUAL = 40.0
"""Residual that a tenth of the picture is above: at most 16 as they are, 71 or more once bent by 2 pixels."""


def check_kinds(shallow: Floats, wide: Floats, covered: Mask) -> None:
    """Make sure that the two are not one photograph, and the wide one is the sharper where they differ.

    Args:
        shallow: (h, w, 3), linear light.
        wide: likewise, aligned and equally exposed.
        covered: bool (h, w), where the wide one covers the shallow one.

    Raises:
        AlignmentError: they are, or it is the other way round.
    """
    levels = [brightness(each) for each in (shallow, wide)]
    of_shallow, of_wide = (detail(each)[covered] for each in levels)
    there, here = (float((a > SHARPER * b + 1).mean()) for a, b in ((of_shallow, of_wide), (of_wide, of_shallow)))
    if max(there, here) < ALIKE and np.abs(levels[0] - levels[1])[covered].mean() < SAME:
        raise AlignmentError("both are one photograph; expected one taken with a small aperture and one with a large")
    if there > SWAPPED and there > 3 * here:
        raise AlignmentError(
            f"the shallow photograph is the sharper one in {there:.0%} of the picture, the wide one in {here:.0%}; "
            "expected the reverse: are the two swapped?"
        )


def brightness(light: Floats) -> Floats:
    """Levels (h, w), 0..255, of linear light (h, w, 3)."""
    return np.asarray(cv2.cvtColor(root(np.clip(light, 0, 1)) * np.float32(255), cv2.COLOR_RGB2GRAY))


def check_residual(residual: Floats, covered: Mask, *, keep_misaligned: bool) -> None:
    """Make sure that blur explains how the photographs differ.

    Args:
        residual: (diameters, h, w), see `components.labelling.blur.residuals`.
        covered: bool (h, w).
        keep_misaligned: whether much that no blur explains is put up with.

    Raises:
        AlignmentError: something moved.
    """
    tenth = float(np.percentile(residual.min(axis=0)[covered], 90))
    if tenth > LARGEST_RESIDUAL and not keep_misaligned:
        raise AlignmentError(
            f"{MISALIGNED}: a tenth of the picture differs by {tenth:.0f} times what noise leaves or more, whatever "
            f"the blur, expected at most {LARGEST_RESIDUAL:.0f}; left out, --keep-misaligned proposes all the same"
        )
