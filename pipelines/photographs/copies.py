"""Copies of the photographs of which enough is in focus: `dbdflow predict --sharper-than SHARE --copy-to FOLDER`."""

import filecmp
import os
import shutil
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from components.common.errors import InputError
from components.common.names import RAW
from components.common.storage import atomic_path
from pipelines.photographs.rows import Row
from pipelines.system.places import check_folder


@dataclass
class Copied:
    """What became of the photographs that were chosen.

    Attributes:
        new: copied now.
        there: the same photograph was there.
        refused: not copied, each with the reason.
    """

    new: list[Path] = field(default_factory=list)
    there: list[Path] = field(default_factory=list)
    refused: dict[Path, str] = field(default_factory=dict)


def check_copies(folder: Path, out: Path, photographs: Iterable[Path]) -> None:
    """Refuse a folder for copies that cannot be one.

    Raises:
        InputError: it cannot be written to, the maps go there, or photographs lie there.
    """
    check_folder(folder)
    if folder.resolve() == out.resolve():
        raise InputError(f"--copy-to {folder}: the maps go there; name another folder")
    if folder.resolve() in {path.resolve().parent for path in photographs}:
        raise InputError(f"--copy-to {folder}: photographs that were named lie there; name another folder")


def chosen(rows: Mapping[Path, Row], share: float) -> list[Path]:
    """Photographs of whose pixels at least this share is in focus."""
    return [path for path, row in rows.items() if row.values["in_focus"] >= share]


def copy_all(photographs: Collection[Path], folder: Path) -> Copied:
    """Copy photographs, and a camera's raw files beside them, to a folder; nothing there is written over.

    Raises:
        InputError: no room.
    """
    copied = Copied()
    for photograph in photographs:
        for path in (photograph, *raws(photograph)):
            try:
                (copied.new if copy(path, folder / path.name) else copied.there).append(path)
            except OSError as error:
                copied.refused[path] = error.strerror or str(error)
    return copied


def raws(photograph: Path) -> list[Path]:
    """A camera's raw files of the photograph's name, beside it."""
    names = [photograph.with_suffix(suffix) for each in RAW.split() for suffix in (each, each.upper())]
    return [path for path in names if path.is_file()]


def copy(source: Path, target: Path) -> bool:
    """Copy a file, whole, with its time; False where the same is there.

    Raises:
        FileExistsError: another one is there.
        InputError: no room.
    """
    if target.is_file() and filecmp.cmp(source, target, shallow=False):
        return False
    with atomic_path(target) as temporary:
        shutil.copy2(source, temporary)
        if os.path.lexists(target):
            raise FileExistsError(0, f"another file is at {target}, and stays")
    return True
