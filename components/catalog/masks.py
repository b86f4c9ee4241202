"""Masks and maps as people have them: of any depth, palette or pair of values, read to what they mean.

A mask names two classes, so two values name them, whatever they are: 0 and 1, 0 and 127, 0 and 65535, two colours of a
palette; the greater (brighter) is white. What is in doubt is refused or said, never guessed in silence.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from components.catalog.images import is_deep, open_upright, reading, to_eight_bits
from components.common.errors import InputError

GREY = (26, 229)
"""Darkest and brightest level of 0..255 that is neither black nor white: between 10 % and 90 %."""
ONE_GREY = 0.03
"""Share of pixels of one grey, where there is no other, beyond which it is no edge but a class."""
COLOURED = (32, 0.01)
"""Levels that a pixel's channels lie apart, and the share of such pixels, beyond which a map is in colour."""
APART = 26
"""Levels of 255 that two values must lie apart to be two classes, unless the lesser is 0."""
FULL = {"b1": 1, "u1": 255, "u2": 65535, "i4": 65535, "f4": 1}
"""White, by how pixels are held: NumPy's kind and bytes."""
ALL_BLACK = "all black"

Values = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Map:
    """A map at its own size.

    Attributes:
        levels: uint8 (h, w), 255 = white.
        read_as: what it was taken for, where that needs saying: `values 0 and 1, 1 is white`.
    """

    levels: NDArray[np.uint8]
    read_as: str


@dataclass(frozen=True, eq=False)
class Mask:
    """A mask at its own size.

    Attributes:
        white: bool (h, w).
        grey: fraction of pixels that were neither black nor white.
        read_as: what it was taken for, where that needs saying: `values 0 and 1, 1 is white`, `all black`.
    """

    white: NDArray[np.bool_]
    grey: float
    read_as: str


def read_mask(path: Path, grey_tolerance: float) -> Mask:
    """The mask at `path`: two values are black and white; more are cut at half.

    Args:
        path: PNG, TIFF, BMP, JPEG …, of 1, 8, 16 or 32 bits, grey, coloured or with a palette.
        grey_tolerance: largest fraction of pixels between 10 % and 90 % of white, where there are more than two values.

    Raises:
        InputError: it cannot be read, is drawn in its transparency alone, or is neither of two values nor black and
            white within the tolerance.
    """
    image = read_levels(path)
    values = np.asarray(image)
    found, full = np.unique(values), FULL[values.dtype.kind + str(values.dtype.itemsize)]
    if not np.isfinite(found).all() or found[0] < 0:
        raise InputError(f"{path}: {counted(found)}; expected values from 0, all of them numbers: save it as 0 and 255")
    if len(found) == 2 and (note := two(found, full)) is not None:
        return Mask(values == found[1], 0.0, note)
    levels = eight_bits(path, image)
    grey = float(((levels >= GREY[0]) & (levels <= GREY[1])).mean())
    brightest = levels.max()
    if 0 < brightest < GREY[0]:
        raise InputError(
            f"{path}: {counted(found)}, the brightest {brightest / 255:.1%} of white; expected black and white "
            f"(0 and {full}), or any two values: rescale it"
        )
    dark = float(((values > 0) & (levels < GREY[0])).mean())
    middle = np.unique(levels[(levels >= GREY[0]) & (levels <= GREY[1])])
    if len(middle) == 1 and ONE_GREY < grey < 1:
        raise InputError(
            f"{path}: {counted(found)}, and {grey:.1%} of its pixels have the one grey {middle[0]}: a third class, or "
            "undecided? Expected two values: make these pixels black or white"
        )
    numbers = found[found < (full if grey else GREY[0] * full / 255)]  # as 0 and 1 are beside 255 or 254
    if len(numbers) > 1 and np.array_equal(numbers, np.arange(len(numbers))) and dark > grey_tolerance:
        raise InputError(
            f"{path}: {counted(found)}, {dark:.1%} of its pixels darker than 10 % of white and yet not 0; are these "
            "numbers of classes? Save it as black and white (0 and 255)"
        )
    if grey > grey_tolerance:
        raise InputError(
            f"{path}: {counted(found)}, and {grey:.1%} of its pixels are neither black nor white; expected two values, "
            f"or at most {grey_tolerance:.0%}: is it a mask, and not a photograph or a map?"
        )
    return Mask(levels >= 128, grey, "" if brightest else ALL_BLACK)


