"""Scenes of the miniature: a ground, a wall and a sky, and things that stand between them at several distances.

Every plane's inverse distance is linear in the pixel's place (a pinhole's view of a plane), so ground and wall meet
in a line without a jump in depth, and things shrink with distance and stand where the ground is at their distance.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.render.cutouts import Patch, Thing
from components.render.optics import Floats, Layer, to_linear
from components.render.styles import SKIES, STYLES, THINGS, Style
from components.render.textures import TEXTURED, Rng, Tile, colour, fractal, jitter, mix, plain, tile

FAR_M = 100.0
"""Distance of the sky; beyond it nothing changes."""
MARGIN = 0.08
"""Canvas beyond each edge of the photograph, as part of its width: what lies outside blurs into it."""


@dataclass(frozen=True, eq=False)
class View:
    """A level pinhole camera: where a point at (x, height, distance) falls on the canvas."""

    canvas: tuple[int, int]
    focal_px: float
    horizon: float
    """Row of the canvas."""
    height_m: float
    """Of the camera above the ground."""

    @property
    def grid(self) -> tuple[Floats, Floats]:
        """Slopes (h, w) of each pixel's ray, to the right and downwards."""
        rows, columns = np.mgrid[: self.canvas[0], : self.canvas[1]].astype(np.float32)
        return (columns - self.canvas[1] / 2) / self.focal_px, (rows - self.horizon) / self.focal_px

    def foot_row(self, depth_m: float) -> float:
        """Row of the ground at a distance."""
        return self.horizon + self.focal_px * self.height_m / depth_m


@dataclass(frozen=True)
class Placed:
    """A thing on the ground: the column of its foot on the canvas, its distance and its size, 1 = usual."""

    thing: Thing
    column: float
    depth_m: float
    size: float


@dataclass(frozen=True, eq=False)
class Scene:
    """Layers from back to front, the canvas they lie on, and where the photographer focuses."""

    layers: list[Layer]
    canvas: tuple[int, int]
    margin: int
    focus_m: float


def surface_tile(rng: Rng, options: tuple[tuple[str, str, str], ...], width_m: float) -> Tile:
    """A tile of one of a style's surfaces."""
    kind, first, second = options[int(rng.integers(len(options)))]
    pattern = plain if kind == "plain" else TEXTURED[kind]
    return tile(pattern(rng, jitter(rng, colour(first), 0.04), jitter(rng, colour(second), 0.04)), width_m)


def opaque(colours: Floats, alpha: Floats) -> Floats:
    """Premultiplied layer (h, w, 4) of `colours` (h, w, 3) that covers `alpha` (h, w)."""
    return np.concatenate([colours * alpha[..., None], alpha[..., None]], axis=2).astype(np.float32)


def sky(rng: Rng, view: View) -> Layer:
    """A sky that grows lighter towards the horizon, some with clouds; covers the canvas."""
    high, low = (jitter(rng, colour(code), 0.02) for code in SKIES[int(rng.integers(len(SKIES)))])
    rows = np.arange(view.canvas[0], dtype=np.float32) / np.float32(max(view.horizon, 1.0))
    down = np.broadcast_to(np.clip(rows, 0, 1)[:, None], view.canvas)
    colours = mix(high, low, down)
    if rng.random() < 0.5:
        cloud = tile(np.repeat(np.clip(fractal(rng, 3, 0.55) * 2.5 - 1.2, 0, 1)[..., None], 3, axis=2), 1.0)
        across, below = view.grid
        cover = cloud.sample(across * 2, below * 4, np.float32(0)) * 0.8
        colours = colours + (0.97 - colours) * cover
    return Layer(opaque(to_linear(colours), np.ones(view.canvas, dtype=np.float32)), np.float32(FAR_M))


