"""Recognise a set by the folders that hold it, however deep they lie, and place it in one layout.

Folders are told by the end of their path, whatever the case of letters (`.../DUT-DBD_Dataset/DUT500S-Testing`), and
by the names of the photographs in them where sets share a folder or its name.
"""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from components.catalog.images import find_images
from components.catalog.sets import DataSet, Part
from components.common.errors import InputError
from components.common.names import folders_at, same_name


@dataclass(frozen=True)
class FoundPart:
    """Where one part of a set lies; `images` is None where only its labels are there, `depth` where no maps are."""

    part: Part
    images: Path | None
    labels: Path
    depth: Path | None = None


def folders_below(roots: Iterable[Path]) -> Iterator[Path]:
    """All folders at or below `roots` that are no junk, in a fixed order; see `folders_at`."""
    return (path for root in roots for path, _ in folders_at(root))


def members(folder: Path, dataset: DataSet) -> list[Path]:
    """The images in `folder` that belong to `dataset`."""
    found = find_images(folder, dataset.stem_prefix)
    return [path for stem, path in found.items() if not stem.startswith(dataset.foreign_prefixes or "\0")]


def ending(folders: Sequence[Path], layout: str, dataset: DataSet) -> list[Path]:
    """Those of `folders` whose path ends with `layout` and that hold images of `dataset`."""
    tail = tuple(map(same_name, Path(layout).parts))
    alike = [path for path in folders if tuple(map(same_name, path.parts[-len(tail) :])) == tail]
    return [path for path in alike if members(path, dataset)]


def find_part(dataset: DataSet, part: Part, folders: Sequence[Path], labels_only: bool = False) -> FoundPart | None:
    """Where `part` lies among `folders`, None where it does not.

    `labels_only` also takes labels without photographs.

    Raises:
        InputError: it lies there twice.
    """
    for images_layout, labels_layout in part.layouts:
        images, labels = (ending(folders, layout, dataset) for layout in (images_layout, labels_layout))
        base = len(Path(images_layout).parts)
        together = [(i, k) for i, k in product(images, labels) if i.parents[base - 1] == k.parents[base - 1]]
        candidates = together or list(product(images, labels))
        if len(candidates) > 1:
            first, second = (candidates[0], candidates[1])
            other = 0 if first[0] != second[0] else 1
            raise InputError(
                f"{dataset.name}: {part.layouts[0][other]} was found twice, {first[other]} and {second[other]}; "
                "name the folder of one of them, or remove the other"
            )
        if candidates:
            beside = candidates[0][0].parents[base - 1] / dataset.depth
            depth = beside if dataset.depth and beside.is_dir() else None
            return FoundPart(part, *candidates[0], depth)
        if labels_only and len(labels) == 1:
            return FoundPart(part, None, labels[0])
    return None


def holds_any(dataset: DataSet, parts: Iterable[Part], root: Path) -> bool:
    """Whether some folder of photographs or labels of `parts` lies at or below `root`."""
    folders = list(folders_below([root]))
    layouts = {folder for part in parts for layout in part.layouts for folder in layout}
    return any(ending(folders, layout, dataset) for layout in layouts)


def find_parts(dataset: DataSet, roots: Sequence[Path], labels_only: bool = False) -> list[FoundPart]:
    """The parts of `dataset` that lie at or below `roots`.

    Raises:
        InputError: one lies there twice.
    """
    folders = list(folders_below(roots))
    found = [find_part(dataset, part, folders, labels_only) for part in dataset.parts]
    return [each for each in found if each is not None]


def place(dataset: DataSet, found: FoundPart, raw: Path, *, move: bool) -> None:
    """Copy or move the images of a part into its folders below `raw`, but for those whose stem lies there already."""
    layouts = (found.part.images, found.part.labels, dataset.depth)
    for source, layout in zip((found.images, found.labels, found.depth), layouts, strict=True):
        if source is None:
            continue
        (raw / layout).mkdir(parents=True, exist_ok=True)
        there = find_images(raw / layout)
        for path in members(source, dataset):
            if same_name(path.stem) in there:
                continue
            if move:
                path.rename(raw / layout / path.name)
            else:
                shutil.copyfile(path, raw / layout / path.name)


def describe_layouts(dataset: DataSet, parts: Iterable[Part]) -> str:
    """The folders that are looked for, in words."""
    prefix = f" with {dataset.stem_prefix}* in them" if dataset.stem_prefix else ""
    return "expected " + "; ".join(
        f"{part.name}: " + " or ".join(" and ".join(layout) for layout in part.layouts) + prefix for part in parts
    )


def seen_of(dataset: DataSet, roots: Sequence[Path]) -> str:
    """Which of the folders that a set may have lie at or below `roots`, in words; empty where none does."""
    folders = list(folders_below(roots))
    wanted = dict.fromkeys(folder for part in dataset.parts for layout in part.layouts for folder in layout)
    there = [layout for layout in wanted if ending(folders, layout, dataset)]
    return f" (there is {' and '.join(there)} alone)" if there else ""


def stems_of_maps(roots: Sequence[Path], dataset: DataSet, source: Path) -> list[str]:
    """Stems, sorted, of the one folder at or below `roots` that holds maps of photographs of `dataset` alone.

    `source` is where they come from, for messages.

    Raises:
        InputError: there is no such folder, or more than one.
    """
    every = ((each, find_images(each)) for each in folders_below(roots))
    found = {each: stems for each, stems in every if stems and all(s.startswith(dataset.stem_prefix) for s in stems)}
    if len(found) != 1:
        raise InputError(
            f"{source}: {len(found)} folders with maps named {dataset.stem_prefix}* alone, expected one; "
            "import the folder of the right one, or a list of stems, one a line"
        )
    (stems,) = found.values()
    return sorted(stems)
