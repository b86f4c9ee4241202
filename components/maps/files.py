"""Defocus blur maps of one run on one test set: a ZIP archive of half floats (.npy) in [0, 1], 1 = in focus.

The same maps give the same bytes: members are stored in the order of their names, with one fixed time, uncompressed
(half floats of a map shrink by a quarter, at ten times the time of reading). 8-bit pictures are for people: `grey`.
"""

import io
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from components.common.errors import InputError
from components.common.storage import atomic_path

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time a ZIP archive can hold."""


def grey(values: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """A map in [0, 1] as a picture for people, of the same shape: uint8, 255 = in focus."""
    return np.rint(values.astype(np.float32) * 255).astype(np.uint8)


def encode_values(values: NDArray[np.floating[Any]]) -> bytes:
    """One map, (h, w) floats in [0, 1], 1 = in focus, as a file of half floats (.npy); 0 has no sign."""
    assert values.ndim == 2
    assert np.issubdtype(values.dtype, np.floating)
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(values, np.float16) + np.float16(0), allow_pickle=False)
    return buffer.getvalue()


def write_maps(path: Path, maps: Iterable[tuple[str, NDArray[np.floating[Any]]]]) -> None:
    """Write (id, map) pairs to `path`, whole or not at all; maps as `encode_values` takes them, of any sizes."""
    members: dict[str, bytes] = {}
    for map_id, values in maps:
        assert map_id not in members, f"two maps called {map_id}"
        members[map_id] = encode_values(values)
    store(path, ((map_id, members[map_id]) for map_id in sorted(members)))


def pack_maps(path: Path, files: Mapping[str, Path]) -> None:
    """Write maps that lie in files, by id and as `encode_values` made them, to `path` as `write_maps` does."""
    store(path, ((map_id, files[map_id].read_bytes()) for map_id in sorted(files)))


def store(path: Path, members: Iterable[tuple[str, bytes]]) -> None:
    """Write the archive of encoded maps, in the order in which they come."""
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for map_id, encoded in members:
            info = zipfile.ZipInfo(f"{map_id}.npy", date_time=EPOCH)
            info.create_system = 3  # Unix, whatever writes it; with the rights below
            info.external_attr = 0o644 << 16
            archive.writestr(info, encoded)


class MapArchive:
    """The maps of one run on one test set, read one at a time; 1 = in focus.

    Raises:
        InputError: the archive, a map in it, or the map asked for is missing or damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._archive = zipfile.ZipFile(path)
        except FileNotFoundError as error:
            raise InputError(f"{path}: no such file; make it with `dvc repro predict`") from error
        except (zipfile.BadZipFile, OSError) as error:
            raise InputError(f"{path}: not a readable ZIP archive of maps ({error}); make it again") from error

    def ids(self) -> list[str]:
        """Ids of all maps, sorted."""
        return sorted(name.removesuffix(".npy") for name in self._archive.namelist() if name.endswith(".npy"))

    def __getitem__(self, map_id: str) -> NDArray[np.float16]:
        """The map called `map_id`, (h, w) float16 in [0, 1]."""
        try:
            values: NDArray[np.float16] = np.load(io.BytesIO(self._archive.read(f"{map_id}.npy")), allow_pickle=False)
        except KeyError as error:
            raise InputError(f"{self.path}: no map {map_id}.npy among its {len(self.ids())}; predict again") from error
        except (zipfile.BadZipFile, ValueError, EOFError, OSError) as error:
            raise InputError(f"{self.path}: {map_id}.npy is damaged ({error}); predict again") from error
        if values.dtype != np.float16 or values.ndim != 2:
            found = f"{values.dtype} of shape {values.shape}"
            raise InputError(f"{self.path}: {map_id}.npy is {found}, expected float16 of two axes; predict again")
        return values

    def close(self) -> None:
        """Close the archive's file."""
        self._archive.close()

    def __enter__(self) -> Self:
        """Leave the archive open until the end of the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the archive."""
        self.close()
