"""Pictures that are written for people, PNG files that are known again: ours as long as nobody changed a pixel."""

import hashlib
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from components.catalog.images import opened
from components.common.errors import InputError

MADE_BY = "dbdflow map"
"""Key of a text in the files of `encode`: the sha256 of the pixels, which tells ours from what a person made of it."""


def encode_map(values: NDArray[np.uint8]) -> bytes:
    """PNG of one map for people, (h, w), 255 = in focus."""
    assert values.ndim == 2
    return encode(values, 1)


def encode(values: NDArray[np.uint8], level: int) -> bytes:
    """PNG of a picture, (h, w) or (h, w, 3), compressed at `level` 1 (fast) to 9."""
    assert values.dtype == np.uint8
    notes = PngInfo()
    notes.add_text(MADE_BY, hashlib.sha256(values.tobytes()).hexdigest())
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, format="PNG", compress_level=level, pnginfo=notes)
    return buffer.getvalue()


def is_ours(path: Path) -> bool:
    """Whether a file is a picture as `encode` made it, and nobody has changed it since."""
    try:
        with opened(path) as image:
            noted = image.info.get(MADE_BY)
            return noted is not None and noted == hashlib.sha256(image.tobytes()).hexdigest()
    except InputError:
        return False
