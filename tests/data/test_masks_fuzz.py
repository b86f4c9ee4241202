"""300 masks drawn by a seed: of any size, depth, pair of values, palette, transparency and form of name.

Each scores as what it means against its own truth, or is refused by one line that names it.
"""

import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from components.common.errors import InputError
from pipelines.commands.score import pictures, read_pairs

CASES = 300
NAMES = ("a", "IMG 0001", "café", "Ångström", "ﬁg", "日本", "x.y", "-v", "Straße", "i̇stanbul")
Bools = NDArray[np.bool_]


def draw_truth(rng: np.random.Generator) -> Bools:
    """(h, w) with a block of the one class in the other; both are there."""
    height, width = rng.integers(2, 40, 2)
    truth = np.zeros((height, width), bool)
    top, left = rng.integers(0, height - 1), rng.integers(0, width - 1)
    truth[top : top + rng.integers(1, height - top), left : left + rng.integers(1, width - left)] = True
    return truth


def eight(rng: np.random.Generator, truth: Bools) -> tuple[Image.Image, bool]:
    low, high = sorted(rng.choice([0, 0, 1, 2, 30, 60, 127, 128, 200, 254, 255], 2, replace=False).tolist())
    clear = low == 0 or high - low >= 26
    flat = clear or high >= 230  # all of it white: one class, which is not this truth
    return Image.fromarray(np.where(truth, high, low).astype(np.uint8)), clear and flat and low != high


def sixteen(rng: np.random.Generator, truth: Bools) -> tuple[Image.Image, bool]:
    high = int(rng.choice([1, 2, 255, 256, 4095, 32768, 65535]))
    return Image.fromarray(np.where(truth, high, 0).astype(np.uint16)), True


def palette(rng: np.random.Generator, truth: Bools) -> tuple[Image.Image, bool]:
    """Two entries of a palette, the brighter one where the truth is."""
    colours = rng.integers(0, 256, (2, 3))
    colours[0] //= 3
    colours[1] = 128 + colours[1] // 2
    image = Image.new("P", truth.shape[::-1])
    first = int(rng.integers(0, 2))  # the brighter entry may come first
    image.putpalette(colours[:: -1 if first else 1].ravel().tolist() + [9] * 762)
    image.putdata(np.where(truth, 1 - first, first).ravel().tolist())
    return image, True


def coloured(rng: np.random.Generator, truth: Bools) -> tuple[Image.Image, bool]:
    white = np.where(truth, 255, 0).astype(np.uint8)
    alpha = rng.choice([0, 255], truth.shape).astype(np.uint8)
    both = Image.merge("LA", [Image.fromarray(white), Image.fromarray(alpha)])
    return both.convert(str(rng.choice(["L", "1", "LA", "RGB", "RGBA"]))), True


def transparent(rng: np.random.Generator, truth: Bools) -> tuple[Image.Image, bool]:
    white = Image.fromarray(np.where(truth, 255, 0).astype(np.uint8))
    flat = Image.new("L", white.size, int(rng.integers(0, 256)))
    return Image.merge("LA", [flat, white]).convert(str(rng.choice(["LA", "RGBA"]))), False


def many(rng: np.random.Generator, truth: Bools) -> tuple[Image.Image, bool]:
    """Noise: more grey than any set's labels have."""
    values = rng.integers(27, 229, truth.shape)
    values.ravel()[:3] = 0, 100, 255
    return Image.fromarray(values.astype(np.uint8)), False


KINDS = {each.__name__: each for each in (eight, sixteen, palette, coloured, transparent, many)}


def written(folder: Path, number: int) -> tuple[Bools, bool, str]:
    """A map that is the truth, and a mask of it under a name that looks the same; whether it can be read, and kind."""
    rng = np.random.default_rng(number)
    truth = draw_truth(rng)
    kind = str(rng.choice(list(KINDS)))
    image, readable = KINDS[kind](rng, truth)
    name = str(rng.choice(NAMES))
    forms = (unicodedata.normalize(str(form), name) for form in rng.choice(["NFC", "NFD"], 2))
    for part, form in zip(("maps", "labels"), forms, strict=True):
        (folder / part).mkdir(parents=True)
        shown = Image.fromarray(np.where(truth, 255, 0).astype(np.uint8)) if part == "maps" else image
        shown.save(folder / part / f"{form}{rng.choice(['.png', '.PNG', '.tif'])}")
    return truth, readable and (kind != "many" or truth.size <= 3), kind


def outcome(folder: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]] | str:
    """Map (255 = in focus) and label (1 = in focus) of the one pair, or the line that refuses it."""
    maps, labels = (pictures(folder / part) for part in ("maps", "labels"))
    assert maps.keys() == labels.keys()
    try:
        ((_, found, label),) = read_pairs(maps, labels, "focus", "focus", Counter())
    except InputError as error:
        return str(error).replace(f"{next(iter(labels.values()))}: ", "refused: ", 1)
    return found, label


@pytest.mark.parametrize("start", range(0, CASES, 50))
def test_masks_are_read_to_what_they_mean_or_refused(tmp_path: Path, start: int) -> None:
    for number in range(start, start + 50):
        truth, readable, kind = written(tmp_path / str(number), number)
        found = outcome(tmp_path / str(number))
        if isinstance(found, str):
            assert found.startswith("refused: "), (number, kind, found)
            assert not readable, (number, kind, found)
            assert "\n" not in found, (number, kind, found)
        else:
            assert np.array_equal(found[0] == 255, truth), (number, kind)
            assert np.array_equal(found[1] == 1, truth) == readable, (number, kind)
