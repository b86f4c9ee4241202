"""Rendered pairs with a known label, to measure proposals against.

One scene of the miniature is imaged twice through one lens, at f/16 and at f/1.8 (EBD's two apertures). The wide
photograph is then moved, turned and exposed as from a tripod that was touched; each has noise of its own and is
compressed. No parallax, no motion between the two, no lens that breathes: see benchmarks/LABELS.md.
"""

import io
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from components.labelling.align import Homography, Pixels
from components.render.miniature import RenderSettings, generator
from components.render.optics import Floats, ThinLens, compose, to_srgb
from components.render.scenes import build_scene
from components.render.textures import Rng

GROUP = "label-pairs"


@dataclass(frozen=True)
class Handling:
    """What happened between the two exposures, and to both files: the largest values, drawn evenly up to them."""

    shift_px: float = 10.0
    """Of a photograph 1600 px wide, along each side."""
    turn_deg: float = 1.0
    exposure_ev: float = 0.3
    noise: float = 0.004
    """Standard deviation at mid grey, linear light, white = 1, as `RenderSettings.noise`."""
    jpeg_quality: int = 95


@dataclass(frozen=True, eq=False)
class RenderedPair:
    """A pair of photographs and the truth about them."""

    wide: Pixels
    """(h, w, 3) uint8 sRGB."""
    shallow: Pixels
    """(h, w, 3) uint8 sRGB."""
    in_focus: NDArray[np.bool_]
    """(h, w) of the shallow photograph, True = in focus."""
    coc_px: Floats
    """(h, w) diameter of the circle of confusion in the shallow photograph."""
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


def scene_light(settings: RenderSettings, index: int, size: tuple[int, int], f_number: float) -> tuple[Floats, Floats]:
    """Linear light (h, w, 3) of scene `index` at `f_number`, and the circle of confusion (h, w) in pixels.

    Exposed as `miniature.develop` does, but without its noise, which would be one and the same in both photographs.
    """
    height, width = size
    pitch_mm = settings.sensor_width_mm / width
    rng = generator(settings.seed, GROUP, index)
    scene = build_scene(rng, size, settings.focal_length_mm / pitch_mm, (settings.focus_near_m, settings.focus_far_m))
    lens = ThinLens(settings.focal_length_mm, f_number, scene.focus_m, pitch_mm * 1000)
    light, depth = compose(scene.layers, lens, scene.canvas)
    inside = np.s_[scene.margin : scene.margin + height, scene.margin : scene.margin + width]
    exposed = light[inside] * np.float32(np.clip(0.2 / max(float(np.median(light[inside])), 1e-3), 0.6, 2.0))
    return np.clip(exposed, 0, 1).astype(np.float32), lens.coc_px(depth[inside])


def rigid(size: tuple[int, int], turn_deg: float, shift_px: tuple[float, float]) -> Homography:
    """Turn about the centre of a picture of `size` (h, w), then shift, as a (3, 3) map of (x, y, 1)."""
    height, width = size
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), turn_deg, 1.0)
    turn[:, 2] += shift_px
    return np.vstack([turn, [0, 0, 1]])


def render_pair(
    settings: RenderSettings, index: int, *, height: int, width: int, handling: Handling | None = None
) -> RenderedPair:
    """Pair `index`; the same arguments give the same pixels.

    A surface is in focus up to a circle of confusion of `settings.coc_limit_px` x width / `settings.size`.
    """
    handling, size = handling or Handling(), (height, width)
    own, coc = scene_light(settings, index, size, settings.f_number_shallow)
    still, _ = scene_light(settings, index, size, settings.f_number_wide)
    rng = np.random.default_rng((settings.seed, index, 1))
    shift = rng.uniform(-1, 1, 2) * handling.shift_px * width / 1600
    to_wide = rigid(size, float(rng.uniform(-1, 1)) * handling.turn_deg, (float(shift[0]), float(shift[1])))
    gain = float(2 ** (rng.uniform(-1, 1) * handling.exposure_ev))
    moved = cv2.warpPerspective(still, to_wide, size[::-1], flags=cv2.INTER_CUBIC)
    wide = compressed(np.maximum(moved, 0) * np.float32(gain), rng, handling)
    limit = settings.coc_limit_px * width / settings.size
    return RenderedPair(wide, compressed(own, rng, handling), coc <= limit, coc, to_wide, gain)
