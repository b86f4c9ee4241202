"""Depth of photographs, as inverse depth: in 1/m where it was rendered, else relative, from maps of any network's.

A set's raw folder may hold `depth/`: below it either `<photographs>/<stem>.npy` (rendered: float16, metres), or
`<stem>.png` (a grey PNG of 8 or 16 bits and any size: relative inverse depth, nearer = brighter).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from components.catalog.images import find_images, open_upright, opened, reading
from components.catalog.sets import RENDERED, DataSet
from components.common.errors import InputError
from components.prepare.pairs import Pair

DEPTH = "depth"
"""In a set's raw folder."""
GREY = ("L", "I", "I;16", "I;16B")
"""Pillow's modes of a grey PNG of 8 or 16 bits."""


def depth_files(dataset: DataSet, pairs: Sequence[Pair], raw: Path, partial: bool) -> dict[str, Path] | None:
    """Where the depth of each photograph lies (see `depth_maps`), by the pair's id; None where the set has no depth."""
    if (raw / DEPTH).is_dir() and (raw / RENDERED).exists():
        images = {pair.id: pair.image.relative_to(raw) for pair in pairs if pair.image is not None}
        return {name: raw / DEPTH / image.with_suffix(".npy") for name, image in images.items()}
    return depth_maps(raw / dataset.depth, pairs, partial) if dataset.depth and (raw / dataset.depth).is_dir() else None


def depth_maps(folder: Path, pairs: Sequence[Pair], partial: bool) -> dict[str, Path]:
    """The depth map of each photograph in `folder`, by the pair's id; each is a grey PNG.

    Raises:
        InputError: a map is none, or (unless `partial`) a photograph has none.
    """
    maps = find_images(folder)
    stems = {pair.stem: pair.id for pair in pairs if pair.image is not None}
    absent = [stem for stem in stems if stem not in maps]
    if absent and not partial:
        raise InputError(
            f"{folder}: {len(absent)} of {len(stems)} photographs have no depth map, the first is {absent[0]}; "
            f"add {absent[0]}.png, or leave the folder {folder.name} out"
        )
    found = {name: maps[stem] for stem, name in stems.items() if stem in maps}
    for path in found.values():
        check_grey(path)
    return found


def check_grey(path: Path) -> None:
    """Refuse, by its header, a depth map that is no grey PNG."""
    with opened(path) as image:
        found = f"{image.format} of mode {image.mode}"
        grey = image.format == "PNG" and image.mode in GREY
    if not grey:
        raise InputError(
            f"{path}: {found}, expected a grey PNG of 8 or 16 bits: relative inverse depth, nearer = brighter"
        )


def read_depth(path: Path | None, size: int) -> NDArray[np.float16]:
    """Inverse depth (size, size); 0 where there is no file.

    Raises:
        InputError: it is damaged, or missing.
    """
    if path is None:
        return np.zeros((size, size), np.float16)
    return read_metres(path, size) if path.suffix == ".npy" else read_relative(path, size)


def read_metres(path: Path, size: int) -> NDArray[np.float16]:
    """Inverse depth (size, size) in 1/m of a rendered photograph, nearest neighbour.

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        depth = np.load(path)
    except (ValueError, EOFError, OSError) as error:
        raise InputError(f"{path}: cannot be read ({error}); render the set again with `dvc repro download`") from error
    rows, columns = (((np.arange(size) + 0.5) * length / size).astype(int) for length in depth.shape)
    return np.asarray(1 / depth[rows[:, None], columns[None, :]].astype(np.float32), dtype=np.float16)


def read_relative(path: Path, size: int) -> NDArray[np.float16]:
    """Relative inverse depth (size, size) of a map, 0..1 from its smallest to its largest value, antialiased bilinear.

    A map of one value gives 0.

    Raises:
        InputError: it cannot be read, or is no grey PNG.
    """
    check_grey(path)
    image = open_upright(path)
    with reading(path):
        values = np.asarray(image, dtype=np.float32)
        low, high = float(values.min()), float(values.max())
        scaled = Image.fromarray((values - low) / max(high - low, 1.0))
        return np.asarray(scaled.resize((size, size), Image.Resampling.BILINEAR), dtype=np.float16)
