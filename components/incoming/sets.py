"""What a person brings in by hand: recognised by its layout, verified, placed in the inbox, noted in the ledger."""

import hashlib
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial as bind
from pathlib import Path

from components.acquire.archives import is_archive, is_named_so, unpack
from components.acquire.download import UNPACKED
from components.acquire.layout import FoundPart, describe_layouts, find_parts, place, seen_of, stems_of_maps
from components.acquire.sources import TE2
from components.catalog.sets import CUHK, DataSet, Part, find_set
from components.common import ledger
from components.common.cores import cores
from components.common.errors import InputError, named_as
from components.common.looks import looks_like
from components.common.names import data_below
from components.common.storage import atomic_dir, file_hash, write_whole
from components.prepare.build import in_order
from components.prepare.depths import depth_maps
from components.prepare.pairs import Pair, check_counts, expected_counts, find_pairs
from components.prepare.ready import read_label
from components.prepare.splits import read_stems


def opened(paths: Sequence[Path], scratch: Path) -> dict[Path, Path]:
    """What lies at `paths` as folders: folder -> the path it stands for; archives, also in folders, are unpacked.

    Raises:
        InputError: a path does not exist, or is a file but no archive, or an archive is refused.
    """
    roots: dict[Path, Path] = {}
    for path in paths:
        if not path.exists():
            raise InputError(f"{path}: no such file or folder; name what you downloaded or unpacked")
        if path.is_dir():
            roots[path.resolve()] = path
            archives = [file for file in data_below(path) if is_archive(file) or is_named_so(file)]
        elif is_archive(path):
            archives = [path]
        else:
            raise InputError(
                f"{path}: neither a folder nor an archive (zip, tar, 7z, rar) but {looks_like(path)}; name one of "
                "these, or get it again"
            )
        for archive in archives:
            target = scratch / str(len(roots))
            unpack(archive, target)
            roots[target] = archive
    return roots


def import_set(
    name: str,
    paths: Sequence[Path],
    inbox: Path,
    *,
    partial: bool,
    progress: Callable[[int, int], None] | None = None,
) -> str:
    """Bring in the set `name`, or parts of it, from folders or archives; what is said of it.

    Parts that were imported before stay. `partial` accepts fewer photographs than the published set has and labels
    without photographs, and adds to what was imported before. `progress(done, total)` is called after each label that
    was read.

    Raises:
        InputError: no part of the set is there, it is not complete, a photograph and its label do not match, or a
            label is no mask.
    """
    dataset = find_set(name)
    with atomic_dir(inbox / name) as folder:
        roots = opened(paths, folder / UNPACKED)
        with named_as(roots):
            found = find_parts(dataset, list(roots), labels_only=partial)
        if not found:
            layouts = describe_layouts(dataset, dataset.parts)
            raise InputError(
                f"{', '.join(map(str, paths))}: nothing of {name} in there{seen_of(dataset, list(roots))}; {layouts}"
            )
        before = find_parts(dataset, [inbox / name], labels_only=True)
        kept = [each for each in before if partial or each.part not in {new.part for new in found}]
        for each in (*found, *kept):
            place(dataset, each, folder, move=folder in each.labels.parents)
        shutil.rmtree(folder / UNPACKED, ignore_errors=True)
        with named_as(origins(dataset, folder, found) | roots | {folder: inbox / name}):
            said = verified(dataset, folder, partial, progress)
        digest = folder_hash(folder)
    ledger.record_import(inbox, name, digest)
    return said


def origins(dataset: DataSet, folder: Path, found: Sequence[FoundPart]) -> dict[Path, Path]:
    """Where the folders of a set came from."""
    places: dict[Path, Path] = {}
    for each in found:
        places[folder / each.part.labels] = each.labels
        if each.images is not None:
            places[folder / each.part.images] = each.images
        if each.depth is not None:
            places[folder / dataset.depth] = each.depth
    return places


def verified(dataset: DataSet, folder: Path, partial: bool, progress: Callable[[int, int], None] | None) -> str:
    """Check pairs, sizes, counts, labels and depth maps of an imported set; how many of them there are.

    Raises:
        InputError: they are not as they should be.
    """
    pairs = find_pairs(dataset, folder, partial)
    if not partial:
        check_counts(dataset, pairs, expected_counts(dataset, folder), folder)
    counts = [counts_of(part, [pair for pair in pairs if pair.part == part]) for part in dataset.parts]
    if dataset.depth and (folder / dataset.depth).is_dir():
        maps = depth_maps(folder / dataset.depth, pairs, partial)
        counts += [f"{dataset.depth}: {len(maps)} of {sum(pair.image is not None for pair in pairs)} maps"]
    read_as: Counter[str] = Counter()
    with closing(in_order(bind(read_label, dataset=dataset), [pair.label for pair in pairs], cores())) as labels:
        for i, label in enumerate(labels, 1):
            read_as.update([label.read_as] if label.read_as else [])
            if progress is not None:
                progress(i, len(pairs))
    return ", ".join([*counts, *(f"{count} labels: {reading}" for reading, count in sorted(read_as.items()))])


def counts_of(part: Part, pairs: Sequence[Pair]) -> str:
    """How many pairs of a part are there, and labels without a photograph."""
    alone = sum(pair.image is None for pair in pairs)
    return f"{part.name}: {len(pairs) - alone} of {part.expected} pairs" + (f", {alone} labels alone" if alone else "")


def folder_hash(folder: Path) -> str:
    """One hash over the names and bytes of all files in `folder` that are no junk."""
    files = data_below(folder)
    lines = (f"{path.relative_to(folder).as_posix()} {file_hash(path)}\n" for path in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def import_te2(path: Path, inbox: Path, *, partial: bool) -> str:
    """Bring in the list of CUHK-TE-2: a text of stems, one a line, or maps whose file names give it.

    Raises:
        InputError: there is no list, or not of 100 photographs (unless `partial`).
    """
    (listed,) = (each for each in CUHK.listed if each.file == f"{TE2}.txt")
    stems = read_list(path) if path.suffix == ".txt" else list_of_maps(path, inbox)
    if len(stems) != listed.expected and not partial:
        raise InputError(
            f"{path}: {len(stems)} photographs, expected {listed.expected}; name a whole list, or --partial"
        )
    write_whole(inbox / listed.file, "\n".join(stems) + "\n")
    ledger.record_import(inbox, TE2, file_hash(inbox / listed.file))
    return f"{len(stems)} photographs of {listed.test}"


def read_list(path: Path) -> list[str]:
    """Stems of a list, sorted; a suffix is dropped.

    Raises:
        InputError: it cannot be read, names a photograph twice, or one that is none of CUHK's.
    """
    stems = sorted(Path(name).stem for name in read_stems(path))
    for stem in stems:
        if not stem.startswith(CUHK.stem_prefix) or stems.count(stem) > 1:
            raise InputError(f"{path}: {stem!r} is listed twice, or is no photograph of CUHK; correct the list")
    return stems


def list_of_maps(path: Path, inbox: Path) -> list[str]:
    """Stems that the file names of a folder or archive of maps give."""
    with atomic_dir(inbox / ".maps") as scratch:
        roots = opened([path], scratch / UNPACKED)
        stems = stems_of_maps(list(roots), CUHK, path)
    shutil.rmtree(inbox / ".maps")
    return stems
