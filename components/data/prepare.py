"""From a set's raw folder to its prepared one: what every later stage reads (see `components.data.prepared`).

1. Pair photographs and labels by stem, whatever the case of letters and the suffix.
2. Check counts and sizes before anything is decoded.
3. Make every label canonical (1 = in focus), bring photographs and labels to network size.
4. Say what was found in `validation.json`.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial as bind
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from components.data.catalog import DataSet, find_set
from components.data.images import read_photograph, to_network_size
from components.data.labels import nearest, read_label
from components.data.pairs import Pair, check_counts, expected_counts, find_pairs
from components.data.prepared import IndexRow, write_index
from components.data.splits import dof_of, splits_of
from components.data.validation import describe
from components.errors import InputError
from components.storage import atomic_dir, write_json

WORKERS = 2
AHEAD = 16
"""Photographs decoded before they are written; bounds the memory."""


@dataclass(frozen=True, eq=False)
class Ready:
    """One pair as it goes into the prepared set; S is the network size."""

    image: NDArray[np.uint8]
    """(S, S, 3)."""
    label: NDArray[np.uint8]
    """(S, S), 1 = in focus."""
    packed: NDArray[np.uint8]
    """Bits of the full-size label."""
    depth: NDArray[np.float16] | None
    """(S, S) metres; rendered sets only."""
    in_focus: float
    grey: float
    """Fractions of the full-size label."""


def read_depth(path: Path, size: int) -> NDArray[np.float16]:
    """Distances (size, size) in metres of a rendered photograph, nearest neighbour.

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        depth = np.load(path)
    except (ValueError, EOFError, OSError) as error:
        raise InputError(f"{path}: cannot be read ({error}); render the set again with `dvc repro download`") from error
    rows, columns = (((np.arange(size) + 0.5) * length / size).astype(int) for length in depth.shape)
    return np.asarray(depth[rows[:, None], columns[None, :]], dtype=np.float16)


def make_ready(pair: Pair, dataset: DataSet, raw: Path, size: int) -> Ready:
    """Decode one pair and bring it to network size.

    Raises:
        InputError: a file cannot be read, or the label is not binary.
    """
    label = read_label(pair.label, dataset)
    depth = raw / "depth" / pair.image.relative_to(raw).with_suffix(".npy")
    return Ready(
        image=to_network_size(read_photograph(pair.image), size),
        label=nearest(label.in_focus, size),
        packed=np.packbits(label.in_focus),
        depth=read_depth(depth, size) if (raw / "depth").is_dir() else None,
        in_focus=float(label.in_focus.mean()),
        grey=label.grey,
    )


def decoded(pairs: list[Pair], work: Callable[[Pair], Ready]) -> Iterator[Ready]:
    """Results of `work` in the order of `pairs`, a few ahead of where they are used, on threads."""
    queue = iter(pairs)
    with ThreadPoolExecutor(WORKERS) as pool:
        pending = deque(pool.submit(work, pair) for pair in islice(queue, AHEAD))
        while pending:
            yield pending.popleft().result()
            pending.extend(pool.submit(work, pair) for pair in islice(queue, 1))


def start_array(file: BinaryIO, dtype: type[np.generic], shape: tuple[int, ...]) -> None:
    """Write the head of a `.npy` file; its values follow in order, so that a full disk is an error and no signal."""
    head = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, head)


def write_arrays(
    folder: Path, rows: list[IndexRow], results: Iterable[Ready], size: int, rendered: bool
) -> Iterator[Ready]:
    """Write the arrays of a prepared set one photograph at a time; yields each result once it is written."""
    count, packed = len(rows), sum(row.packed_bytes for row in rows)
    with ExitStack() as stack:
        names = ("images.npy", "labels.npy", "labels_full.npy")
        images, labels, full = (stack.enter_context((folder / name).open("wb")) for name in names)
        start_array(images, np.uint8, (count, size, size, 3))
        start_array(labels, np.uint8, (count, size, size))
        start_array(full, np.uint8, (packed,))
        depth = stack.enter_context((folder / "depth.npy").open("wb")) if rendered else None
        if depth is not None:
            start_array(depth, np.float16, (count, size, size))
        for _, ready in zip(rows, results, strict=True):
            images.write(ready.image.tobytes())
            labels.write(ready.label.tobytes())
            full.write(ready.packed.tobytes())
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
        image, label = (path.relative_to(raw).as_posix() for path in (pair.image, pair.label))
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
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Prepare the set `name` from its raw folder into `out`, whole or not at all.

    `partial` allows photographs to be missing; `progress(done, total)` is called after each one.

    Raises:
        InputError: a folder is missing, photographs and labels do not match, or a file is unreadable.
    """
    dataset = find_set(name)
    pairs, expected = find_pairs(dataset, raw, partial), expected_counts(dataset, raw)
    if not partial:
        check_counts(dataset, pairs, expected, raw)
    rows = index_rows(dataset, pairs, raw, partial)
    results = decoded(pairs, bind(make_ready, dataset=dataset, raw=raw, size=image_size))
    greys: list[float] = []
    with atomic_dir(out) as folder:
        for i, ready in enumerate(write_arrays(folder, rows, results, image_size, (raw / "depth").is_dir())):
            rows[i] = replace(rows[i], in_focus=ready.in_focus)
            greys.append(ready.grey)
            if progress is not None:
                progress(i + 1, len(rows))
        write_index(folder / "index.csv", rows)
        write_json(folder / "validation.json", describe(dataset, pairs, rows, greys, expected))
