"""Photographs: found by stem, read upright as RGB, brought to network size."""

import re
import unicodedata
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from components.common.errors import InputError, one_message
from components.common.names import SUFFIXES, is_junk, not_read, same_name

FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "GIF", "WEBP")
"""What Pillow may take a file for, whatever its suffix; for some others it starts another program."""
MEGAPIXELS = 512
"""Largest image that is read, unless `accept` says otherwise: a decoded pixel takes 3 bytes, and a file of a few
kilobytes may state any number of them."""
FINE = 4
"""A JPEG that is reduced while it is decoded keeps this many times the pixels that are asked for, a side."""
DARK = 4096
"""Of 65536 levels: a photograph of 16 bits that is darker everywhere fills 8, 10 or 12 of them."""
ORIENTATION = 0x0112
"""EXIF tag; values of 5 and above swap height and width."""

Image.MAX_IMAGE_PIXELS = None  # Pillow's own limit warns at a third of a phone's photograph; ours is in `opened`
_largest = [MEGAPIXELS]


def accept(megapixels: int) -> None:
    """Read images of up to so many megapixels, in this process."""
    _largest[0] = megapixels


def natural_key(stem: str) -> list[tuple[int, int | str]]:
    """Sort key by which `2` comes before `10`, whatever the case of letters."""
    parts = re.split(r"(\d+)", stem.casefold())
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in parts if part]


