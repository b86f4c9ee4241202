"""Rendered pairs with a known label, to measure proposals against.

One scene of the miniature is imaged twice through one lens, at f/16 and at f/1.8 (EBD's two apertures). The wide
photograph is then moved, turned and exposed as from a tripod that was touched; each has noise of its own and is
compressed. No parallax, no motion between the two, no lens that breathes: see benchmarks/LABELS.md.
"""

import io
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from components.data.miniature import RenderSettings, render_image
from components.data.optics import Floats, to_linear, to_srgb
from components.data.textures import Rng
from components.labelling.align import rigid
from components.labelling.estimate import Pixels

GROUP = "label-pairs"


@dataclass(frozen=True)
class Handling:
    """What happened between the two exposures, and to both files: the largest values, drawn evenly up to them."""

    shift_px: float = 10.0
    """Of a photograph 1600 px wide, along each side."""
    turn_deg: float = 1.0
    exposure_ev: float = 0.3
    noise: float = 0.008
    """Standard deviation at mid grey, linear light, white = 1, as `RenderSettings.noise`."""
    jpeg_quality: int = 92


@dataclass(frozen=True, eq=False)
class RenderedPair:
    """A pair of photographs and the truth about them."""

    wide: Pixels
    """(h, w, 3) uint8 sRGB."""
    shallow: Pixels
    """(h, w, 3) uint8 sRGB."""
    in_focus: NDArray[np.bool_]
    """(h, w) of the shallow photograph, True = in focus."""
    to_wide: NDArray[np.float64]
    """(3, 3): where a point (x, y, 1) of the shallow photograph lies in the wide one."""
    gain: float
    """Linear light of the wide photograph over that of the shallow one, but for what each scene's exposure adds."""


def compressed(linear: Floats, rng: Rng, handling: Handling) -> Pixels:
    """Photograph (h, w, 3) of linear light with photon noise, once through JPEG."""
    sigma = handling.noise * np.sqrt((linear + 0.02) / 0.5)
    noisy = linear + sigma * rng.standard_normal(linear.shape, dtype=np.float32)
    values = np.rint(to_srgb(np.clip(noisy, 0, 1)) * 255).astype(np.uint8)
    coded = io.BytesIO()
    Image.fromarray(values).save(coded, format="JPEG", quality=handling.jpeg_quality)
    return np.array(Image.open(coded).convert("RGB"))


def render_pair(
    settings: RenderSettings, index: int, *, height: int, width: int, handling: Handling | None = None
) -> RenderedPair:
    """Pair `index`; the same arguments give the same pixels.

    A surface is in focus up to a circle of confusion of `settings.coc_limit_px` x width / `settings.size`.
    """
    handling = handling or Handling()
    clean = replace(settings, noise=0.0)  # the renderer would give both photographs one and the same noise
    shallow, wide = (
        render_image(clean, GROUP, index, height=height, width=width, f_number=f_number)
        for f_number in (settings.f_number_shallow, settings.f_number_wide)
    )
    rng = np.random.default_rng((settings.seed, index, 1))
    shift = rng.uniform(-1, 1, 2) * handling.shift_px * width / 1600
    to_wide = rigid((height, width), float(rng.uniform(-1, 1)) * handling.turn_deg, (float(shift[0]), float(shift[1])))
    gain = float(2 ** (rng.uniform(-1, 1) * handling.exposure_ev))
    linear = to_linear(wide.image.astype(np.float32) / np.float32(255))
    moved = cv2.warpPerspective(
        linear, to_wide, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_CONSTANT, borderValue=(0, 0, 0)
    )
    own = to_linear(shallow.image.astype(np.float32) / np.float32(255))
    return RenderedPair(
        compressed(np.asarray(moved) * np.float32(gain), rng, handling),
        compressed(own, rng, handling),
        shallow.in_focus,
        to_wide,
        gain,
    )
