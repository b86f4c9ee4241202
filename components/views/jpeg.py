"""JPEG files for people that are known again: ours as long as nobody changed a byte."""

import hashlib
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from components.catalog.pictures import ascii_name

COMMENT = b"\xff\xfe"
"""What begins a comment in a JPEG; two bytes with its length, themselves counted, follow."""
NAME = b"dbdflow picture "
DIGITS = 64
START = 4
"""Bytes before the length of a JPEG's first segment ends: the file's mark, the segment's, and then two of length."""


def encode_jpeg(pixels: NDArray[np.uint8], quality: int, of: str = "", profile: bytes = b"") -> bytes:
    """JPEG of a picture (h, w, 3) RGB, with a comment: the sha256 of the rest, and the name of its photograph `of`."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="JPEG", quality=quality, subsampling=0, icc_profile=profile or None)
    made = buffer.getvalue()
    text = NAME + hashlib.sha256(made).hexdigest().encode() + b" " + ascii_name(of).encode()
    place = first_end(made)
    return made[:place] + COMMENT + (len(text) + 2).to_bytes(2) + text + made[place:]


def is_our_jpeg(path: Path, of: str = "") -> bool:
    """Whether a file is as `encode_jpeg` made it, of no other photograph than `of`, unchanged since."""
    try:
        found = path.read_bytes()
    except OSError:
        return False
    place = first_end(found)
    length = int.from_bytes(found[place + 2 : place + 4])
    text, rest = found[place + 4 : place + 2 + length], found[:place] + found[place + 2 + length :]
    noted, name = text[len(NAME) :][:DIGITS], text[len(NAME) + DIGITS + 1 :]
    ours = text.startswith(NAME) and noted == hashlib.sha256(rest).hexdigest().encode()
    return ours and (not of or name == ascii_name(of).encode())


def first_end(jpeg: bytes) -> int:
    """Where the first segment of a JPEG ends."""
    return START + int.from_bytes(jpeg[START : START + 2])
