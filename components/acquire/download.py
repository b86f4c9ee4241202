"""A set's raw folder: rendered, or from what its user imported and its authors publish.

The inbox holds what came in: `<set>/` as imported, archives as fetched, and the ledger. What lies there is taken
first; the rest is fetched, in the order of `components.acquire.sources`.
"""

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

from components.acquire.archives import unpack
from components.acquire.layout import FoundPart, describe_layouts, find_parts, holds_any, place, stems_of_maps
from components.acquire.obtain import Inbox, by_hand, obtained, way_out
from components.acquire.sources import BY_HAND, MAPS, SET_ARCHIVES, TE2, TE2_MAPS
from components.catalog.sets import CUHK, DataSet, find_set
from components.common.availability import Gap, NotAvailableError
from components.common.errors import InputError
from components.common.storage import atomic_dir

log = logging.getLogger(__name__)

UNPACKED = ".unpacked"
"""In a folder while it is being filled."""


def fetch_set(name: str, raw: Path, inbox: Inbox) -> None:
    """Fill the raw folder of the set `name`, whole or not at all; parts that cannot be had are left out.

    Raises:
        NotAvailableError: no part of it is there, and there is no address to ask or it is among `without`.
        InputError: what was fetched is not what it should be, or no address answers.
    """
    dataset = find_set(name)
    imported = find_parts(dataset, [inbox.folder / name], labels_only=True)
    with atomic_dir(raw) as folder:
        for part in imported:
            place(dataset, part, folder, move=False)
        for part in fetched_parts(dataset, imported, folder / UNPACKED, inbox):
            place(dataset, part, folder, move=True)
        shutil.rmtree(folder / UNPACKED, ignore_errors=True)
        if not any(folder.iterdir()):
            raise NotAvailableError(nothing_of(dataset, inbox.without))
        for file in [each.file for each in (*dataset.listed, dataset.shallow) if each]:
            if (inbox.folder / file).exists():
                shutil.copyfile(inbox.folder / file, folder / file)
        if dataset is CUHK and not (folder / f"{TE2}.txt").exists():
            te2_from_maps(folder, inbox)


def nothing_of(dataset: DataSet, without: Sequence[str]) -> Gap:
    """Why nothing of a set is there."""
    places = "; ".join(f"{part}: {where}" for part, where in BY_HAND.get(dataset.name, {}).items())
    if dataset.name in without:
        remedy = f"take it out there, or {by_hand(dataset.name)}"
        return Gap(dataset.title, f"{dataset.name} is among `download.without`, and nothing was imported", remedy)
    return Gap(dataset.title, f"it cannot be fetched without a person ({places})", by_hand(dataset.name))


def fetched_parts(dataset: DataSet, imported: Sequence[FoundPart], unpacked: Path, inbox: Inbox) -> list[FoundPart]:
    """The parts of a set that were not imported, fetched and unpacked below `unpacked`.

    Raises:
        InputError: the archives do not hold the part that they should.
    """
    lacking = [part for part in dataset.parts if part not in {each.part for each in imported}]
    wanted = [part for part in lacking if part.name not in BY_HAND.get(dataset.name, {})]
    if not wanted or dataset.name in inbox.without:
        return []

    def in_megabytes(done: int, total: int) -> None:
        inbox.progress(round(done / 1e6, 1), total / 1e6, "MB unpacked")

    for archive in SET_ARCHIVES[dataset.name]:
        with obtained(archive, dataset.name, inbox) as path:
            unpack(path, unpacked / archive.name, progress=in_megabytes)
            if not holds_any(dataset, wanted, unpacked / archive.name):
                raise InputError(f"{path}: no folder of {dataset.name} inside; {describe_layouts(dataset, wanted)}")
    found = [each for each in find_parts(dataset, [unpacked]) if each.part in wanted]
    if absent := [part for part in wanted if part not in {each.part for each in found}]:
        files = ", ".join(str(inbox.folder / archive.file) for archive in SET_ARCHIVES[dataset.name])
        raise InputError(
            f"{files}: a folder of {dataset.name} is not inside ({describe_layouts(dataset, absent)}); "
            f"delete the file, and {way_out(dataset.name)}"
        )
    return found


def te2_from_maps(raw: Path, inbox: Inbox) -> None:
    """Write the list of CUHK-TE-2 from the file names of the authors' maps; without it, say so and go on."""
    try:
        with obtained(MAPS[TE2_MAPS], TE2, inbox) as path:
            unpack(path, raw / UNPACKED)
            stems = stems_of_maps([raw / UNPACKED], CUHK, path)
        (raw / f"{TE2}.txt").write_text("\n".join(stems) + "\n", encoding="utf-8")
    except InputError as error:
        log.warning("CUHK-TE-2 and CUHK-TR-2 stay empty: %s", error)
    finally:
        shutil.rmtree(raw / UNPACKED, ignore_errors=True)
