"""A set's raw folder: rendered, or copied from archives that somebody has unpacked."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from components.data.catalog import DataSet, find_set
from components.data.images import find_images
from components.data.miniature import RenderSettings, render_set
from components.errors import InputError
from components.storage import atomic_dir


def where_to_get(dataset: DataSet) -> str:
    """What is published where, and the layout to unpack it to."""
    sources = "; ".join(f"{source.what}: {source.url}" for source in dataset.sources)
    folders = ", ".join(folder for part in dataset.parts for folder in (part.images, part.labels))
    return (
        f"{dataset.title}. {sources or 'No archive is published: ask its authors'}. "
        f"Unpack it anywhere below the archives folder, so that these folders are there: {folders}"
    )


def folders_below(archives: Path) -> Iterator[Path]:
    """`archives` and all folders below it, in a fixed order."""
    for root, names, _ in os.walk(archives):
        names.sort()
        yield Path(root)


def locate(dataset: DataSet, layout: str, archives: Path) -> Path:
    """The folder below `archives` whose path ends with `layout` and that holds images of the set.

    Raises:
        InputError: there is none, or more than one.
    """
    tail = Path(layout).parts
    ending = [path for path in folders_below(archives) if path.parts[-len(tail) :] == tail]
    found = [path for path in ending if find_images(path, dataset.stem_prefix)]
    if not found:
        raise InputError(f"{archives}: no folder {layout} with images of {dataset.name}. {where_to_get(dataset)}")
    if len(found) > 1:
        raise InputError(f"{archives}: {layout} was found twice, {found[0]} and {found[1]}; remove one of them")
    return found[0]


def copy_archives(name: str, archives: Path, raw: Path) -> None:
    """Copy the unpacked set `name` from below `archives` to `raw`, with lists of splits that lie in `archives`.

    Raises:
        InputError: a folder of the set is not there; says where the set is published.
    """
    dataset = find_set(name)
    if not archives.is_dir():
        raise InputError(f"{archives}: no such folder. {where_to_get(dataset)}")
    layouts = [layout for part in dataset.parts for layout in (part.images, part.labels)]
    sources = {layout: locate(dataset, layout, archives) for layout in layouts}
    lists = [listed.file for listed in dataset.listed] + ([dataset.shallow.file] if dataset.shallow else [])
    with atomic_dir(raw) as folder:
        for layout, source in sources.items():
            (folder / layout).mkdir(parents=True)
            for path in find_images(source, dataset.stem_prefix).values():
                shutil.copyfile(path, folder / layout / path.name)
        for file in lists:
            if (archives / file).exists():
                shutil.copyfile(archives / file, folder / file)


def download_set(
    name: str, raw: Path, *, source: Literal["rendered", "archives"], archives: Path, settings: RenderSettings
) -> None:
    """Fill the raw folder of the set `name`: rendered with `settings`, or copied from below `archives`.

    Raises:
        InputError: the archives are not there.
    """
    if source == "rendered":
        render_set(name, raw, settings)
    else:
        copy_archives(name, archives, raw)
