"""A prepared data set: images and labels at network size, packed full-size labels, an index with splits.

Labels: 1 = in focus, everywhere. Written by `components.prepare.build`, read by training, prediction and evaluation.
"""

import csv
import io
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from components.common.availability import Gap, NotAvailableError, gap_of, require
from components.common.errors import InputError
from components.common.names import is_junk
from components.common.storage import read_json


@dataclass(frozen=True)
class IndexRow:
    """One photograph with its label, or a label alone, as a line of `index.csv`."""

    id: str
    """Unique within the set; names the map of this photograph."""
    image: str
    """Relative to the set's raw folder, as `label` is; empty for a label whose photograph is not there."""
    label: str
    height: int
    width: int
    """Full size in pixels, of the photograph and of its label."""
    label_offset: int
    """Where this photograph's label starts in `labels_full.npy`, in bytes."""
    dof: str
    """`shallow`, `wide`, or empty where the set does not say."""
    splits: tuple[str, ...]
    in_focus: float
    """Fraction of the full-size label that is in focus, 0..1."""

    @property
    def packed_bytes(self) -> int:
        """Bytes of this photograph's label in `labels_full.npy`: one bit a pixel, rounded up."""
        return (self.height * self.width + 7) // 8

    def cells(self) -> list[str]:
        """This row in the order of `COLUMNS`."""
        numbers = [str(number) for number in (self.height, self.width, self.label_offset)]
        return [self.id, self.image, self.label, *numbers, self.dof, ";".join(self.splits), f"{self.in_focus:.6f}"]


COLUMNS = tuple(field.name for field in fields(IndexRow))


