"""Scenes that were photographed twice: wide (f/16) and shallow (f/1.8), as EBB! has them."""

from dataclasses import dataclass
from pathlib import Path

from components.catalog.images import find_images
from components.common.errors import InputError

LAYOUTS = (("wide", "shallow"), ("original", "bokeh"))
"""Folders of the wide and the shallow photographs; the second pair is EBB!'s own."""


@dataclass(frozen=True)
class ScenePair:
    """Two photographs of one scene."""

    stem: str
    wide: Path
    shallow: Path


def find_scenes(folder: Path) -> list[ScenePair]:
    """The pairs of a folder, in natural order of their stems; suffixes and the case of letters may differ.

    Raises:
        InputError: no such folders, nothing in them, or a photograph without its partner.
    """
    for layout in LAYOUTS:
        wide, shallow = (folder / name for name in layout)
        if wide.is_dir() and shallow.is_dir():
            return paired(wide, shallow)
    layouts = " or ".join(f"{wide}/ and {shallow}/" for wide, shallow in LAYOUTS)
    raise InputError(f"{folder}: expected the folders {layouts} in it, with one name for both photographs of a scene")


def paired(wide: Path, shallow: Path) -> list[ScenePair]:
    """The pairs of two folders.

    Raises:
        InputError: a photograph has no partner, or there are none.
    """
    sharp, blurred = find_images(wide), find_images(shallow)
    if alone := sorted(sharp.keys() ^ blurred.keys()):
        where = wide if alone[0] in blurred else shallow
        raise InputError(
            f"{where}: no photograph named {alone[0]!r} ({len(alone)} without a partner in {wide} and {shallow}); "
            "add what is missing, or take its partner away"
        )
    if not sharp:
        raise InputError(f"{wide}: no photographs in it; expected one for each in {shallow}")
    return [ScenePair(blurred[stem].stem, sharp[stem], blurred[stem]) for stem in blurred]
