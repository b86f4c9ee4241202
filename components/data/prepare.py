"""From a set's raw folder to its prepared one: what every later stage reads (see `components.data.prepared`).

1. Pair photographs and labels by stem, whatever the case of letters and the suffix.
2. Check counts and sizes before anything is decoded.
3. Make every label canonical (1 = in focus), bring photographs and labels to network size, on threads.
4. Say what was found in `validation.json`.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial as bind
from pathlib import Path
from typing import BinaryIO

import numpy as np

from components.cores import cores
from components.data.catalog import RENDERED, DataSet, find_set
from components.data.near_duplicates import FLIPS
from components.data.pairs import Pair, check_counts, expected_counts, find_pairs, unlabelled
from components.data.prepared import IndexRow, write_index
from components.data.ready import Ready, Traits, make_ready
from components.data.splits import dof_of, splits_of
from components.data.validation import Findings, describe
from components.data.workers import in_order
from components.storage import atomic_dir, write_json


def start_array(file: BinaryIO, dtype: type[np.generic], shape: tuple[int, ...]) -> None:
    """Write the head of a `.npy` file; its values follow in order, so that a full disk is an error and no signal."""
    head = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, head)


def write_arrays(
    folder: Path, rows: list[IndexRow], results: Iterable[Ready], size: int, rendered: bool
) -> Iterator[Ready]:
    """Write the arrays of a prepared set one row at a time; yields each result once it is written."""
    count, packed = len(rows), sum(row.packed_bytes for row in rows)
    with ExitStack() as stack:
        names = ("images.npy", "labels.npy", "labels_full.npy", "hashes.npy")
        images, labels, full, hashes = (stack.enter_context((folder / name).open("wb")) for name in names)
        start_array(images, np.uint8, (count, size, size, 3))
        start_array(labels, np.uint8, (count, size, size))
        start_array(full, np.uint8, (packed,))
        start_array(hashes, np.uint64, (count, len(FLIPS), 2))
        depth = stack.enter_context((folder / "depth.npy").open("wb")) if rendered else None
        if depth is not None:
            start_array(depth, np.float16, (count, size, size))
        for _, ready in zip(rows, results, strict=True):
            images.write(ready.image.tobytes())
            labels.write(ready.label.tobytes())
            full.write(ready.packed.tobytes())
            hashes.write(ready.traits.hashes.tobytes())
            if depth is not None and ready.depth is not None:
                depth.write(ready.depth.tobytes())
            yield ready


def index_rows(dataset: DataSet, pairs: list[Pair], raw: Path, partial: bool) -> list[IndexRow]:
    """Lines of the index, the focused fraction still unknown (0).

    Raises:
        InputError: a photograph that a split lists is absent.
    """
    rows: list[IndexRow] = []
    offset = 0
    splits, dofs = splits_of(dataset, pairs, raw, partial), dof_of(dataset, pairs, raw)
    for pair, names, dof in zip(pairs, splits, dofs, strict=True):
        image, label = ("" if path is None else path.relative_to(raw).as_posix() for path in (pair.image, pair.label))
        rows.append(IndexRow(pair.id, image, label, pair.height, pair.width, offset, dof, names, in_focus=0.0))
        offset += rows[-1].packed_bytes
    return rows


def prepare_set(
    name: str,
    raw: Path,
    out: Path,
    *,
    image_size: int,
    partial: bool = False,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Prepare the set `name` from its raw folder into `out`, whole or not at all.

    `partial` allows photographs to be missing: labels without one are kept as such, photographs without a label are
    left out. The result is the same for any number of `workers` (threads; by default one a core).
    `progress(done, total)` is called after each pair.

    Raises:
        InputError: a folder is missing, photographs and labels do not match, or a file is unreadable.
    """
    dataset, workers = find_set(name), workers or cores()
    pairs, expected = find_pairs(dataset, raw, partial), expected_counts(dataset, raw)
    if not partial:
        check_counts(dataset, pairs, expected, raw)
    rows = index_rows(dataset, pairs, raw, partial)
    alone = [path.relative_to(raw).as_posix() for path in unlabelled(dataset, raw)]
    traits: list[Traits] = []
    ready_in_order = in_order(bind(make_ready, dataset=dataset, raw=raw, size=image_size), pairs, workers)
    with atomic_dir(out) as folder, closing(ready_in_order) as results:
        for i, ready in enumerate(write_arrays(folder, rows, results, image_size, (raw / "depth").is_dir())):
            found = ready.traits
            rows[i] = replace(rows[i], in_focus=found.in_focus, height=found.height, width=found.width)
            traits.append(found)
            if progress is not None:
                progress(i + 1, len(rows))
        findings = Findings(dataset, pairs, rows, traits, alone, expected, (raw / RENDERED).exists())
        write_index(folder / "index.csv", rows)
        write_json(folder / "validation.json", describe(findings))
