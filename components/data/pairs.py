"""Photographs and their labels, matched by stem, counted and measured before anything is decoded."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from components.data.catalog import RENDERED, DataSet, Part
from components.data.images import find_images, upright_size
from components.errors import InputError
from components.storage import read_json


@dataclass(frozen=True)
class Pair:
    """A photograph and its label."""

    id: str
    stem: str
    """Case-folded."""
    part: Part
    image: Path
    label: Path
    height: int
    width: int
    """Pixels, of both, upright."""


def _name(paths: Iterable[Path]) -> str:
    """Up to three of the paths, and how many more."""
    listed = [str(path) for path in paths]
    more = f" and {len(listed) - 3} more" if len(listed) > 3 else ""
    return ", ".join(listed[:3]) + more


def find_pairs(dataset: DataSet, raw: Path, partial: bool) -> list[Pair]:
    """All pairs of a set, part by part; a `partial` set may lack whole parts.

    Raises:
        InputError: a folder is missing, or photographs and labels do not match.
    """
    if not raw.is_dir():
        raise InputError(f"{raw}: no such folder; fetch {dataset.title} with `dvc repro download`")
    there = [part for part in dataset.parts if not partial or (raw / part.images).is_dir()]
    pairs = [pair for part in there for pair in pair_part(dataset, part, raw)]
    if not pairs:
        raise InputError(f"{raw}: no photographs of {dataset.title}; unpack its archives there")
    return pairs


def pair_part(dataset: DataSet, part: Part, raw: Path) -> list[Pair]:
    """Pairs of one part, in natural order of their stems.

    Raises:
        InputError: a photograph has no label, a label no photograph, or the two differ in size.
    """
    images = find_images(raw / part.images, dataset.stem_prefix)
    labels = find_images(raw / part.labels, dataset.stem_prefix)
    for found, other, folder in ((images, labels, part.labels), (labels, images, part.images)):
        alone = [found[stem] for stem in found if stem not in other]
        if alone:
            what = "photograph" if found is labels else "label"
            raise InputError(f"{_name(alone)}: no {what} of the same stem in {raw / folder}; add it or remove these")
    return [measured_pair(dataset, part, stem, images[stem], labels[stem]) for stem in images]


def measured_pair(dataset: DataSet, part: Part, stem: str, image: Path, label: Path) -> Pair:
    """The pair of `image` and `label`.

    Raises:
        InputError: one of them cannot be read, or they differ in size.
    """
    size, label_size = upright_size(image), upright_size(label)
    if size != label_size:
        raise InputError(
            f"{image}: {size[1]}x{size[0]} pixels, but its label {label} has {label_size[1]}x{label_size[0]}; "
            "both must be of one size: replace the wrong one"
        )
    pair_id = f"{part.name}-{stem}" if len(dataset.parts) > 1 else stem
    return Pair(pair_id, stem, part, image, label, *size)


def check_counts(dataset: DataSet, pairs: list[Pair], expected: dict[str, int], raw: Path) -> None:
    """Compare the number of pairs of each part with what the archive, or the rendered stand-in, should hold.

    Raises:
        InputError: a number differs.
    """
    for part in dataset.parts:
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
