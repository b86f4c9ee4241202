"""Pictures that are written for people, PNG files that are known again: ours as long as nobody changed a pixel."""

import hashlib
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from components.catalog.images import opened
from components.catalog.masks import is_coloured
from components.common.errors import InputError

MADE_BY = "dbdflow map"
"""Key of a text in the files of `encode`: the sha256 of the pixels, which tells ours from what a person made of it."""


OF = "dbdflow photograph"
"""Key of a text in the files of `encode_map`: the name of the photograph that a map is of."""


def encode_map(values: NDArray[np.uint8 | np.uint16], of: str = "") -> bytes:
    """PNG of one map for people, (h, w), 255 (of 16 bits: 65535) = in focus; `of` is its photograph's name."""
    assert values.ndim == 2
    return encode(values, 1, of)


def encode(values: NDArray[np.uint8 | np.uint16], level: int, of: str = "", profile: bytes = b"") -> bytes:
    """PNG of a picture, compressed at `level` 1 (fast) to 9.

    Args:
        values: (h, w), 8 or 16 bits; (h, w, 3) RGB; or (h, w, 4) RGBA.
        level: of the compression.
        of: see `encode_map`.
        profile: ICC profile of the colours; empty for none.
    """
    assert values.dtype in (np.uint8, np.uint16)
    notes = PngInfo()
    notes.add_text(MADE_BY, hashlib.sha256(values.tobytes()).hexdigest())
    if of:
        notes.add_itxt(OF, ascii_name(of))
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, format="PNG", compress_level=level, pnginfo=notes, icc_profile=profile or None)
    return buffer.getvalue()


def ascii_name(name: str) -> str:
    """A file's name in ASCII, whatever its bytes."""
    return name.encode("ascii", "backslashreplace").decode()


def is_ours(path: Path, of: str = "") -> bool:
    """Whether a file is a picture as `encode` made it, of no other photograph than `of`, unchanged since."""
    try:
        with opened(path) as image:
            noted, photograph = image.info.get(MADE_BY), image.info.get(OF, "")
            if of and photograph not in {"", ascii_name(of)}:
                return False
            return noted is not None and noted == hashlib.sha256(image.tobytes()).hexdigest()
    except InputError:
        return False


def is_photograph(path: Path) -> bool:
    """Whether a file is a picture in colour, which no map is."""
    try:
        with opened(path) as image:
            return is_coloured(image.convert("RGB"))
    except InputError:
        return False
