"""The pictures that changed most between two revisions, by the mean absolute difference of their maps.

Maps: half floats, 1 = in focus = white.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from components.common.errors import InputError
from components.datasets.prepared import read_index
from components.maps.files import MapArchive, grey
from pipelines.changes.snapshot import PREDICTIONS, PREPARED, Snapshot
from pipelines.repo.outputs import Outputs
from pipelines.repo.remote import fetch

MAPS = (".zip",)
SIDE, GAP = 192, 6  # pixels of a panel, and between two
GROUND = (60, 105, 165)  # no map or label has this colour


@dataclass(frozen=True)
class Picture:
    """One photograph's map by one run, before and after.

    Attributes:
        run, dataset, id: whose map of which photograph of which prepared set.
        difference: mean absolute difference of the two maps, 0..1.
        strip: uint8 (h, w, 3): photograph and label where they are at hand, map before, map after, difference.
    """

    run: str
    dataset: str
    id: str
    difference: float
    strip: NDArray[np.uint8]

    @property
    def file(self) -> str:
        """A name for the strip's file."""
        words = f"{self.run}-{self.dataset}-{self.id}"
        return "".join(char if char.isalnum() or char in "-_." else "_" for char in words) + ".png"


@dataclass(frozen=True)
class Pictures:
    """Those that changed most; of how many maps that were made anew how many differ; what could not be read."""

    most: tuple[Picture, ...] = ()
    changed: int = 0
    compared: int = 0
    gaps: tuple[str, ...] = ()


def changed_most(root: Path, before: Snapshot, after: Snapshot, most: int) -> Pictures:
    """Compare the maps that both revisions have, those of outputs with another hash; strips of the first `most`."""
    paths = [path for path in after.outputs.below(PREDICTIONS) if is_other(path, before.outputs, after.outputs)]
    fetch(root, [side.outputs.outs[path] for side in (before, after) for path in paths], MAPS)
    gaps: list[str] = []
    found: list[tuple[float, Pair, str]] = []
    for path in paths:
        try:
            for pair in pairs(path, before.outputs, after.outputs):
                found += [(value, pair, each) for each, value in pair.differences()]
        except InputError as error:
            gaps.append(str(error))
    largest = sorted(found, key=lambda each: (-each[0], each[1].run, each[1].dataset, each[2]))[:most]
    strips = (Picture(pair.run, pair.dataset, each, value, strip(pair, each, after)) for value, pair, each in largest)
    return Pictures(tuple(strips), sum(value > 0 for value, _, _ in found), len(found), tuple(gaps))


def is_other(path: str, before: Outputs, after: Outputs) -> bool:
    """Whether both have an output, and not the same."""
    return path in before.outs and before.outs[path].oid != after.outs[path].oid


@dataclass(frozen=True)
class Pair:
    """One run's maps of one prepared set, in the cache, before and after."""

    run: str
    dataset: str
    before: Path
    after: Path

    def differences(self) -> Iterator[tuple[str, float]]:
        """Id and mean absolute difference, 0..1, of every map that is on both sides."""
        with MapArchive(self.before) as old, MapArchive(self.after) as new:
            for each in sorted({*old.ids()} & {*new.ids()}):
                yield each, float(difference(old[each], new[each]).mean(dtype=np.float64))


def pairs(path: str, before: Outputs, after: Outputs) -> Iterator[Pair]:
    """The archives of one output that differ, their content verified."""
    known = before.files(path)
    for name, new in after.files(path).items():
        old = known.get(name)
        if new.path.suffix in MAPS and old is not None and old.oid != new.oid:
            yield Pair(PurePosixPath(path).name, new.path.stem, old.checked(), new.checked())


def difference(old: NDArray[np.float16], new: NDArray[np.float16]) -> NDArray[np.float32]:
    """Absolute difference of two maps; one of another size is brought to that of the first."""
    first, second = old.astype(np.float32), new.astype(np.float32)
    if first.shape != second.shape:
        second = np.asarray(Image.fromarray(second).resize(first.shape[::-1], Image.Resampling.BILINEAR))
    apart: NDArray[np.float32] = np.abs(first - second)
    return apart


def strip(pair: Pair, name: str, side: Snapshot) -> NDArray[np.uint8]:
    """Photograph and label where they are at hand, map before, map after, difference (white = changed), in a row."""
    with MapArchive(pair.before) as before, MapArchive(pair.after) as after:
        old, new = before[name], after[name]
    maps = [Image.fromarray(grey(each)) for each in (old, new, difference(old, new))]
    return in_a_row([*photograph(side.outputs, pair.dataset, name), *maps])


def photograph(outputs: Outputs, dataset: str, name: str) -> list[Image.Image]:
    """A photograph of a prepared set and its label; nothing where the cache lacks them."""
    try:
        files = {file.path.name: file.place for file in outputs.files(f"{PREPARED}/{dataset}").values()}
        row = [each.id for each in read_index(files["index.csv"])].index(name)
        image, label = (np.load(files[each], mmap_mode="r")[row] for each in ("images.npy", "labels.npy"))
    except (InputError, KeyError, ValueError, OSError):
        return []
    return [Image.fromarray(np.array(image)), Image.fromarray(np.array(label) * np.uint8(255))]


def in_a_row(panels: list[Image.Image]) -> NDArray[np.uint8]:
    """Pictures side by side, each within a square of `SIDE` pixels, on blue."""
    for panel in panels:
        panel.thumbnail((SIDE, SIDE), Image.Resampling.BILINEAR)
    width = sum(panel.width for panel in panels) + GAP * (len(panels) - 1)
    ground = Image.new("RGB", (width, max(panel.height for panel in panels)), GROUND)
    left = 0
    for panel in panels:
        ground.paste(panel.convert("RGB"), (left, 0))
        left += panel.width + GAP
    return np.array(ground)
