"""Thin-lens image formation: circle of confusion, disk blur, layers composed from back to front.

A point at distance z, with the lens focused at z_f, spreads over a disk of diameter

    c = A f |z - z_f| / (z (z_f - f)),    A = f / N,

f the focal length, A the diameter of the aperture, N the f-number (paper, section III.A, names the dependence on
aperture and distance). Colours are linear light throughout; layers are premultiplied by their alpha, so that blur
mixes colour and coverage alike and a blurred foreground lets what lies behind it shine through at its rim.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from components.common.errors import InputError

Floats = NDArray[np.float32]
LADDER_STEP = 1.5
"""Ratio of neighbouring disk diameters between which a varying blur is interpolated."""


@dataclass(frozen=True)
class ThinLens:
    """A thin lens before a sensor of square pixels."""

    focal_length_mm: float
    f_number: float
    focus_m: float
    pixel_pitch_um: float

    def __post_init__(self) -> None:
        """Refuse a lens that cannot focus so near: the focus distance lies beyond the focal length."""
        if self.focus_m * 1000 <= self.focal_length_mm:
            raise InputError(
                f"focus distance {self.focus_m} m: must be beyond the focal length, {self.focal_length_mm} mm"
            )

    def coc_px(self, depth_m: Floats | np.float32) -> Floats:
        """Diameter of the circle of confusion in pixels, for distances in metres."""
        f, z_f, z = self.focal_length_mm, self.focus_m * 1000, depth_m * np.float32(1000)
        aperture = f / self.f_number
        diameter_mm = aperture * f * np.abs(z - z_f) / (z * (z_f - f))
        return np.asarray(diameter_mm * (1000 / self.pixel_pitch_um), dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Layer:
    """A surface on the canvas."""

    rgba: Floats
    """(h, w, 4), linear light, premultiplied."""
    depth_m: Floats | np.float32
    """(h, w) for a slanted plane, () for one parallel to the sensor."""
    top: int = 0
    left: int = 0
    """Place of the surface's first pixel on the canvas; it lies within the canvas."""


def to_linear(srgb: Floats) -> Floats:
    """Linear light of sRGB values, both 0..1 (IEC 61966-2-1)."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4).astype(np.float32)


def to_srgb(linear: Floats) -> Floats:
    """Values of linear light in sRGB, both 0..1 (IEC 61966-2-1)."""
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055).astype(np.float32)


def disk_kernel(diameter: float) -> Floats:
    """Disk of `diameter` pixels with an anti-aliased rim, (n, n), n odd, sum 1; up to one pixel it is the identity."""
    radius = diameter / 2
    reach = max(0, int(np.ceil(radius - 0.5)))
    offsets = np.arange(-reach, reach + 1)
    distance = np.hypot(offsets[:, None], offsets[None, :])
    weights = np.clip(radius + 0.5 - distance, 0, 1)
    return np.asarray(weights / weights.sum(), dtype=np.float32)


def blur(image: Floats, diameter: float) -> Floats:
    """`image` (h, w, channels) convolved with a disk of `diameter` pixels, at the same size."""
    kernel = disk_kernel(diameter)
    if kernel.size == 1:
        return image
    return np.asarray(cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REPLICATE), dtype=np.float32)


def blur_varying(image: Floats, coc: Floats) -> Floats:
    """`image` (h, w, channels) blurred by a disk of `coc` (h, w) pixels, which must vary smoothly.

    Each pixel mixes the two nearest disks of a ladder of diameters, linearly in the logarithm of the diameter.
    """
    place = np.log(np.maximum(coc, 1)) / np.float32(np.log(LADDER_STEP))
    result = np.zeros_like(image)
    for k in range(int(np.floor(place.min())), int(np.ceil(place.max())) + 1):
        weight = np.clip(1 - np.abs(place - k), 0, 1)
        rows, columns = np.flatnonzero(weight.any(axis=1)), np.flatnonzero(weight.any(axis=0))
        if rows.size:
            part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            result[part] += weight[part][..., None] * _blur_part(image, part, LADDER_STEP**k)
    return result


def _blur_part(image: Floats, part: tuple[slice, slice], diameter: float) -> Floats:
    """The `part` (rows, columns) of `image` blurred within the whole."""
    rows, columns = part
    reach = disk_kernel(diameter).shape[0] // 2
    top, left = max(0, rows.start - reach), max(0, columns.start - reach)
    around = blur(np.ascontiguousarray(image[top : rows.stop + reach, left : columns.stop + reach]), diameter)
    return around[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]


def spread(layer: Layer, lens: ThinLens, canvas: tuple[int, int]) -> Layer:
    """`layer` as the lens images it: blurred, and grown by the reach of the blur as far as the canvas goes."""
    coc = lens.coc_px(layer.depth_m)
    if coc.ndim:
        return Layer(blur_varying(layer.rgba, coc), layer.depth_m, layer.top, layer.left)
    reach = disk_kernel(float(coc)).shape[0] // 2
    height, width = layer.rgba.shape[:2]
    above, before = min(reach, layer.top), min(reach, layer.left)
    below = min(reach, canvas[0] - layer.top - height)
    after = min(reach, canvas[1] - layer.left - width)
    # on an edge of the canvas a surface goes on beyond it
    grown = cv2.copyMakeBorder(layer.rgba, above, below, before, after, cv2.BORDER_CONSTANT, value=(0, 0, 0, 0))
    return Layer(blur(grown, float(coc)), layer.depth_m, layer.top - above, layer.left - before)


def compose(layers: list[Layer], lens: ThinLens, canvas: tuple[int, int]) -> tuple[Floats, Floats]:
    """Photograph of `layers`, given from back to front, the first one covering the canvas.

    Returns the image (h, w, 3) in linear light and the distance (h, w) in metres of the front-most surface of the
    sharp scene (one that covers at least half of the pixel).
    """
    image = np.zeros((*canvas, 3), dtype=np.float32)
    depth = np.zeros(canvas, dtype=np.float32)
    for layer in layers:
        height, width = layer.rgba.shape[:2]
        sharp = np.s_[layer.top : layer.top + height, layer.left : layer.left + width]
        depth[sharp] = np.where(layer.rgba[..., 3] >= 0.5, layer.depth_m, depth[sharp])
        blurred = spread(layer, lens, canvas)
        height, width = blurred.rgba.shape[:2]
        place = np.s_[blurred.top : blurred.top + height, blurred.left : blurred.left + width]
        image[place] = blurred.rgba[..., :3] + (1 - blurred.rgba[..., 3:]) * image[place]
    return image, depth
