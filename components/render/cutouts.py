"""Things that stand in the miniature's scenes: flat cut-outs, measured in metres from the middle of their foot.

A cut-out is painted shape by shape on a patch of the canvas. About half of what is painted is homogeneous (one
colour, softly shaded): whether such a surface is in focus shows only at its rim and in what stands beside it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np

from components.render.optics import Floats, to_linear
from components.render.textures import TEXTURED, Rng, Tile, colour, jitter, plain, tile

SUBPIXEL_BITS = 4


@dataclass(eq=False)
class Patch:
    """A piece of canvas to paint on: `scale` pixels a metre, the foot of the thing at pixel `foot` (x, y)."""

    shape: tuple[int, int]
    foot: tuple[float, float]
    scale: float
    rgba: Floats = field(init=False)
    """(h, w, 4), linear light, premultiplied."""
    x: Floats = field(init=False)
    """(h, w), metres to the right of the foot."""
    y: Floats = field(init=False)
    """(h, w), metres above the foot."""

    def __post_init__(self) -> None:
        """Start transparent."""
        self.rgba = np.zeros((*self.shape, 4), dtype=np.float32)
        rows, columns = np.mgrid[: self.shape[0], : self.shape[1]].astype(np.float32)
        self.x = (columns - np.float32(self.foot[0])) / np.float32(self.scale)
        self.y = (np.float32(self.foot[1]) - rows) / np.float32(self.scale)

    def cover(self, outline: Floats) -> tuple[Floats, tuple[slice, slice]]:
        """Coverage, 0..1, of the polygon `outline` (n, 2), metres (x, y), and the part of the patch it is given for."""
        pixels = np.asarray(self.foot) + outline * np.array([self.scale, -self.scale])
        low, high = np.floor(pixels.min(axis=0)).astype(int) - 1, np.ceil(pixels.max(axis=0)).astype(int) + 2
        left, top = np.clip(low, 0, self.shape[::-1])
        right, bottom = np.clip(high, (left, top), self.shape[::-1])
        mask = np.zeros((bottom - top, right - left), dtype=np.uint8)
        if mask.size:
            fixed = np.rint((pixels - (left, top)) * 2**SUBPIXEL_BITS).astype(np.int32)
            cv2.fillPoly(mask, [fixed], 255, lineType=cv2.LINE_AA, shift=SUBPIXEL_BITS)
        return mask.astype(np.float32) / np.float32(255), np.s_[top:bottom, left:right]

    def paint(self, outline: Floats, colours: Floats, shade: Floats | float = 1.0) -> None:
        """Paint the polygon `outline` (n, 2) with `colours` (3,) or (h, w, 3) times `shade` () or (h, w)."""
        coverage, part = self.cover(outline)
        light = np.asarray(shade, dtype=np.float32)
        lit = (colours[part] if colours.ndim == 3 else colours) * (light[part] if light.ndim else light)[..., None]
        mask = coverage[..., None]
        self.rgba[part][..., :3] += mask * (lit - self.rgba[part][..., :3])
        self.rgba[part][..., 3:] += mask * (1 - self.rgba[part][..., 3:])

    def surface(self, texture: Tile) -> Floats:
        """Colours (h, w, 3) of `texture` laid over the patch."""
        return texture.sample(self.x, self.y, np.float32(1 / self.scale))

    def rounded(self, half_width: float, light: float) -> Floats:
        """Shade (h, w) of an upright cylinder of radius `half_width`, lit from the left (-1) to the right (1)."""
        across = np.clip(self.x / half_width, -1, 1)
        return np.asarray(0.5 + 0.5 * np.sqrt(1 - across**2) + 0.25 * light * across, dtype=np.float32)


@dataclass(frozen=True)
class Thing:
    """A kind of cut-out and its size in metres."""

    draw: Callable[[Patch, Rng, float, float], None]
    """Paints a thing of a width and height, metres, on a patch."""
    width_m: float
    height_m: float


def ellipse(x: float, y: float, rx: float, ry: float) -> Floats:
    """Outline (32, 2) of an ellipse."""
    turn = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    return np.stack([x + rx * np.cos(turn), y + ry * np.sin(turn)], axis=1).astype(np.float32)


def box(left: float, bottom: float, right: float, top: float) -> Floats:
    """Outline (4, 2) of an upright rectangle."""
    return np.array([[left, bottom], [right, bottom], [right, top], [left, top]], dtype=np.float32)


def scaled(points: list[tuple[float, float]], width: float, height: float) -> Floats:
    """Outline (n, 2) of points given as parts of a width and a height."""
    return np.array(points, dtype=np.float32) * np.array([width, height], dtype=np.float32)


def turned(half_widths: list[tuple[float, float]]) -> Floats:
    """Outline of a turned body from its (height, half width) pairs, bottom to top."""
    profile = np.array(half_widths, dtype=np.float32)
    right = profile[:, ::-1]
    return np.concatenate([right, right[::-1] * np.array([-1, 1], dtype=np.float32)])


BRIGHT = ["c8372d", "e3a72f", "2f6fb0", "3f8f4f", "efe6d2", "7d4a9c", "d9d9d6", "2b2f36", "e07b39", "59b3ad", "b5486b"]
LEAVES = ["3e6b2a", "6d9440", "2f5230", "8ba653"]


def pick(rng: Rng, codes: list[str]) -> Floats:
    """One of the colours (3,), sRGB, slightly changed."""
    return jitter(rng, colour(str(rng.choice(codes))))


def paint_of(rng: Rng, kinds: list[str], width_m: float, homogeneous: float = 0.5) -> Tile:
    """A bright tile: homogeneous with that probability, else textured in one of `kinds`."""
    first, second = pick(rng, BRIGHT), pick(rng, BRIGHT)
    if rng.random() < homogeneous:
        return tile(plain(rng, first, second), width_m)
    kind = str(rng.choice(kinds))
    return tile(TEXTURED[kind](rng, first, 0.45 * first if kind == "grain" else second), width_m)


def ball(patch: Patch, rng: Rng, width: float, height: float) -> None:
    """A ball or a fruit."""
    radius, light = width / 2, rng.uniform(-1, 1)
    skin = paint_of(rng, ["grain", "stripes", "dots"], width)
    x, y = patch.x / radius, (patch.y - radius) / radius
    facing = np.sqrt(np.clip(1 - x**2 - y**2, 0, 1))
    shade = np.clip(0.25 + 0.55 * facing + 0.3 * y + 0.25 * light * x, 0.08, 1.2)
    patch.paint(ellipse(0, radius, radius, radius), patch.surface(skin), shade)
    if rng.random() < 0.4:
        patch.paint(box(-0.03 * width, width * 0.97, 0.03 * width, height), to_linear(pick(rng, LEAVES)))


def bottle(patch: Patch, rng: Rng, width: float, height: float) -> None:
    """A bottle or vase, plain or with a label around it."""
    w, neck = width / 2, width * rng.uniform(0.12, 0.22)
    shoulder = rng.uniform(0.55, 0.75)
    body = turned([(0, w * 0.9), (0.02 * height, w), (shoulder * height, w), (0.82 * height, neck), (height, neck)])
    shade = patch.rounded(w, rng.uniform(-1, 1))
    patch.paint(body, patch.surface(paint_of(rng, ["stripes", "grain"], width, homogeneous=0.7)), shade)
    if rng.random() < 0.6:
        label = paint_of(rng, ["print", "checks", "dots"], width, homogeneous=0.0)
        patch.paint(box(-w, 0.15 * height, w, 0.5 * height), patch.surface(label), shade)


def mug(patch: Patch, rng: Rng, width: float, height: float) -> None:
    """A mug or a bowl with a handle."""
    w, light = width * 0.4, rng.uniform(-1, 1)
    clay = paint_of(rng, ["stripes", "dots", "checks"], height)
    ring = np.concatenate(
        [ellipse(w, height / 2, 0.1 * width, 0.33 * height), ellipse(w, height / 2, 0.05 * width, 0.2 * height)[::-1]]
    )
    patch.paint(ring, patch.surface(clay), 0.7)
    body = turned([(0, w * 0.8), (0.15 * height, w), (height, w)])
    patch.paint(body, patch.surface(clay), patch.rounded(w, light))
    patch.paint(ellipse(0, height * 0.985, w, 0.05 * height), to_linear(pick(rng, ["3a2a20", "efe6d2"])), 0.6)


def crate(patch: Patch, rng: Rng, width: float, height: float) -> None:
    """A box, a book or a crate: a front and a darker side."""
    w, side = width / 2, width * rng.uniform(0.1, 0.3)
    front = patch.surface(paint_of(rng, ["print", "planks", "checks", "grain"], max(width, height)))
    patch.paint(box(-w, 0, w - side, height), front, 1.0)
    edge = np.array([[w - side, 0], [w, 0.04 * height], [w, 0.96 * height], [w - side, height]], dtype=np.float32)
    patch.paint(edge, front, 0.55)


def flower(patch: Patch, rng: Rng, width: float, height: float) -> None:
    """A flower on its stem, with leaves."""
    green, petal = to_linear(pick(rng, LEAVES)), to_linear(pick(rng, BRIGHT))
    head, lean = height - width / 2, rng.uniform(-0.3, 0.3) * width
    thick = 0.035 * width
    stem = np.array([[-thick, 0], [thick, 0], [lean + thick, head], [lean - thick, head]], dtype=np.float32)
    patch.paint(stem, green, 0.8)
    for side in (-1, 1):
        y = head * rng.uniform(0.2, 0.6)
        patch.paint(
            leaf(lean * y / head, y, 0.5 * width, side * rng.uniform(0.3, 1.2), 0.3), green, rng.uniform(0.7, 1.1)
        )
    count, start = int(rng.integers(5, 13)), rng.uniform(0, np.pi)
    slim = 1.1 if count < 8 else 0.6
    distance = np.hypot(patch.x - lean, patch.y - head) / (width / 2)
    for turn in start + np.arange(count) * 2 * np.pi / count:
        shade = (0.6 + 0.45 * np.clip(distance, 0, 1)) * rng.uniform(0.85, 1.1)
        patch.paint(leaf(lean, head, width / 2, turn, slim), petal, shade)
    heart = patch.surface(tile(TEXTURED["grain"](rng, pick(rng, ["e3a72f", "7a4a1e"]), colour("3a2410")), width / 3))
    patch.paint(ellipse(lean, head, 0.15 * width, 0.15 * width), heart)


def leaf(x: float, y: float, length: float, turn: float, slim: float) -> Floats:
    """Outline (24, 2) of a leaf or petal that starts at (x, y) and points along `turn` radians from the right."""
    t = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    along = length * (1 - np.cos(t)) / 2
    across = 0.42 * slim * length * np.sin(t) * np.sqrt((1 - np.cos(t)) / 2)
    return np.stack(
        [x + along * np.cos(turn) - across * np.sin(turn), y + along * np.sin(turn) + across * np.cos(turn)], axis=1
    ).astype(np.float32)


def blob(rng: Rng, width: float, height: float, rough: float) -> Floats:
    """Uneven outline (64, 2) that stands on the ground."""
    turn = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    radius = np.ones(64)
    for k in range(2, 14):
        radius += rough / np.sqrt(k) * rng.uniform(-1, 1) * np.cos(k * turn + rng.uniform(0, 2 * np.pi))
    points = np.stack([radius * np.cos(turn) * width / 2, height / 2 * (1 + radius * np.sin(turn))], axis=1)
    return np.maximum(points, [-np.inf, 0]).astype(np.float32)


def bush(patch: Patch, rng: Rng, width: float, height: float) -> None:
    """A bush."""
    leaves = tile(TEXTURED["foliage"](rng, pick(rng, LEAVES) * 0.4, pick(rng, LEAVES)), 0.6 * width)
    shade = np.clip(0.5 + 0.7 * patch.y / height, 0.3, 1.2)
    patch.paint(blob(rng, width * 0.85, height * 0.9, 0.14), patch.surface(leaves), shade)


def stone(patch: Patch, rng: Rng, width: float, height: float) -> None:
    """A stone, rough or worn smooth."""
    first, second = pick(rng, ["8d8a83", "b3a792", "6c6f73"]), pick(rng, ["4c4a47", "5d564c"])
    surface = (plain if rng.random() < 0.5 else TEXTURED["grain"])(rng, first, second)
    shade = np.clip(0.45 + 0.7 * patch.y / height + 0.3 * rng.uniform(-1, 1) * patch.x / width, 0.2, 1.2)
    patch.paint(blob(rng, width * 0.9, height * 0.9, 0.06), patch.surface(tile(surface, width)), shade)


def trunk(patch: Patch, rng: Rng, width: float, height: float) -> None:
    """A trunk with bark or a painted post."""
    if rng.random() < 0.5:
        bark = tile(
            np.swapaxes(TEXTURED["planks"](rng, colour("3b2c20"), pick(rng, ["8a6f55", "9a9184"])), 0, 1), width * 2
        )
    else:
        bark = paint_of(rng, ["stripes"], 3 * width, homogeneous=0.8)
    patch.paint(
        box(-width / 2, 0, width / 2, height), patch.surface(bark), patch.rounded(width / 2, rng.uniform(-1, 1))
    )


def person(patch: Patch, rng: Rng, width: float, height: float) -> None:
    """A doll or a person: legs, a coat, arms, a head with hair."""
    skin, hair = (
        pick(rng, ["e0b090", "a8754f", "6b4630", "f0c8a8"]),
        pick(rng, ["2a1d15", "5a3a20", "c9a25a", "888480"]),
    )
    shade = patch.rounded(width * 0.55, rng.uniform(-1, 1))
    trousers = patch.surface(paint_of(rng, ["grain"], 0.4 * height, homogeneous=0.8))
    coat = patch.surface(paint_of(rng, ["checks", "stripes", "dots"], 0.3 * height))
    for side in (-1, 1):
        patch.paint(
            box(side * 0.2 * width - 0.14 * width, 0, side * 0.2 * width + 0.14 * width, 0.48 * height), trousers, shade
        )
        arm = [(side * 0.3, 0.78), (side * 0.42, 0.76), (side * 0.5, 0.45), (side * 0.38, 0.44)]
        patch.paint(scaled(arm, width, height), coat, shade * np.float32(0.85))
    torso = [(-0.34, 0.42), (0.34, 0.42), (0.36, 0.78), (0.14, 0.83), (-0.14, 0.83), (-0.36, 0.78)]
    patch.paint(scaled(torso, width, height), coat, shade)
    patch.paint(ellipse(0, 0.915 * height, 0.2 * width, 0.085 * height), to_linear(hair), shade)
    patch.paint(ellipse(0, 0.89 * height, 0.15 * width, 0.065 * height), to_linear(skin), shade)


def sign(patch: Patch, rng: Rng, width: float, height: float) -> None:
    """A board on a post."""
    patch.paint(box(-0.04 * width, 0, 0.04 * width, height * 0.9), to_linear(pick(rng, ["5b5e63", "6e4b2c"])))
    patch.paint(box(-width / 2, 0.5 * height, width / 2, height), to_linear(pick(rng, ["efe6d2", "2b2f36"])))
    board = paint_of(rng, ["print", "checks", "stripes"], width, homogeneous=0.35)
    patch.paint(box(-0.45 * width, 0.53 * height, 0.45 * width, 0.97 * height), patch.surface(board))