def wall_nearness(rng: Rng, view: View, far_m: float, near_m: float) -> tuple[Floats, Floats]:
    """Inverse distance (h, w) of a wall, and its coordinate along itself (h, w) in metres.

    Six of ten walls face the camera at `far_m`; the others run towards it, to `near_m` at one edge of the canvas.
    """
    across, _ = view.grid
    if rng.random() < 0.6:
        return np.full(view.canvas, 1 / far_m, dtype=np.float32), across * np.float32(far_m)
    half = view.canvas[1] / 2 / view.focal_px
    slope = float(rng.choice([-1.0, 1.0])) * (1 / near_m - 1 / far_m) / (2 * half)
    middle = (1 / near_m + 1 / far_m) / 2
    nearness = np.asarray(slope * across + middle, dtype=np.float32)
    along = (middle * across - slope) / (nearness * np.hypot(slope, middle))
    return nearness, np.asarray(along, dtype=np.float32)


def wall(rng: Rng, view: View, style: Style, nearness: Floats, along_m: Floats) -> Layer:
    """The wall behind everything, unevenly lit; below a sky it ends at a height of its own."""
    across, below = view.grid
    depth = np.asarray(1 / nearness, dtype=np.float32)
    texture = surface_tile(rng, style.walls, float(depth.mean()) * rng.uniform(0.25, 0.6))
    colours = texture.sample(along_m, below * depth, depth / np.float32(view.focal_px))
    lit = 0.85 + rng.uniform(-1.2, 1.2) * across + rng.uniform(-1.0, 0.3) * below
    colours = colours * np.clip(lit, 0.35, 1.3)[..., None]
    if rng.random() < style.lights:
        colours = colours + lights(rng, view.canvas)
    alpha = np.ones(view.canvas, dtype=np.float32)
    if rng.random() < style.open_air:
        top_m = rng.uniform(0.02, 0.14) * float(depth.max())
        alpha = np.clip((below + top_m * nearness) * view.focal_px + 0.5, 0, 1)
    return Layer(opaque(colours, alpha), depth)


def lights(rng: Rng, canvas: tuple[int, int]) -> Floats:
    """Small lights (h, w, 3), brighter than white: out of focus each becomes a disk."""
    glow = np.zeros((*canvas, 3), dtype=np.float32)
    count = int(rng.integers(5, 22))
    tint = to_linear(jitter(rng, colour(str(rng.choice(["ffd9a0", "fff2dc", "ffb870", "d8ecff"])))))
    rows, columns = rng.integers(0, int(canvas[0] * 0.75), count), rng.integers(0, canvas[1], count)
    glow[rows, columns] = tint * rng.uniform(5, 40, (count, 1)).astype(np.float32)
    return glow


def ground(rng: Rng, view: View, style: Style, wall_near: Floats, placed: list[Placed]) -> Layer:
    """The ground in front of the wall, with the shadows of what stands on it."""
    across, below = view.grid
    nearness = below / np.float32(view.height_m)
    alpha = np.clip((nearness - wall_near) * np.float32(view.focal_px * view.height_m) + 0.5, 0, 1)
    depth = np.reciprocal(np.maximum(nearness, np.float32(1 / FAR_M)))
    footprint = depth * np.sqrt(depth / np.float32(view.height_m)) / np.float32(view.focal_px)
    texture = surface_tile(rng, style.grounds, rng.uniform(0.3, 0.8))
    colours = texture.sample(across * depth, depth, footprint)
    for one in placed:
        width = one.thing.width_m * one.size
        x = (one.column - view.canvas[1] / 2) / view.focal_px * one.depth_m
        distance = ((across * depth - x) / (0.65 * width)) ** 2 + ((depth - one.depth_m) / (0.5 * width)) ** 2
        colours = colours * (1 - 0.65 * np.exp(-distance))[..., None]
    return Layer(opaque(colours, alpha), depth)


def cutout(rng: Rng, view: View, placed: Placed) -> Layer | None:
    """The layer of a thing, or nothing where it falls outside the canvas."""
    scale = view.focal_px / placed.depth_m
    width, height = placed.thing.width_m * placed.size, placed.thing.height_m * placed.size
    foot = view.foot_row(placed.depth_m)
    reach = 0.75 * width * scale + 2
    left, right = max(0, int(placed.column - reach)), min(view.canvas[1], int(placed.column + reach) + 1)
    top, bottom = max(0, int(foot - 1.1 * height * scale) - 2), min(view.canvas[0], int(foot) + 3)
    if left >= right or top >= bottom:
        return None
    patch = Patch((bottom - top, right - left), (placed.column - left, foot - top), scale)
    placed.thing.draw(patch, rng, width, height)
    return Layer(patch.rgba, np.float32(placed.depth_m), top, left)


