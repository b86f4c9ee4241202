"""`photographs.parquet`: a row a photograph. The file itself says what each column means and in which unit."""

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.photographs.rows import Row

POLARITY = "maps: white (the greatest level) = in focus; in focus is a pixel whose map is at least half of it"

COLUMNS = {
    "path": ("string", "", "the photograph, absolute; bytes of a name that are not UTF-8 are written \\x.."),
    "map": ("string", "", "its map, in the folder of this table; null where there is none"),
    "width": ("int32", "pixels", "of the photograph, upright"),
    "height": ("int32", "pixels", "of the photograph, upright"),
    "in_focus": ("float64", "share, 0 to 1", "of its pixels that are in focus"),
    "centre_x": ("float64", "pixels from the left edge", "of what is in focus, its mean; null where nothing is"),
    "centre_y": ("float64", "pixels from the upper edge", "of what is in focus, its mean; null where nothing is"),
    "box_left": ("int32", "pixels from the left edge", "of the box around what is in focus but for 1 % a side"),
    "box_upper": ("int32", "pixels from the upper edge", "of that box"),
    "box_right": ("int32", "pixels from the left edge", "of that box, the first column beyond it"),
    "box_lower": ("int32", "pixels from the upper edge", "of that box, the first row beyond it"),
    "confidence": ("float64", "0.5 to 1", "mean over the pixels of the map, or of 1 minus it where it is below 0.5"),
    "seconds": ("float64", "seconds", "that reading the photograph and making its files took, beside others"),
    "problem": ("string", "", "why it has no map; null where it has one"),
}
"""Name -> type, unit, meaning."""


def readable(path: os.PathLike[str] | str) -> str:
    """A path as UTF-8 text, whatever its bytes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def absolute(path: Path) -> str:
    """A path from the root, as text; links in it stay."""
    return readable(os.path.abspath(path))


def encode_table(rows: Mapping[Path, Row], left_out: Mapping[Path, str], about: Mapping[str, str]) -> bytes:
    """The table of photographs that have their map and of those that have none, as a Parquet file.

    Args:
        rows: of photographs.
        left_out: photographs with the reasons why they have no map.
        about: what the file says of the whole of it.
    """
    import pyarrow
    from pyarrow import parquet

    found: list[dict[str, Any]] = [
        {"path": absolute(path), "map": readable(next(iter(row.files)))} | dict(row.values)
        for path, row in rows.items()
    ]
    found += [{"path": absolute(path), "problem": readable(why)} for path, why in left_out.items()]
    fields = [
        pyarrow.field(name, getattr(pyarrow, kind)(), metadata={"unit": unit, "meaning": meaning})
        for name, (kind, unit, meaning) in COLUMNS.items()
    ]
    schema = pyarrow.schema(fields, metadata={"made by": "dbdflow predict", "polarity": POLARITY} | dict(about))
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(found, schema), buffer)
    return buffer.getvalue()
