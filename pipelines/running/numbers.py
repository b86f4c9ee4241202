"""How far two files are apart in their numbers, where their bytes differ.

JSON and CSV: every number, by its key or row and column. `.npy`, `.safetensors` and pictures: every value of every
array. A difference is |a - b| / max(1, |a|, |b|); 8-bit values are taken as a / 255, and one level of them is
rounding. Text may name another git commit (the report does). Anything else, and text in JSON or CSV that is no hash,
has no numbers.
"""

import csv
import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

HASH = re.compile(r"[0-9a-f]{32}|[0-9a-f]{64}")
"""A hash of other bytes follows from them; it says nothing by itself."""
COMMIT = re.compile(r"\b[0-9a-f]{10}(?:[0-9a-f]{30})?\b(?:-dirty| with changes)?")


@dataclass(frozen=True, order=True)
class Apart:
    """The largest difference between two files: its size (infinite: not only numbers differ), where, in words."""

    size: float
    where: str


SAME = Apart(0.0, "")


def apart(before: Path, now: Path, kind: str) -> Apart:
    """The largest difference between two files of one kind (`.json`, `.csv` ..; a file in the cache has no suffix)."""
    compare = KINDS.get(kind)
    if compare is None:
        return Apart(math.inf, "other bytes, no numbers to compare")
    try:
        return max(compare(before, now), default=SAME)
    except (ValueError, KeyError, OSError) as error:
        return Apart(math.inf, f"cannot be read ({type(error).__name__}: {error})")


def csv_files(before: Path, now: Path) -> Iterator[Apart]:
    tables = []
    for path in (before, now):
        with path.open(newline="", encoding="utf-8") as file:
            rows = [[number(cell) for cell in row] for row in csv.reader(file)]
        tables.append({f"row {line}": dict(zip(rows[0], row, strict=True)) for line, row in enumerate(rows[1:], 2)})
    yield from values(tables[0], tables[1], "")


def number(cell: str) -> float | str:
    try:
        return float(cell)
    except ValueError:
        return cell


def values(before: Any, now: Any, where: str) -> Iterator[Apart]:  # noqa: ANN401 (JSON)
    """Differences between two JSON values, by key."""
    if isinstance(before, list) and isinstance(now, list):
        before, now = (dict(enumerate(each)) for each in (before, now))
    if isinstance(before, dict) and isinstance(now, dict):
        for key in before.keys() | now.keys():
            at = f"{where}.{key}" if where else str(key)
            if key in before and key in now:
                yield from values(before[key], now[key], at)
            else:
                yield Apart(math.inf, f"{at} is {'gone' if key in before else 'new'}")
        return
    numbers = all(isinstance(each, int | float) and not isinstance(each, bool) for each in (before, now))
    if numbers:
        yield Apart(relative(before, now), f"{where} {before:.6g} -> {now:.6g}")
    elif before != now and not all(isinstance(each, str) and HASH.fullmatch(each) for each in (before, now)):
        yield Apart(math.inf, f"{where} {str(before)[:40]!r} -> {str(now)[:40]!r}")


def relative(before: float, now: float) -> float:
    if before == now or (math.isnan(before) and math.isnan(now)):
        return 0.0
    size = abs(before - now) / max(1.0, abs(before), abs(now))
    return size if math.isfinite(size) else math.inf


def npy_files(before: Path, now: Path) -> Iterator[Apart]:
    import numpy as np

    with before.open("rb") as old, now.open("rb") as new:
        yield arrays(np.load(old, allow_pickle=False), np.load(new, allow_pickle=False), "")


def weight_files(before: Path, now: Path) -> Iterator[Apart]:
    from safetensors.torch import load

    old, new = load(before.read_bytes()), load(now.read_bytes())
    for name in sorted(old.keys() | new.keys()):
        if name in old and name in new:
            yield arrays(old[name].float().numpy(), new[name].float().numpy(), name)
        else:
            yield Apart(math.inf, f"{name} is {'gone' if name in old else 'new'}")


def pictures(before: Path, now: Path) -> Iterator[Apart]:
    import numpy as np
    from PIL import Image

    with Image.open(before) as old, Image.open(now) as new:
        yield arrays(np.asarray(old), np.asarray(new), "")


def arrays(before: "Array", now: "Array", where: str) -> Apart:
    """The largest difference between two arrays."""
    import numpy as np

    if before.shape != now.shape or before.dtype != now.dtype:
        found = f"{before.dtype}{list(before.shape)} -> {now.dtype}{list(now.shape)}"
        return Apart(math.inf, f"{where} {found}".strip())
    if before.dtype == np.uint8:
        levels = int(np.abs(before.astype(np.int16) - now).max(initial=0))
        return Apart(max(0, levels - 1) / 255, f"{where} by {levels} of 255 levels".strip())
    old, new = before.astype(np.float64), now.astype(np.float64)
    same = (old == new) | (np.isnan(old) & np.isnan(new))
    scale = np.maximum(1.0, np.maximum(np.abs(old), np.abs(new)))
    with np.errstate(invalid="ignore"):
        size = np.where(same, 0.0, np.abs(old - new) / scale)
    largest = float(np.where(np.isfinite(size), size, math.inf).max(initial=0.0))
    return Apart(largest, f"{where} by {largest:.1e}".strip())


def text_files(before: Path, now: Path) -> Iterator[Apart]:
    old, new = (COMMIT.sub("", path.read_text(encoding="utf-8")).splitlines() for path in (before, now))
    if old == new:
        yield Apart(0.0, "names another commit")
        return
    lines = zip_longest(old, new)
    yield Apart(math.inf, f"other text from line {next(n for n, (a, b) in enumerate(lines, 1) if a != b)} on")


KINDS: dict[str, Callable[[Path, Path], Iterator[Apart]]] = {
    ".json": lambda before, now: values(json.loads(before.read_bytes()), json.loads(now.read_bytes()), ""),
    ".csv": csv_files,
    ".npy": npy_files,
    ".safetensors": weight_files,
    ".html": text_files,
    ".md": text_files,
    ".txt": text_files,
    ".png": pictures,
    ".bmp": pictures,
}