def draw_things(rng: Rng, view: View, placed: list[Placed]) -> list[Layer]:
    """Layers of the things, farthest first."""
    drawn = [cutout(rng, view, one) for one in sorted(placed, key=lambda one: -one.depth_m)]
    return [layer for layer in drawn if layer is not None]


def some(rng: Rng, names: tuple[str, ...]) -> Thing:
    """One of the named things."""
    return THINGS[names[int(rng.integers(len(names)))]]


def beside(rng: Rng, style: Style, subject: Placed, wall_m: NDArray[np.float32]) -> Placed:
    """A thing before the subject at the edge of the picture, next to it, or behind it and before the wall.

    `wall_m` is the distance of the wall at every column of the canvas.
    """
    place, size, width = rng.random(), rng.uniform(0.8, 1.3), len(wall_m)
    column, nearby = rng.uniform(0, 1), rng.uniform(0.96, 1.06)
    if place < 0.25:
        column, nearby, size = rng.uniform(-0.05, 0.2), rng.uniform(0.6, 0.8), 0.6 * size
        column = column if rng.random() < 0.5 else 1 - column
    limit = 0.95 * float(wall_m[int(np.clip(column * width, 0, width - 1))])
    if place > 0.45:
        nearby = rng.uniform(1.25, max(1.3, limit / subject.depth_m))
    return Placed(some(rng, style.others), column * width, min(nearby * subject.depth_m, limit), size)


def subject_place(rng: Rng, style: Style, view_px: tuple[float, int, int], focus_m: tuple[float, float]) -> Placed:
    """A subject at a distance within `focus_m` at which it fills a good part of the picture's height.

    `view_px` is the focal length, the picture's height and the canvas' width, in pixels.
    """
    focal_px, height, width = view_px
    thing, size = some(rng, style.subjects), rng.uniform(0.85, 1.2)
    fitting = focal_px * thing.height_m * size / (rng.uniform(0.45, 0.9) * height)
    depth = float(np.clip(fitting * rng.uniform(0.9, 1.1), *focus_m))
    return Placed(thing, width * rng.uniform(0.25, 0.75), depth, size)


def build_scene(rng: Rng, size: tuple[int, int], focal_px: float, focus_m: tuple[float, float]) -> Scene:
    """A scene for a photograph of `size` (h, w), focused between the two distances `focus_m`.

    Most photographers focus on the subject, some on what stands beside, before or behind it.
    """
    margin = int(np.ceil(MARGIN * size[1]))
    canvas = (size[0] + 2 * margin, size[1] + 2 * margin)
    style = STYLES[int(rng.integers(len(STYLES)))]
    subject = subject_place(rng, style, (focal_px, size[0], canvas[1]), focus_m)
    view = stand(rng, canvas, margin, focal_px, subject)
    wall_m = subject.depth_m * float(np.exp(rng.uniform(*np.log(style.wall_distance))))
    nearness, along = wall_nearness(rng, view, wall_m, min(wall_m, 1.3 * subject.depth_m))
    others = [beside(rng, style, subject, 1 / nearness[0]) for _ in range(int(rng.integers(1, 6)))]
    placed = [subject, *others]
    seen = [one for one in placed if margin < one.column < canvas[1] - margin]
    target = subject if rng.random() < 0.8 else seen[int(rng.integers(len(seen)))]
    layers = [sky(rng, view), wall(rng, view, style, nearness, along), ground(rng, view, style, nearness, placed)]
    return Scene(layers + draw_things(rng, view, placed), canvas, margin, float(np.clip(target.depth_m, *focus_m)))


def stand(rng: Rng, canvas: tuple[int, int], margin: int, focal_px: float, subject: Placed) -> View:
    """A camera that sees the subject's foot in the lower part of the picture, under a horizon in the upper half."""
    height = canvas[0] - 2 * margin
    horizon = margin + height * rng.uniform(0.1, 0.5)
    foot = margin + height * rng.uniform(0.72, 0.98)
    return View(canvas, focal_px, horizon, (foot - horizon) * subject.depth_m / focal_px)
