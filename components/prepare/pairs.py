"""Photographs and their labels, matched by stem, counted and measured before anything is decoded."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from components.catalog.images import find_all, find_images, upright_size
from components.catalog.sets import RENDERED, DataSet, Part
from components.common.availability import require
from components.common.errors import InputError
from components.common.storage import read_json


@dataclass(frozen=True)
class Pair:
    """A photograph and its label, or a label alone."""

    id: str
    stem: str
    """As `components.common.names.same_name` writes it."""
    part: Part
    image: Path | None
    """None for a label whose photograph is not there."""
    label: Path
    height: int
    width: int
    """Pixels, of both, upright, as far as their headers tell."""


def _name(paths: Iterable[Path]) -> str:
    """Up to three of the paths, and how many more."""
    listed = [str(path) for path in paths]
    more = f" and {len(listed) - 3} more" if len(listed) > 3 else ""
    return ", ".join(listed[:3]) + more


def parts_there(dataset: DataSet, raw: Path) -> list[Part]:
    """The parts of which at least one folder is there."""
    return [part for part in dataset.parts if (raw / part.images).is_dir() or (raw / part.labels).is_dir()]


def find_pairs(dataset: DataSet, raw: Path, partial: bool) -> list[Pair]:
    """All pairs of a set, part by part; whole parts may be absent.

    Where the set is `partial`, a label without a photograph is a pair without one, and a photograph without a label
    is left out (see `unlabelled`).

    Raises:
        NotAvailableError: the set could not be had.
        InputError: a folder is missing, or photographs and labels do not match.
    """
    require(raw)
    if not raw.is_dir():
        raise InputError(f"{raw}: no such folder; fetch {dataset.title} with `dvc repro download`")
    pairs = [pair for part in parts_there(dataset, raw) for pair in pair_part(dataset, part, raw, partial)]
    if not pairs:
        raise InputError(f"{raw}: no photographs of {dataset.title}; unpack its archives there")
    return pairs


def part_images(dataset: DataSet, part: Part, raw: Path, partial: bool) -> dict[str, Path]:
    """Photographs of one part by stem; none where the set is `partial` and their folder is missing.

    Raises:
        InputError: the folder is missing, or two photographs have one stem.
    """
    folder = raw / part.images
    return {} if partial and not folder.is_dir() else find_all(folder, dataset.stem_prefix)


def unlabelled(dataset: DataSet, raw: Path) -> list[Path]:
    """Photographs without a label, which a partial set leaves out."""
    alone = []
    for part in parts_there(dataset, raw):
        images, labels = part_images(dataset, part, raw, True), find_images(raw / part.labels, dataset.stem_prefix)
        alone += [path for stem, path in images.items() if stem not in labels]
    return alone


def pair_part(dataset: DataSet, part: Part, raw: Path, partial: bool) -> list[Pair]:
    """Pairs of one part, in natural order of their stems.

    Raises:
        InputError: the two differ in size, or (unless `partial`) a photograph has no label, or a label no photograph.
    """
    images = part_images(dataset, part, raw, partial)
    labels = find_all(raw / part.labels, dataset.stem_prefix)
    for found, other, folder in ((images, labels, part.labels), (labels, images, part.images)):
        alone = [found[stem] for stem in found if stem not in other]
        if alone and not partial:
            what = "label" if found is images else "photograph"
            raise InputError(f"{_name(alone)}: no {what} of the same stem in {raw / folder}; add it or remove these")
    return [measured_pair(dataset, part, stem, images.get(stem), labels[stem]) for stem in labels]


def measured_pair(dataset: DataSet, part: Part, stem: str, image: Path | None, label: Path) -> Pair:
    """The pair of `image` and `label`.

    Raises:
        InputError: one of them cannot be read, or they differ in size.
    """
    size = upright_size(label)
    if image is not None:
        check_sizes(image, upright_size(image), label, size)
    pair_id = f"{part.name}-{stem}" if len(dataset.parts) > 1 else stem
    return Pair(pair_id, stem, part, image, label, *size)


def check_sizes(image: Path, image_size: tuple[int, ...], label: Path, label_size: tuple[int, ...]) -> None:
    """Refuse a photograph and a label whose (height, width) differ."""
    if image_size != label_size:
        raise InputError(
            f"{image}: {image_size[1]}x{image_size[0]} pixels, but its label {label} has "
            f"{label_size[1]}x{label_size[0]}; both must be of one size: replace the wrong one"
        )


def check_counts(dataset: DataSet, pairs: list[Pair], expected: dict[str, int], raw: Path) -> None:
    """Refuse a part that is there with another number of pairs than its archive, or the stand-in, should hold."""
    for part in parts_there(dataset, raw):
        found = sum(pair.part == part for pair in pairs)
        if found != expected[part.name]:
            raise InputError(
                f"{raw / part.images}: {found} photographs, expected {expected[part.name]}; "
                "unpack the archive again, or prepare the set as a partial one"
            )


def expected_counts(dataset: DataSet, raw: Path) -> dict[str, int]:
    """Pairs that each part should hold: as published, or as rendered."""
    if (raw / RENDERED).exists():
        return {name: int(count) for name, count in read_json(raw / RENDERED)["counts"].items()}
    return {part.name: part.expected for part in dataset.parts}
