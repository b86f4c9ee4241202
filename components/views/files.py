"""Which pictures may be made of a photograph beside its map, where each lies, and how it is encoded.

Throughout, a photograph is uint8 (H, W, 3) RGB and its map uint8 (H, W), 255 = in focus, 0 = out of focus.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ImageOps

from components.catalog.images import opened, rgb_of
from components.catalog.pictures import encode, is_ours
from components.views.compose import background_blurred, cut_out, overlay
from components.views.jpeg import encode_jpeg, is_our_jpeg

Pixels = NDArray[np.uint8]
QUALITY = 92
"""Of JPEGs at a photograph's size."""
BLUR = 0.012
"""Sigma of the Gaussian that blurs a background, as a share of the photograph's longer side."""
SIDE, SMALL_QUALITY = 320, 80
"""Longer side of a thumbnail, pixels, and its JPEG's quality."""
OURS = ".predict"
"""Folder beside the maps for what no person opens by hand."""
THUMBNAIL = "thumbnail"


@dataclass(frozen=True)
class View:
    """A kind of picture of a photograph and its map.

    Attributes:
        folder: where it lies, beside the maps.
        suffix: of its file, which has the photograph's stem.
        encode: the file, of the photograph, its map, its name, and the ICC profile of its colours.
    """

    folder: str
    suffix: str
    encode: Callable[[Pixels, Pixels, str, bytes], bytes]


def encode_blurred(photograph: Pixels, levels: Pixels, of: str, profile: bytes) -> bytes:
    """The photograph, its background blurred further, as JPEG."""
    sigma = BLUR * max(levels.shape)
    return encode_jpeg(background_blurred(photograph, levels, sigma), QUALITY, of, profile)


def encode_thumbnail(photograph: Pixels, levels: Pixels, of: str, profile: bytes) -> bytes:
    """JPEG of the photograph and, on its right, its map, each at most `SIDE` a side."""
    height, width = levels.shape
    scale = min(1.0, SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small, beside = (cv2.resize(each, size, interpolation=cv2.INTER_AREA) for each in (photograph, levels))
    return encode_jpeg(np.hstack([small, np.dstack([beside] * 3)]), SMALL_QUALITY, of, profile)


VIEWS = {
    "overlay": View("overlay", ".jpg", lambda photo, levels, *of: encode_jpeg(overlay(photo, levels), QUALITY, *of)),
    "cut-out": View("cut-out", ".png", lambda photo, levels, *of: encode(cut_out(photo, levels), 1, *of)),
    "blur": View("blur", ".jpg", encode_blurred),
    THUMBNAIL: View(f"{OURS}/thumbnails", ".jpg", encode_thumbnail),
}


def places_of(stem: str, out: Path, views: Iterable[str]) -> dict[str, Path]:
    """Where the files of a photograph of this stem go, in the folder for the maps: its map, called so, and views."""
    places = {name: out / VIEWS[name].folder / f"{stem}{VIEWS[name].suffix}" for name in views}
    return {"map": out / f"{stem}.png"} | places


def read_coloured(path: Path) -> tuple[Pixels, bytes]:
    """The photograph at `path`, upright, at its size, and the ICC profile of its colours, empty where none fits RGB.

    Raises:
        InputError: the file cannot be read as an image.
    """
    with opened(path) as image:
        profile = image.info.get("icc_profile") or b""
        fits = image.mode in {"RGB", "RGBA"} and profile[16:20] == b"RGB "
        return np.asarray(rgb_of(path, ImageOps.exif_transpose(image))), profile if fits else b""


def is_made(path: Path, of: str) -> bool:
    """Whether a file is a map or a view of the photograph called `of`, as it was made here, unchanged since."""
    return is_our_jpeg(path, of) if path.suffix == ".jpg" else is_ours(path, of)
