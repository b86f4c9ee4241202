"""Photographs: found by stem, read upright as RGB, brought to network size."""

import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from components.errors import InputError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff"})
FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "GIF", "WEBP")
"""What Pillow may take a file for, whatever its suffix; for some others it starts another program."""
ORIENTATION = 0x0112
"""EXIF tag; values of 5 and above swap height and width."""


def natural_key(stem: str) -> list[tuple[int, int | str]]:
    """Sort key by which `2` comes before `10`, whatever the case of letters."""
    parts = re.split(r"(\d+)", stem.casefold())
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in parts if part]


def find_images(folder: Path, prefix: str = "") -> dict[str, Path]:
    """Images in `folder` whose stem starts with `prefix`, by case-folded stem, in natural order.

    Raises:
        InputError: the folder is missing, two images have one stem, or a name is no plain text.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; unpack the set's archives so that it lies there")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        stem = path.stem.casefold()
        if path.suffix.lower() not in SUFFIXES or path.name.startswith(".") or not stem.startswith(prefix):
            continue
        if any(unicodedata.category(letter) in {"Cc", "Cs"} for letter in path.name):
            raise InputError(
                f"{folder}: the file name {path.name!a} holds a control character or is not UTF-8; rename the file"
            )
        if stem in found:
            raise InputError(f"{path}: has the same stem as {found[stem].name}; keep one of the two")
        found[stem] = path
    return {stem: found[stem] for stem in sorted(found, key=natural_key)}


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Name `path` in an error of Pillow, which raises whatever its decoders stumble over.

    Raises:
        InputError: the block raised anything.
    """
    try:
        yield
    except Exception as error:
        what = "of no known format" if isinstance(error, UnidentifiedImageError) else error
        raise InputError(f"{path}: not a readable image ({what}); fetch it again from its archive") from error


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """The image at `path`, its pixels not yet decoded.

    Raises:
        InputError: the file cannot be read as an image, now or within the block.
    """
    # Given a name and not a file, Pillow 13 maps an uncompressed TIFF into memory and turns it wrongly.
    with reading(path), path.open("rb") as file, Image.open(file, formats=FORMATS) as image:
        yield image


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


def read_photograph(path: Path) -> Image.Image:
    """The photograph at `path`, upright, RGB, alpha dropped.

    Raises:
        InputError: the file cannot be read as an image.
    """
    image = open_upright(path)
    with reading(path):
        return to_eight_bits(image).convert("RGB")


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
