"""What the miniature's scenes are made of: things with their sizes, and the surfaces of three kinds of place."""

from dataclasses import dataclass

from components.render import cutouts
from components.render.cutouts import Thing

THINGS = {
    "ball": Thing(cutouts.ball, 0.18, 0.20),
    "bottle": Thing(cutouts.bottle, 0.13, 0.38),
    "mug": Thing(cutouts.mug, 0.24, 0.19),
    "crate": Thing(cutouts.crate, 0.28, 0.34),
    "flower": Thing(cutouts.flower, 0.24, 0.46),
    "bush": Thing(cutouts.bush, 0.55, 0.48),
    "stone": Thing(cutouts.stone, 0.36, 0.22),
    "trunk": Thing(cutouts.trunk, 0.13, 1.60),
    "person": Thing(cutouts.person, 0.22, 0.56),
    "sign": Thing(cutouts.sign, 0.32, 0.55),
}


@dataclass(frozen=True)
class Style:
    """What a kind of scene is made of; surfaces are (pattern, first colour, second colour)."""

    subjects: tuple[str, ...]
    others: tuple[str, ...]
    grounds: tuple[tuple[str, str, str], ...]
    walls: tuple[tuple[str, str, str], ...]
    wall_distance: tuple[float, float]
    """Of the wall, as a multiple of the subject's distance."""
    open_air: float
    """Probability of sky above the wall."""
    lights: float
    """Probability of small bright lights before the wall."""


TABLE = Style(
    subjects=("ball", "bottle", "mug", "crate", "flower"),
    others=("ball", "bottle", "mug", "crate", "ball"),
    grounds=(
        ("planks", "7a5230", "b98a58"),
        ("planks", "4a3526", "7d5f45"),
        ("checks", "e9e2d5", "a8483e"),
        ("plain", "cfc8ba", "b9b0a0"),
        ("plain", "5d6b73", "4d5a61"),
        ("dots", "dfe5e6", "4f7c8c"),
    ),
    walls=(
        ("plain", "d8cfbf", "c2b49c"),
        ("plain", "7f99a3", "6b8590"),
        ("plain", "3d3a40", "2c2a2e"),
        ("stripes", "d9cdb6", "b79f7c"),
        ("bricks", "9a5a44", "c9bcae"),
        ("planks", "6b4a34", "8f6b4d"),
        ("print", "e6dfd0", "6a4b3c"),
    ),
    wall_distance=(1.4, 4.0),
    open_air=0.0,
    lights=0.25,
)
GARDEN = Style(
    subjects=("flower", "flower", "bush", "stone", "trunk", "person"),
    others=("flower", "bush", "stone", "trunk", "flower"),
    grounds=(
        ("foliage", "2c4a1c", "86a84a"),
        ("foliage", "4b4a22", "a9a45c"),
        ("grain", "6b4f35", "93795a"),
        ("plain", "7f9a4e", "6f8a44"),
        ("plain", "d9c79e", "cbb688"),
    ),
    walls=(
        ("foliage", "1d3318", "5f8a3c"),
        ("foliage", "31401f", "9aa658"),
        ("foliage", "23402f", "74a37c"),
        ("planks", "5c4632", "8a6d50"),
        ("plain", "5d7d4a", "4d6a3d"),
    ),
    wall_distance=(2.0, 10.0),
    open_air=0.5,
    lights=0.3,
)
STREET = Style(
    subjects=("person", "person", "sign", "crate", "trunk"),
    others=("person", "sign", "trunk", "crate", "bush"),
    grounds=(
        ("bricks", "8d8780", "5f5a55"),
        ("bricks", "a78c74", "6e5d50"),
        ("plain", "77797b", "6a6c6e"),
        ("plain", "b5ada1", "a39b8f"),
        ("grain", "5d5f61", "8b8d8e"),
    ),
    walls=(
        ("bricks", "9c5b45", "cbbfb2"),
        ("bricks", "c7a878", "8f7552"),
        ("plain", "d6b98a", "c9a974"),
        ("plain", "b9c3c6", "a8b3b7"),
        ("checks", "c9cdd0", "3f4b57"),
        ("stripes", "b7b0a6", "5a6670"),
    ),
    wall_distance=(1.8, 8.0),
    open_air=0.6,
    lights=0.35,
)
STYLES = (TABLE, GARDEN, STREET)
SKIES = (("5b8fc7", "d4e4f0"), ("9fb4c4", "e6ebee"), ("6f7f95", "f0c9a0"), ("c9d0d6", "e3e6e8"))
