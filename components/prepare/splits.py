"""Which splits a photograph belongs to: by its stem, whatever the case of letters, never by its path."""

from pathlib import Path

from components.catalog.sets import PACKAGED_LISTS, DataSet, ListedSplit, ShallowPart
from components.common.errors import InputError
from components.common.names import same_name
from components.prepare.pairs import Pair


def read_stems(path: Path) -> list[str]:
    """Stems listed in `path`, as `same_name` writes them, one a line; blank lines are skipped.

    Raises:
        InputError: it is not text.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a readable list ({error}); expected stems in UTF-8, one a line") from error
    return [same_name(line.strip()) for line in lines if line.strip()]


def listed_stems(listed: ListedSplit, raw: Path) -> frozenset[str] | None:
    """Test stems of a listed split: from the raw folder, else packaged, else unknown.

    Raises:
        InputError: the list names a photograph twice.
    """
    path = next((folder / listed.file for folder in (raw, PACKAGED_LISTS) if (folder / listed.file).exists()), None)
    if path is None:
        return None
    stems = read_stems(path)
    if len(set(stems)) != len(stems):
        twice = next(stem for stem in stems if stems.count(stem) > 1)
        raise InputError(f"{path}: {twice} is listed twice; list every test photograph of {listed.test} once")
    return frozenset(stems)


def check_listed(listed: ListedSplit, stems: frozenset[str], pairs: list[Pair], raw: Path) -> None:
    """Refuse a list with a photograph that is not there."""
    absent = sorted(stems - {pair.stem for pair in pairs})
    if absent:
        raise InputError(
            f"{raw}: {len(absent)} photographs of {listed.test} are not there, the first is {absent[0]}; "
            f"unpack the archive again, or correct {listed.file}"
        )


def shallow_stems(dataset: DataSet, shallow: ShallowPart, pairs: list[Pair], raw: Path) -> frozenset[str] | None:
    """Stems of the photographs of shallow DOF: as listed in the raw folder, else the first ones in order.

    None where there is no list and the set is not complete, so that the order says nothing.
    """
    if (raw / shallow.file).exists():
        return frozenset(read_stems(raw / shallow.file))
    if len(pairs) != sum(part.expected for part in dataset.parts):
        return None
    return frozenset(pair.stem for pair in pairs[: shallow.count])


def splits_of(dataset: DataSet, pairs: list[Pair], raw: Path, partial: bool) -> list[tuple[str, ...]]:
    """Names of the splits of every pair. A photograph on a list is of its test split, any other of its train split.

    Raises:
        InputError: a listed photograph is absent, and the set is not `partial`.
    """
    splits = [list(pair.part.splits) for pair in pairs]
    for listed in dataset.listed:
        stems = listed_stems(listed, raw)
        if stems is None:
            continue
        if not partial:
            check_listed(listed, stems, pairs, raw)
        for pair, names in zip(pairs, splits, strict=True):
            if not listed.within or listed.within in names:
                names.append(listed.test if pair.stem in stems else listed.train)
    for names, dof in zip(splits, dof_of(dataset, pairs, raw), strict=True):
        if dataset.shallow and dof == "shallow":
            names.append(dataset.shallow.split)
    return [tuple(names) for names in splits]


def dof_of(dataset: DataSet, pairs: list[Pair], raw: Path) -> list[str]:
    """`shallow` or `wide` for every pair, empty where the set does not say."""
    stems = shallow_stems(dataset, dataset.shallow, pairs, raw) if dataset.shallow else None
    if stems is None:
        return [""] * len(pairs)
    return ["shallow" if pair.stem in stems else "wide" for pair in pairs]
