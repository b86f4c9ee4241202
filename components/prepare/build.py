"""From a set's raw folder to its prepared one: what every later stage reads (see `components.datasets.prepared`).

1. Pair photographs and labels by stem, whatever the case of letters and the suffix.
2. Check counts and sizes before anything is decoded.
3. Make every label canonical (1 = in focus), bring photographs, labels and depth to network size, on threads.
4. Say what was found in `validation.json`.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial as bind
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from components.catalog.sets import RENDERED, DataSet, find_set
from components.common.cores import cores
from components.common.storage import atomic_dir, write_json
from components.datasets.prepared import IndexRow, npy_head, write_index
from components.prepare.depths import depth_files
from components.prepare.near_duplicates import FLIPS
from components.prepare.pairs import Pair, check_counts, expected_counts, find_pairs, unlabelled
from components.prepare.ready import Ready, Traits, make_ready
from components.prepare.splits import dof_of, splits_of
from components.prepare.validation import Findings, describe, read_as

INDEX, VALIDATION = "index.csv", "validation.json"


@dataclass(frozen=True)
class Column:
    """One array of a prepared set, a `.npy` file: its values of each row come from `of`."""

    name: str
    dtype: type[np.generic]
    shape: tuple[int, ...]
    of: Callable[[Ready], NDArray[Any] | None]


def columns(rows: list[IndexRow], size: int, large_size: int, with_depth: bool) -> Iterator[Column]:
    """The arrays of a prepared set."""
    count, packed = len(rows), sum(row.packed_bytes for row in rows)
    yield Column("images", np.uint8, (count, size, size, 3), lambda ready: ready.image)
    yield Column("labels", np.uint8, (count, size, size), lambda ready: ready.label)
    yield Column("labels_full", np.uint8, (packed,), lambda ready: ready.packed)
    yield Column("hashes", np.uint64, (count, len(FLIPS), 2), lambda ready: ready.traits.hashes)
    if with_depth:
        yield Column("depth", np.float16, (count, size, size), lambda ready: ready.depth)
    if large_size:
        yield Column("large", np.uint8, (count, large_size, large_size, 3), lambda ready: ready.large)
        yield Column("labels_large", np.uint8, (count, large_size, large_size), lambda ready: ready.label_large)


def holds_others(folder: Path) -> bool:
    """Whether a folder, which need not be there, holds what no prepared set does, or no index of one."""
    arrays = columns([], 1, 1, with_depth=True)
    known = {INDEX, VALIDATION, *(f"{each.name}.npy" for each in arrays)}
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    return bool(names) and (INDEX not in names or not names <= known)


def write_arrays(folder: Path, arrays: Iterable[Column], results: Iterable[Ready]) -> Iterator[Ready]:
    """Write the arrays of a prepared set one row at a time; yields each result once it is written."""
    with ExitStack() as stack:
        files = [(each, stack.enter_context((folder / f"{each.name}.npy").open("wb"))) for each in arrays]
        for each, file in files:
            file.write(npy_head(np.dtype(each.dtype), each.shape))
        for ready in results:
            for each, file in files:
                values = each.of(ready)
                assert values is not None, each.name
                file.write(values.tobytes())
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
    large_size: int = 0,
    partial: bool = False,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, int]:
    """Prepare the set `name` from its raw folder into `out`, whole or not at all.

    `partial` allows photographs to be missing: labels without one are kept as such, photographs without a label are
    left out. The result is the same for any number of `workers` (threads; by default one a core).
    `progress(done, total)` is called after each pair. Photographs and labels at `large_size`, if not 0, lie beside
    those at `image_size` where the set has a training split.

    Returns:
        What labels were taken for, where that needs saying (see `Mask`), and how many were.

    Raises:
        InputError: a folder is missing, photographs and labels do not match, or a file is unreadable.
    """
    dataset, workers = find_set(name), workers or cores()
    pairs, expected = find_pairs(dataset, raw, partial), expected_counts(dataset, raw)
    if not partial:
        check_counts(dataset, pairs, expected, raw)
    depths, large_size = depth_files(dataset, pairs, raw, partial), large_size if dataset.trains else 0
    rows = index_rows(dataset, pairs, raw, partial)
    alone = [path.relative_to(raw).as_posix() for path in unlabelled(dataset, raw)]
    traits: list[Traits] = []
    make = bind(make_ready, dataset=dataset, size=image_size, large_size=large_size, depths=depths)
    ready_in_order = in_order(make, pairs, workers)
    with atomic_dir(out) as folder, closing(ready_in_order) as results:
        arrays = columns(rows, image_size, large_size, depths is not None)
        for i, ready in enumerate(write_arrays(folder, arrays, results)):
            found = ready.traits
            rows[i] = replace(rows[i], in_focus=found.in_focus, height=found.height, width=found.width)
            traits.append(found)
            if progress is not None:
                progress(i + 1, len(rows))
        findings = Findings(dataset, pairs, rows, traits, alone, expected, (raw / RENDERED).exists())
        write_index(folder / INDEX, rows)
        write_json(folder / VALIDATION, describe(findings))
    return read_as(findings)


Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 8
"""Results for each worker that may wait for their turn; bounds the memory."""


def in_order(work: Callable[[Item], Result], items: Iterable[Item], threads: int) -> Generator[Result, None, None]:
    """Results of `work` in the order of `items`, a few ahead of where they are used, on threads.

    Close it where it may be left early.
    """
    queue = iter(items)
    pool = ThreadPoolExecutor(threads)
    try:
        pending = deque(pool.submit(work, item) for item in islice(queue, threads * AHEAD))
        while pending:
            yield pending.popleft().result()
            pending.extend(pool.submit(work, item) for item in islice(queue, 1))
    finally:
        pool.shutdown(cancel_futures=True)