def write_index(path: Path, rows: list[IndexRow]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(row.cells() for row in rows)


def _parse(cells: dict[str, Any]) -> IndexRow:
    numbers = {name: int(cells[name]) for name in ("height", "width", "label_offset")}
    splits = tuple(name for name in cells["splits"].split(";") if name)
    return IndexRow(**cells | numbers | {"splits": splits, "in_focus": float(cells["in_focus"])})


def read_index(path: Path) -> list[IndexRow]:
    """Read `index.csv`.

    Raises:
        InputError: it is missing or damaged.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [_parse(cells) for cells in csv.DictReader(file)]
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; make it with `dvc repro prepare`") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{path}: damaged ({error!r}), expected the columns {', '.join(COLUMNS)}; run `dvc repro prepare` again"
        ) from error


def read_names(path: Path) -> tuple[str, tuple[str, ...]]:
    """Name of a prepared set, and names of its splits.

    Raises:
        InputError: the validation report is missing or damaged.
    """
    report = read_json(path)
    if not isinstance(report, dict) or not {"set", "splits"} <= report.keys():
        raise InputError(f"{path}: damaged, expected the keys set and splits; run `dvc repro prepare` again")
    return str(report["set"]), tuple(report["splits"])


def npy_head(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    """The head of a `.npy` file; its values follow in order, so that a full disk is an error and no signal."""
    head = io.BytesIO()
    described = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(head, described)
    return head.getvalue()


def open_array(path: Path, length: int, dims: int, dtype: str) -> NDArray[Any]:
    """Memory-map `path` read-only and check its length, dimensions and dtype."""
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r")
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; make it with `dvc repro prepare`") from error
    except (ValueError, EOFError, OSError) as error:
        raise InputError(f"{path}: damaged ({error}); run `dvc repro prepare` again") from error
    if (len(array), array.ndim, array.dtype) != (length, dims, np.dtype(dtype)):
        raise InputError(
            f"{path}: shape {array.shape}, {array.dtype}; index.csv asks for length {length}, {dims} dimensions, "
            f"{dtype}; run `dvc repro prepare` again"
        )
    return array


@dataclass(frozen=True, eq=False)
class PreparedSet:
    """One data set as `prepare` leaves it; N labels, network size S. Arrays are read-only memory maps.

    Most labels have a photograph, which is what `split` and `test_rows` give. Where a label has none, its image is
    black; `labelled` gives it too, to score published maps.
    """

    folder: Path
    name: str
    rows: tuple[IndexRow, ...]
    images: NDArray[np.uint8]
    """(N, S, S, 3) RGB."""
    labels: NDArray[np.uint8]
    """(N, S, S) in {0, 1}, 1 = in focus."""
    labels_full: NDArray[np.uint8]
    """(bytes,), all full-size labels, each `np.packbits` of its rows."""
    depth: NDArray[np.float16] | None
    """(N, S, S) inverse depth: in 1/m where rendered, else relative, 0..1; None where the set has none.

    0 everywhere: not known of this photograph."""
    split_names: tuple[str, ...]
    large: NDArray[np.uint8] | None = None
    """(N, L, L, 3) RGB at `prepare.large_size`; None where that is 0, and where nothing of the set is for training."""
    labels_large: NDArray[np.uint8] | None = None
    """(N, L, L) in {0, 1}, likewise."""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Open the prepared set in `folder`.

        Raises:
            NotAvailableError: the set could not be prepared, for want of something.
            InputError: a file is missing or damaged, or the files do not belong together.
        """
        require(folder)
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder; make it with `dvc repro prepare`")
        rows = read_index(folder / "index.csv")
        name, splits = read_names(folder / "validation.json")

        def optional(array: str, dims: int, dtype: str) -> NDArray[Any] | None:
            path = folder / f"{array}.npy"
            return open_array(path, len(rows), dims, dtype) if path.exists() else None

        return cls(
            folder=folder,
            name=name,
            rows=tuple(rows),
            images=open_array(folder / "images.npy", len(rows), 4, "uint8"),
            labels=open_array(folder / "labels.npy", len(rows), 3, "uint8"),
            labels_full=open_array(folder / "labels_full.npy", sum(r.packed_bytes for r in rows), 1, "uint8"),
            depth=optional("depth", 3, "float16"),
            split_names=splits,
            large=optional("large", 4, "uint8"),
            labels_large=optional("labels_large", 3, "uint8"),
        )

    @classmethod
    def load_all(cls, folder: Path) -> list[Self]:
        """Open every prepared set below `folder` that is available, in the order of their names.

        Raises:
            NotAvailableError: none is.
        """
        folders = [path for path in sorted(folder.iterdir()) if path.is_dir() and not is_junk(path.name)]
        there = [path for path in folders if gap_of(path) is None]
        if folders and not there:
            require(folders[0])
        return [cls.load(path) for path in there]

    def large_arrays(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Images and labels at the larger size.

        Raises:
            InputError: the set was prepared without.
        """
        if self.large is None or self.labels_large is None:
            raise InputError(
                f"{self.folder}: no large.npy to crop from, which the recipe `best` needs; "
                "set prepare.large_size, e.g. 448, and run `dvc repro prepare`"
            )
        return self.large, self.labels_large

    def __len__(self) -> int:
        """Labels in the set, with or without a photograph."""
        return len(self.rows)

    @property
    def ids(self) -> list[str]:
        """Ids of all rows, in the order of the arrays."""
        return [row.id for row in self.rows]

    def labelled(self, name: str) -> NDArray[np.int64]:
        """Rows of the split `name` with or without a photograph, ascending; none where its list is unknown.

        Raises:
            InputError: this set has no such split.
        """
        if name not in self.split_names:
            raise InputError(f"{self.folder}: no split {name!r}; this set has {', '.join(self.split_names)}")
        return np.array([i for i, row in enumerate(self.rows) if name in row.splits], dtype=np.int64)

    def split(self, name: str) -> NDArray[np.int64]:
        """Rows of the split `name` that have a photograph, ascending; none where its list is unknown.

        Raises:
            InputError: this set has no such split.
        """
        return np.array([i for i in self.labelled(name) if self.rows[i].image], dtype=np.int64)

    def test_splits(self) -> list[str]:
        """Names of the test sets within this set: all splits that are not for training."""
        return [name for name in self.split_names if "-TR" not in name]

    def test_rows(self) -> NDArray[np.int64]:
        """Rows of all photographs of some test set, ascending."""
        rows = [self.split(name) for name in self.test_splits()]
        return np.unique(np.concatenate(rows))

    def full_label(self, index: int) -> NDArray[np.uint8]:
        """Label of photograph `index` at its own size, (height, width) in {0, 1}, 1 = in focus."""
        row = self.rows[index]
        packed = self.labels_full[row.label_offset : row.label_offset + row.packed_bytes]
        return np.unpackbits(packed, count=row.height * row.width).reshape(row.height, row.width)


def require_photographs(data: PreparedSet, split: str) -> None:
    """Go on only if there are photographs of `split`.

    Raises:
        NotAvailableError: there is none: a list is unknown, or a part of the set is not there.
    """
    if len(data.split(split)) == 0:
        notes = "; ".join(read_json(data.folder / "validation.json")["notes"]) or "the set is a partial one"
        raise NotAvailableError(
            Gap(f"training on {split}", f"{data.folder} holds no photograph of it ({notes})", "see `dbdflow status`")
        )