def find_images(folder: Path, prefix: str = "") -> dict[str, Path]:
    """Images in `folder` whose stem starts with `prefix`, by stem as `same_name` writes it, in natural order.

    Raises:
        InputError: the folder is missing, two images have one stem, or a name is no plain text.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; put the images there, or name the folder that holds them")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        stem = same_name(path.stem)
        if path.suffix.lower() not in SUFFIXES or is_junk(path.name) or not stem.startswith(prefix):
            continue
        if any(unicodedata.category(letter) in {"Cc", "Cs"} for letter in path.name):
            raise InputError(
                f"{folder}: the file name {path.name!a} holds a control character or is not UTF-8; rename the file"
            )
        if stem in found:
            raise InputError(f"{path}: has the same stem as {found[stem].name}; keep one of the two")
        found[stem] = path
    return {stem: found[stem] for stem in sorted(found, key=natural_key)}


def find_all(folder: Path, prefix: str = "") -> dict[str, Path]:
    """As `find_images`, where no photograph may be left out.

    Raises:
        InputError: see there; or one is of a format that is not read, and not there in another.
    """
    found = find_images(folder, prefix)
    for path in sorted(folder.iterdir()):
        stem = same_name(path.stem)
        if not is_junk(path.name) and stem.startswith(prefix) and stem not in found and (reason := not_read(path)):
            raise InputError(f"{path}: {reason}, or take it away")
    return found


def reading(path: Path) -> AbstractContextManager[None]:
    """Name `path` in an error of Pillow, which raises whatever its decoders stumble over.

    Raises:
        InputError: the block raised anything.
    """

    def message(error: Exception) -> str:
        unknown = isinstance(error, UnidentifiedImageError)
        if unknown and (reason := not_read(path)):
            return f"{path}: {reason}"
        what = "of no known format" if unknown else error
        return f"{path}: not a readable image ({what}); get the file again, or take it away"

    return one_message(message)


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """The image at `path`, its pixels not yet decoded.

    Raises:
        InputError: the file cannot be read as an image, now or within the block.
    """
    # Given a name and not a file, Pillow 13 maps an uncompressed TIFF into memory and turns it wrongly.
    with reading(path), path.open("rb") as file, Image.open(file, formats=FORMATS) as image:
        check_megapixels(path, image.width * image.height)
        yield image


def check_megapixels(path: Path, pixels: int) -> None:
    """Refuse an image with more pixels, as its header states them, than are read."""
    if pixels > _largest[0] * 1e6:
        raise InputError(
            f"{path}: {pixels / 1e6:.0f} megapixels, and at most {_largest[0]} are read; decoded they take "
            f"{pixels * 3 / 1e9:.1f} GB: make it smaller, or let predict read it by --max-megapixels {pixels / 1e6:.0f}"
        )


def upright_size(path: Path) -> tuple[int, int]:
    """Height and width of the image at `path` once turned upright, from its header: no pixel is decoded.

    An orientation that a PNG states behind its pixels is not seen here.

    Raises:
        InputError: the file cannot be read as an image.
    """
    with opened(path) as image:
        # The method of the base class: that of PNG decodes the pixels to look behind them. TIFF's size is upright.
        swapped = image.format != "TIFF" and Image.Image.getexif(image).get(ORIENTATION, 1) >= 5
        return image.size if swapped else (image.height, image.width)


def open_upright(path: Path) -> Image.Image:
    """The image at `path`, decoded and turned upright as its EXIF orientation says.

    Raises:
        InputError: the file cannot be read as an image.
    """
    with opened(path) as image:
        return ImageOps.exif_transpose(image)


def to_eight_bits(image: Image.Image) -> Image.Image:
    """`image` with 8 bits a channel; 0..65535 becomes 0..255, rounded. Pillow itself would clip.

    Raises:
        ValueError: it has more than 16 bits, or floating-point values.
    """
    if image.mode == "F":
        raise ValueError("floating-point pixels, expected 8 or 16 bits")
    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 65535:
        raise ValueError(f"values from {values.min()} to {values.max()}, expected at most 16 bits, 0 to 65535")
    return Image.fromarray(np.rint(values / 257).astype(np.uint8))


def is_deep(path: Path) -> bool:
    """Whether the file at `path` holds colours of 16 bits a channel."""
    with opened(path) as image:
        return any(";16" in str(tile) for tile in getattr(image, "tile", ()))


def rgb_of(path: Path, image: Image.Image) -> Image.Image:
    """The photograph `image` of the file at `path` (or, if none is there, of memory), RGB, 8 bits, alpha dropped.

    Raises:
        InputError: it has more than 16 bits or floating-point values, or fills the lowest 12 bits of 16 alone, so that
            it would be taken for black.
    """
    try:
        found, grey = to_eight_bits(image).convert("RGB"), image.mode.startswith("I")
    except ValueError as error:
        raise InputError(f"{path}: {error}; save it with 8 bits a channel") from error
    brightest = int(np.asarray(image).max()) if grey else 257 * int(np.asarray(found).max())
    if 0 < brightest < DARK and (grey or (path.is_file() and is_deep(path))):
        raise InputError(
            f"{path}: 16 bits a channel, and the brightest is {brightest} of 65535; expected the whole range: save it "
            "with 8 bits, or its values stretched"
        )
    return found


def read_photograph(path: Path) -> Image.Image:
    """The photograph at `path`, upright, RGB, alpha dropped.

    Raises:
        InputError: the file cannot be read as an image.
    """
    image = open_upright(path)
    with reading(path):
        return rgb_of(path, image)


def read_reduced(path: Path, side: int) -> tuple[Image.Image, tuple[int, int]]:
    """The photograph at `path` for a network that sees it at `side`, upright, RGB, and its full height and width.

    A large JPEG is reduced by 2, 4 or 8 while it is decoded, to no less than `FINE` times `side`: time and memory.

    Raises:
        InputError: the file cannot be read as an image.
    """
    with opened(path) as image:
        full, turned = image.size, image.getexif().get(ORIENTATION, 1) >= 5
        image.draft(image.mode, (FINE * side, FINE * side))
        reduced = image.size != full
        photograph = rgb_of(path, ImageOps.exif_transpose(image))
    if not reduced:
        return photograph, (photograph.height, photograph.width)
    return photograph, full if turned else full[::-1]


def read_grey(path: Path) -> NDArray[np.uint8]:
    """A map or label as it lies in its file, (height, width), 0..255, whatever its polarity; alpha is dropped.

    Raises:
        InputError: the file cannot be read as an image.
    """
    image = open_upright(path)
    with reading(path):
        return np.asarray(to_eight_bits(image).convert("L"))


def to_network_size(photograph: Image.Image, size: int) -> NDArray[np.uint8]:
    """(size, size, 3) uint8 RGB, anti-aliased bilinear."""
    return np.asarray(photograph.resize((size, size), Image.Resampling.BILINEAR))
