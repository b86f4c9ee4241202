"""Pictures of the gallery, beside the page: one file a photograph, which holds it, its label and every method's map.

`gallery/<set>/<row>.jpg` is a column of square tiles: photograph, label, then the methods' maps. A browser loads one
file for each card that comes into view, whatever methods are shown on it, and DVC hashes one file a photograph instead
of one a map. benchmarks/REPORT.md has what this and the alternatives cost. White = in focus, in labels and maps.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from components.common.cores import cores
from components.datasets.prepared import PreparedSet
from components.maps.files import MapArchive, grey
from components.report.records import RunRecord

SIDE = 320
"""Pixels of a tile's side at most; the page stretches it to the photograph's shape."""
OWN = 2
"""Tiles that come before the maps: the photograph and its label."""
QUALITY = 82
MISSING = 128
"""Grey of a tile for which a method has no map."""


@dataclass(frozen=True)
class Photographs:
    """The test photographs of one prepared set: its rows in order, and the runs that have maps of them."""

    prepared: PreparedSet
    rows: tuple[int, ...]
    runs: tuple[str, ...]

    @property
    def side(self) -> int:
        """Pixels of a tile's side."""
        return min(SIDE, int(self.prepared.images.shape[1]))


def tile(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """A photograph or map as a square tile, (side, side, 3), by area."""
    small = pixels
    if pixels.shape[:2] != (side, side):
        small = cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA)
    return small if small.ndim == 3 else np.repeat(small[..., None], 3, axis=2)


def sheet(photographs: Photographs, row: int, maps: Sequence[NDArray[np.uint8] | None]) -> NDArray[np.uint8]:
    """The tiles of one photograph as a column, (tiles * side, side, 3)."""
    prepared, side = photographs.prepared, photographs.side
    label = np.array(prepared.labels[row]) * np.uint8(255)
    tiles = [tile(np.array(prepared.images[row]), side), tile(label, side)]
    blank = np.full((side, side, 3), MISSING, np.uint8)
    tiles += [blank if each is None else tile(each, side) for each in maps]
    return np.concatenate(tiles)


def write_sheets(folder: Path, photographs: Photographs, predictions: Path) -> Iterator[int]:
    """Write a set's sheets into `folder/<set>`, as many at once as there are cores; yield each row written."""
    prepared = photographs.prepared
    target = folder / prepared.name
    target.mkdir(parents=True)
    with ExitStack() as stack, ThreadPoolExecutor(cores()) as pool:
        archives = [
            stack.enter_context(MapArchive(predictions / run / f"{prepared.name}.zip")) for run in photographs.runs
        ]
        known = [set(archive.ids()) for archive in archives]

        def write(row: int) -> int:
            name = prepared.rows[row].id
            maps = [grey(archive[name]) if name in ids else None for archive, ids in zip(archives, known, strict=True)]
            picture = Image.fromarray(sheet(photographs, row, maps))
            picture.save(target / f"{row}.jpg", "jpeg", quality=QUALITY)
            return row

        yield from pool.map(write, photographs.rows)


def photographs_of(sets: Sequence[PreparedSet], predictions: Path, records: Sequence[RunRecord]) -> list[Photographs]:
    """The sets that have test photographs and maps of some run, with the runs in the order of `records`."""
    found = []
    for prepared in sets:
        runs = [each.run for each in records if (predictions / each.run / f"{prepared.name}.zip").is_file()]
        rows = [int(row) for row in prepared.test_rows()] if prepared.test_splits() else []
        if rows and runs:
            found.append(Photographs(prepared, tuple(rows), tuple(runs)))
    return found