def two(found: Values, full: float) -> str | None:
    """What is said of two values, of which the greater is white; None where they are too near each other to say."""
    low, high = (float(each) * 255 / full for each in found)
    if low > 0 and high - low < APART:
        return None
    plain = low < GREY[0] and high > GREY[1]
    return "" if plain else f"values {found[0]:g} and {found[1]:g}, {found[1]:g} is white"


def counted(found: Values) -> str:
    """The values in words: `3 values (0, 1, 255)`."""
    some = ", ".join(f"{each:g}" for each in found[:4])
    return f"{len(found)} value{'s' if len(found) > 1 else ''} ({some}{', …' if len(found) > 4 else ''})"


def of_numbers(paths: Iterable[Path]) -> bool:
    """Whether maps, all of those that belong together, hold 0 and 1 alone, so that 1 is white.

    Raises:
        InputError: see `read_levels`.
    """
    return all(np.asarray(read_levels(path)).max() <= 1 for path in paths)


def read_map(path: Path, *, numbers: bool) -> Map:
    """The map at `path`, grey; one of 0 and 1 is a mask whose 1 is white, if `numbers` (see `of_numbers`).

    Raises:
        InputError: it cannot be read, is in colour, is drawn in its transparency alone, or fills the lowest 8 of 16
            bits.
    """
    image = read_bands(path)
    if image.mode == "RGB" and is_coloured(image):
        raise InputError(f"{path}: in colour, as a heat map is; expected grey levels: save it without a colour scale")
    image = greyed(image)
    values = np.asarray(image)
    if numbers and values.max() == 1 and values.dtype.kind in "iu" and values.min() == 0:
        return Map(values.astype(np.uint8) * np.uint8(255), "values 0 and 1, 1 is white")
    if values.dtype.itemsize > 1 and values.dtype.kind in "iu" and 0 < values.max() <= 255:
        raise InputError(
            f"{path}: 16 bits a pixel, and the brightest is {values.max()} of 65535; expected 0 to 65535, or a file "
            "of 8 bits: save it as one of them"
        )
    return Map(eight_bits(path, image), "")


def eight_bits(path: Path, image: Image.Image) -> NDArray[np.uint8]:
    """Levels (h, w), 0..255, of an image of one band.

    Raises:
        InputError: it has floats or more than 16 bits.
    """
    try:
        return np.asarray(to_eight_bits(image).convert("L"))
    except ValueError as error:
        raise InputError(f"{path}: {error}; save it with one of these") from error


def is_coloured(image: Image.Image) -> bool:
    """Whether more than a few pixels of an RGB image are of no grey."""
    values = np.asarray(image)
    apart, share = COLOURED
    return bool((values.max(axis=2).astype(int) - values.min(axis=2) > apart).mean() > share)


def read_levels(path: Path) -> Image.Image:
    """The image at `path` with one band, in its own depth: colours greyed; for the rest see `read_bands`."""
    return greyed(read_bands(path))


def greyed(image: Image.Image) -> Image.Image:
    return image.convert("L") if image.mode == "RGB" else image


def read_bands(path: Path) -> Image.Image:
    """The image at `path` as RGB or with one band, in its own depth: palettes resolved, transparency dropped.

    Raises:
        InputError: it cannot be read, or its colour is the same everywhere and its transparency is not.
    """
    image = open_upright(path)
    with reading(path):
        if image.mode in {"P", "PA"}:
            image = image.convert("RGBA" if image.has_transparency_data else "RGB")
        if "A" in image.getbands():
            alpha, image = image.getchannel("A"), image.convert("L" if image.mode == "LA" else "RGB")
            drawn = is_flat(image) and not is_flat(alpha)
        else:
            drawn = False
            image = image if len(image.getbands()) == 1 else image.convert("RGB")
    if drawn:
        raise InputError(
            f"{path}: one colour everywhere, and the picture is in its transparency alone; flatten it onto black, so "
            "that white and black are colours, and save it without an alpha channel"
        )
    if is_flat(image) and is_deep(path):
        raise InputError(
            f"{path}: colours of 16 bits a channel, of which the upper 8 are read, and they are the same everywhere; "
            "save it as grey, or with 8 bits a channel"
        )
    return image


def is_flat(image: Image.Image) -> bool:
    """Whether all pixels are the same."""
    extrema = image.getextrema()
    bands = extrema if isinstance(extrema[0], tuple) else (extrema,)
    return all(low == high for low, high in bands)
