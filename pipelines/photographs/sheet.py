"""A sheet to look at: photograph, map, and what is in focus cut out, a row each; white = in focus."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from components.catalog.images import read_grey, read_reduced
from components.catalog.pictures import encode
from components.common.storage import atomic_path
from components.views.compose import WHITE, on_white

SIDE, GAP = 260, 6  # pixels: width of a picture, and between two


def write_sheet(path: Path, plan: Mapping[Path, Path]) -> None:
    """Write the sheet of photographs and their maps, PNG or JPEG by the suffix of `path`, whole or not at all."""
    rows = [row(photograph, found) for photograph, found in plan.items()]
    between = np.full((GAP, rows[0].shape[1], 3), WHITE, np.uint8)
    pixels = np.concatenate([part for each in rows for part in (between, each)][1:])
    with atomic_path(path) as temporary:
        if path.suffix.lower() == ".png":
            temporary.write_bytes(encode(pixels, 9))
        else:
            Image.fromarray(pixels).save(temporary, optimize=True, quality=90)


def row(photograph: Path, found: Path) -> NDArray[np.uint8]:
    """(h, 3 * SIDE + 2 * GAP, 3): photograph, map, cut-out."""
    image, (height, width) = read_reduced(photograph, SIDE)
    size = (SIDE, max(1, round(SIDE * height / width)))
    small = np.asarray(image.resize(size, Image.Resampling.LANCZOS))
    levels = np.asarray(Image.fromarray(read_grey(found)).resize(size, Image.Resampling.BOX))
    between = np.full((size[1], GAP, 3), WHITE, np.uint8)
    return np.hstack([small, between, np.dstack([levels] * 3), between, on_white(small, levels)])
