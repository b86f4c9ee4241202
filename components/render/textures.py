"""Procedural surfaces of the miniature's scenes: tiles of linear light that repeat without a seam.

A tile keeps halved copies of itself, so that a far or slanted surface is sampled without aliasing.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from components.render.optics import Floats, to_linear

TEXELS = 128
"""Width and height of a tile; also how often it is wrapped and halved."""
Rng = np.random.Generator


@dataclass(frozen=True, eq=False)
class Tile:
    """A square piece of surface, `width_m` metres wide, repeated without end."""

    levels: tuple[Floats, ...]
    """(TEXELS / 2^k, same, 3), linear light, k = 0, 1, ..."""
    width_m: float

    def sample(self, u_m: Floats, v_m: Floats, footprint_m: Floats | np.float32) -> Floats:
        """Colours (h, w, 3) at surface coordinates (h, w) in metres, each pixel covering `footprint_m`."""
        level = np.log2(np.maximum(footprint_m * (TEXELS / self.width_m), 1e-6))
        level = np.clip(level, 0, len(self.levels) - 1).astype(np.float32)
        if level.ndim == 0:
            return self._sample_level(int(np.rint(level)), u_m, v_m)
        colours = np.zeros((*u_m.shape, 3), dtype=np.float32)
        for k in range(int(np.floor(level.min())), int(np.ceil(level.max())) + 1):
            weight = np.clip(1 - np.abs(level - k), 0, 1)
            rows = np.flatnonzero(weight.any(axis=1))
            if rows.size:
                part = slice(rows[0], rows[-1] + 1)
                colours[part] += weight[part][..., None] * self._sample_level(k, u_m[part], v_m[part])
        return colours

    def _sample_level(self, k: int, u_m: Floats, v_m: Floats) -> Floats:
        texels = self.levels[k].shape[0]
        turns = (coordinate * np.float32(1 / self.width_m) for coordinate in (u_m, v_m))
        u, v = ((turn - np.floor(turn)) * np.float32(texels) for turn in turns)
        return np.asarray(cv2.remap(self.levels[k], u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP))


def tile(srgb: Floats, width_m: float) -> Tile:
    """A tile of the surface `srgb` (TEXELS, TEXELS, 3), 0..1."""
    levels = [to_linear(np.clip(srgb, 0, 1))]
    while levels[-1].shape[0] > 4:
        half = levels[-1].shape[0] // 2
        levels.append(np.asarray(cv2.resize(levels[-1], (half, half), interpolation=cv2.INTER_AREA)))
    return Tile(tuple(levels), width_m)


def wrapped_noise(rng: Rng, rows: int, columns: int) -> Floats:
    """Smooth noise (TEXELS, TEXELS), about -1..1, of a random grid of `rows` x `columns`, without a seam."""
    grid = np.pad(rng.uniform(-1, 1, (rows, columns)).astype(np.float32), 2, mode="wrap")
    size = (round(TEXELS * (columns + 4) / columns), round(TEXELS * (rows + 4) / rows))
    smooth = cv2.resize(grid, size, interpolation=cv2.INTER_CUBIC)
    top, left = (2 * TEXELS) // rows, (2 * TEXELS) // columns
    return np.asarray(smooth[top : top + TEXELS, left : left + TEXELS])


def fractal(rng: Rng, first: int, gain: float, stretch: int = 1) -> Floats:
    """Sum of octaves of noise (TEXELS, TEXELS) scaled to 0..1; `stretch` > 1 draws it out along the rows."""
    total = np.zeros((TEXELS, TEXELS), dtype=np.float32)
    cells, weight = first, 1.0
    while cells <= TEXELS // 2:
        total += weight * wrapped_noise(rng, cells, max(2, cells // stretch))
        cells, weight = cells * 2, weight * gain
    low, high = float(total.min()), float(total.max())
    return (total - low) / (high - low)


def mix(first: Floats, second: Floats, amount: Floats) -> Floats:
    """Colours between two colours (3,), by `amount` (h, w) in 0..1."""
    return first + (second - first) * amount[..., None]


def plain(rng: Rng, first: Floats, second: Floats) -> Floats:
    """A homogeneous surface: one colour, hardly changing over the tile."""
    return mix(first, second, np.float32(0.04) * (1 + wrapped_noise(rng, 2, 2)))


def grain(rng: Rng, first: Floats, second: Floats) -> Floats:
    """Stone, soil, plaster, concrete."""
    return mix(first, second, np.clip(fractal(rng, 4, 0.85) * 2 - 0.5, 0, 1))


def foliage(rng: Rng, first: Floats, second: Floats) -> Floats:
    """Leaves and grass: bright and dark at every scale."""
    light = np.clip(fractal(rng, 8, 1.0) * 2.4 - 0.7, 0, 1)
    return mix(first, second, light) * (0.55 + 0.45 * fractal(rng, 3, 0.6)[..., None])


def planks(rng: Rng, first: Floats, second: Floats) -> Floats:
    """Boards side by side with drawn-out grain and dark gaps."""
    boards = int(rng.integers(2, 5))
    row = np.arange(TEXELS) * boards // TEXELS
    tone = rng.uniform(0.75, 1.1, boards).astype(np.float32)[row][:, None, None]
    gap = np.diff(row, prepend=-1) != 0
    wood = mix(first, second, fractal(rng, 16, 0.9, stretch=8)) * tone
    wood[gap] *= 0.25
    return wood


def bricks(rng: Rng, first: Floats, second: Floats) -> Floats:
    """Bricks or paving stones in shifted courses, with joints."""
    courses, per_course = int(rng.choice([4, 8])), int(rng.choice([2, 4]))
    y, x = np.mgrid[:TEXELS, :TEXELS]
    course = y * courses // TEXELS
    along = (x + (course % 2) * TEXELS // (2 * per_course)) % TEXELS
    tone = rng.uniform(0.7, 1.15, (courses, per_course))[course, along * per_course // TEXELS]
    joint = (y % (TEXELS // courses) < 3) | (along % (TEXELS // per_course) < 3)
    wall = first * tone[..., None] * (0.8 + 0.4 * fractal(rng, 16, 0.9)[..., None])
    return np.asarray(np.where(joint[..., None], second, wall), dtype=np.float32)


def stripes(rng: Rng, first: Floats, second: Floats) -> Floats:
    """Stripes across the tile, of two widths."""
    x = np.arange(TEXELS) * int(rng.integers(4, 11)) / TEXELS
    bands = (np.mod(x, 1) < rng.uniform(0.25, 0.6)).astype(np.float32)
    return mix(first, second, np.broadcast_to(bands, (TEXELS, TEXELS)))


def checks(rng: Rng, first: Floats, second: Floats) -> Floats:
    """Woven checks: where two dark bands cross, the cloth is darkest."""
    count = int(rng.integers(3, 8))
    band = (np.mod(np.arange(TEXELS) * count / TEXELS, 1) < 0.5).astype(np.float32)
    return mix(first, second, (band[:, None] + band[None, :]) * np.float32(0.5))


def dots(rng: Rng, first: Floats, second: Floats) -> Floats:
    """Dots on a grid, every other row shifted."""
    count = int(rng.choice([4, 6, 8]))
    y, x = np.mgrid[:TEXELS, :TEXELS] * (count / TEXELS)
    shifted = np.mod(x + 0.5 * (np.floor(y) % 2), 1) - 0.5
    distance = np.hypot(shifted, np.mod(y, 1) - 0.5)
    return mix(first, second, np.clip((0.28 - distance) * 12 + 0.5, 0, 1).astype(np.float32))


def print_lines(rng: Rng, first: Floats, second: Floats) -> Floats:
    """Lines of print: words as dark marks of several widths."""
    page = np.zeros((TEXELS, TEXELS), dtype=np.float32)
    step = int(rng.choice([8, 16]))
    for top in range(2, TEXELS - step // 2, step):
        marks = rng.random(TEXELS // 2) < 0.6
        words = rng.random(TEXELS // 8) < 0.8
        page[top : top + step // 2] = np.repeat(marks, 2) & np.repeat(words, 8)
    return mix(first, second, page)


Pattern = Callable[[Rng, Floats, Floats], Floats]
TEXTURED: dict[str, Pattern] = {
    "grain": grain,
    "foliage": foliage,
    "planks": planks,
    "bricks": bricks,
    "stripes": stripes,
    "checks": checks,
    "dots": dots,
    "print": print_lines,
}


def colour(code: str) -> NDArray[np.float32]:
    """Colour (3,) in sRGB, 0..1, of a code such as `8fb339`."""
    return np.frombuffer(bytes.fromhex(code), dtype=np.uint8).astype(np.float32) / np.float32(255)


def jitter(rng: Rng, base: Floats, amount: float = 0.06) -> Floats:
    """`base` (3,) with its brightness and its hue slightly changed."""
    return np.clip(base * rng.uniform(0.85, 1.12) + rng.uniform(-amount, amount, 3), 0, 1).astype(np.float32)
