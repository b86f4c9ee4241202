"""One photograph -> its files and its row, and a chunk of photographs, side by side.

Nothing here knows of a whole run: a chunk may be made anywhere that sees the photographs and the folder for the maps.
"""

import time
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Literal

from components.common.errors import InputError
from pipelines.photographs.rows import Row, key, stat_of

if TYPE_CHECKING:
    from components.views.focus import Focus
    from dbdflow import Detector

LARGE = 64
"""Megapixels of a photograph from which on it is made while no other large one is: they take their pixels' memory."""
_one_large = Lock()

Made = tuple[Path, Row | str]
"""A photograph with its row, or with the reason why it has none."""


@dataclass(frozen=True)
class Job:
    """What is made of each photograph, white = in focus.

    Attributes:
        out: folder for the maps.
        bits: of a map.
        views: what else, names of `components.views.files.VIEWS`.
        made_by: the same for maps of one model and one depth, and for no others.
    """

    out: Path
    bits: Literal[8, 16]
    views: tuple[str, ...]
    made_by: str

    def files(self, photograph: Path) -> dict[str, Path]:
        """Where the photograph's files go, by name; see `components.views.files.places_of`."""
        from components.views.files import places_of

        return places_of(photograph.stem, self.out, self.views)


def make(detect: "Detector", photographs: Sequence[Path], job: Job, workers: int) -> Generator[Made]:
    """Write the files of photographs.

    A network sees one photograph at a time, on one thread, `workers` of them side by side: its map has the same bits
    whatever the number of cores and whichever photographs come with it, and it costs less than in batches.

    Yields:
        Each photograph as it is done, in any order.

    Raises:
        InputError: no room for a file.
    """
    one = partial(make_one, detect, job)
    if workers == 1:
        yield from map(one, photographs)
        return
    with ThreadPoolExecutor(workers) as pool:
        waiting = [pool.submit(one, each) for each in photographs]
        try:
            for done in as_completed(waiting):
                yield done.result()
        finally:
            for each in waiting:
                each.cancel()


def make_one(detect: "Detector", job: Job, photograph: Path) -> Made:
    """Write a photograph's files; one that is there with the same bytes stays, so that a second making changes nothing.

    A chunk may be made twice: its worker is lost when it was told of, and not yet let go.

    Raises:
        InputError: no room for a file.
    """
    from components.catalog.images import upright_size
    from components.common.storage import write_whole

    began, places = time.perf_counter(), job.files(photograph)
    try:
        height, width = upright_size(photograph)
        with _one_large if height * width > LARGE * 1e6 else nullcontext():
            seen = stat_of(photograph)
            encoded, size, focus = encode(detect, job, photograph)
    except (InputError, OSError) as error:
        return photograph, str(error).removeprefix(f"{photograph}: ")
    for name, place in places.items():
        if not is_there(place, encoded[name]):
            write_whole(place, encoded[name])
    files = {str(place.relative_to(job.out)): stat_of(place) for place in places.values()}
    values = values_of(size, focus) | {"seconds": round(time.perf_counter() - began, 3)}
    return photograph, Row(key(photograph), seen, job.made_by, files, values)


def is_there(place: Path, contents: bytes) -> bool:
    """Whether a file has these bytes; one that cannot be read has not."""
    try:
        return place.read_bytes() == contents
    except OSError:
        return False


def encode(detect: "Detector", job: Job, photograph: Path) -> tuple[dict[str, bytes], tuple[int, int], "Focus"]:
    """A photograph's files by their names in `Job.files`, its height and width, and what is in focus.

    Raises:
        InputError: it cannot be read.
    """
    from components.catalog.pictures import encode_map
    from components.views.files import THUMBNAIL, VIEWS, read_coloured
    from components.views.focus import measure

    (small, size), found = detect.find(photograph)
    levels, of = found.levels(), photograph.name
    encoded = {"map": encode_map(levels if job.bits == 8 else found.deep(), of)}
    large = read_coloured(photograph) if set(job.views) - {THUMBNAIL} else (small, b"")
    for name in job.views:
        pixels, profile = (small, b"") if name == THUMBNAIL else large
        encoded[name] = VIEWS[name].encode(pixels, levels, of, profile)
    return encoded, size, measure(levels)


def values_of(size: tuple[int, int], focus: "Focus") -> dict[str, float | int | None]:
    """What a row says of a photograph; see `pipelines.photographs.table`."""
    x, y = focus.centre or (None, None)
    left, upper, right, lower = focus.box or (None, None, None, None)
    return {
        "width": size[1],
        "height": size[0],
        "in_focus": focus.share,
        "centre_x": x,
        "centre_y": y,
        "box_left": left,
        "box_upper": upper,
        "box_right": right,
        "box_lower": lower,
        "confidence": focus.confidence,
    }
