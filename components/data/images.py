"""Photographs: found by stem, read upright as RGB, brought to network size."""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from components.errors import InputError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff"})
ORIENTATION = 0x0112
"""EXIF tag; values of 5 and above swap height and width."""


def natural_key(stem: str) -> list[tuple[int, int | str]]:
    """Sort key by which `2` comes before `10`, whatever the case of letters."""
    return [(0, int(part)) if part.isdigit() else (1, part) for part in re.split(r"(\d+)", stem.casefold()) if part]


def find_images(folder: Path, prefix: str = "") -> dict[str, Path]:
    """Images in `folder` whose stem starts with `prefix`, by case-folded stem, in natural order.

    Raises:
        InputError: the folder is missing, or two images have one stem.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; unpack the set's archives so that it lies there")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        stem = path.stem.casefold()
        if path.suffix.lower() not in SUFFIXES or path.name.startswith(".") or not stem.startswith(prefix):
            continue
        if stem in found:
            raise InputError(f"{path}: has the same stem as {found[stem].name}; keep one of the two")
        found[stem] = path
    return {stem: found[stem] for stem in sorted(found, key=natural_key)}


def _unreadable(path: Path, error: Exception) -> InputError:
    return InputError(f"{path}: not a readable image ({error}); fetch it again from its archive")


def upright_size(path: Path) -> tuple[int, int]:
    """Height and width of the image at `path` once turned upright, from its header.

    Raises:
        InputError: the file cannot be read as an image.
    """
    try:
        with Image.open(path) as image:
            swapped = image.getexif().get(ORIENTATION, 1) >= 5
            return image.size if swapped else (image.height, image.width)
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise _unreadable(path, error) from error


def open_upright(path: Path) -> Image.Image:
    """The image at `path`, decoded and turned upright as its EXIF orientation says.

    Raises:
        InputError: the file cannot be read as an image.
    """
    try:
        with Image.open(path) as image:
            return ImageOps.exif_transpose(image)
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise _unreadable(path, error) from error


def read_photograph(path: Path) -> Image.Image:
    """The photograph at `path`, upright, RGB, alpha dropped.

    Raises:
        InputError: the file cannot be read as an image.
    """
    return open_upright(path).convert("RGB")


def read_grey(path: Path) -> NDArray[np.uint8]:
    """A map or label as it lies in its file, (height, width), whatever its polarity; alpha is dropped.

    Raises:
        InputError: the file cannot be read as an image.
    """
    return np.array(open_upright(path).convert("L"))


def to_network_size(photograph: Image.Image, size: int) -> NDArray[np.uint8]:
    """(size, size, 3) uint8 RGB, anti-aliased bilinear."""
    return np.asarray(photograph.resize((size, size), Image.Resampling.BILINEAR))
