"""Published maps found, measured and read: 255 = in focus, whatever white means in their files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.catalog.images import find_images, upright_size
from components.catalog.masks import of_numbers, read_map
from components.catalog.test_sets import TEST_SETS, is_rendered
from components.common.availability import Gap, NotAvailableError, require
from components.common.errors import InputError
from components.common.names import same_name
from components.datasets.prepared import PreparedSet
from components.scoring.external_methods import Method


@dataclass(frozen=True, eq=False)
class FoundMaps:
    """One method's maps of one test set: all there, and of sizes that may be scored."""

    method: Method
    test_set: str
    labels: PreparedSet
    rows: NDArray[np.int64]
    """Rows of the test set in `labels`, with or without a photograph."""
    paths: dict[str, Path]
    """Image id -> its map."""
    resized: int
    """Maps of another size than their label."""
    surplus: int
    """Maps of photographs that `labels` does not have."""
    numbers: bool
    """See `components.catalog.masks.of_numbers`."""

    def read(self, image: str) -> NDArray[np.uint8]:
        """The map (h, w) of an image, 255 = in focus.

        Raises:
            InputError: it cannot be read, or is in colour.
        """
        levels = read_map(self.paths[image], numbers=self.numbers).levels
        return levels if self.method.white == "in_focus" else 255 - levels


def find_maps(method: Method, test_set: str, prepared: Path) -> FoundMaps:
    """Find and measure the maps of every labelled photograph of a test set.

    Raises:
        NotAvailableError: the labels of these photographs are not there.
        InputError: a map is missing or cannot be read, or has another size than its label and may not be resized.
    """
    folder = method.folders[test_set]
    labels = open_labels(prepared / TEST_SETS[test_set].dataset, test_set)
    rows = labels.labelled(test_set)
    found = find_images(folder)
    stems = {labels.ids[row]: Path(labels.rows[row].label).stem for row in rows}
    if missing := [stem for stem in stems.values() if same_name(stem) not in found]:
        raise InputError(f"{folder}: {name_some(missing, 'map')} missing; add what is missing")
    paths = {image: found[same_name(stem)] for image, stem in stems.items()}
    resized = of_other_sizes(
        paths, {labels.ids[row]: (labels.rows[row].height, labels.rows[row].width) for row in rows}
    )
    if resized and method.resize == "none":
        raise InputError(
            f"{folder}: {name_some(resized, 'map')} of another size than the label; "
            "fetch the originals, or say in method.yaml how they are to be resized (resize: bilinear or nearest)"
        )
    surplus, numbers = len(found) - len(paths), of_numbers(paths.values())
    return FoundMaps(method, test_set, labels, rows, paths, len(resized), surplus, numbers)


def open_labels(folder: Path, test_set: str) -> PreparedSet:
    """The prepared set with the labels of a test set.

    Raises:
        NotAvailableError: it has none of them, or is a rendered stand-in.
        InputError: it is damaged.
    """
    require(folder)
    labels = PreparedSet.load(folder)
    if is_rendered(folder):
        reason = f"{folder} is a rendered stand-in, whose photographs are not those of published maps"
        raise NotAvailableError(Gap(f"labels of {test_set}", reason, "prepare the published set (presets/paper.yaml)"))
    if not len(labels.labelled(test_set)):
        reason = f"{folder} has no label of {test_set}"
        raise NotAvailableError(Gap(f"labels of {test_set}", reason, "see `dbdflow status` for how to get them"))
    return labels


def of_other_sizes(paths: dict[str, Path], sizes: dict[str, tuple[int, int]]) -> list[str]:
    """The maps that are not as high and wide as `sizes` says, in words.

    Raises:
        InputError: one cannot be read.
    """
    measured = {image: upright_size(path) for image, path in paths.items()}
    return [
        f"{paths[image].name}: {width}x{height}, label {sizes[image][1]}x{sizes[image][0]}"
        for image, (height, width) in measured.items()
        if (height, width) != sizes[image]
    ]


def name_some(things: Sequence[str], kind: str) -> str:
    """How many, and up to three of them by name: `5 maps (1, 2, 3 and 2 more)`."""
    more = f" and {len(things) - 3} more" if len(things) > 3 else ""
    return f"{len(things)} {kind}{'s' if len(things) > 1 else ''} ({', '.join(things[:3])}{more})"
