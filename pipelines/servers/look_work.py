"""What a process behind `dbdflow look` does: it makes the map of a photograph that was sent.

Nothing is written: neither the photograph nor its map ever is a file.
"""

import time
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import PosixPath
from typing import TYPE_CHECKING, Any, Self

from components.baselines import CLASSICAL

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dbdflow import Detector

MEGAPIXELS = 128
"""Largest photograph that the page takes; each process at work may hold one."""
CLASSICAL_PIXELS = 1_000_000
"""A classical method sees no more: they were made for photographs of 640 x 480, and their time and memory grow with
what they see (HiFST holds 116 bytes a pixel)."""


class Sent(PosixPath):
    """A photograph in memory that is read as a file is: `open` gives its bytes, and errors call it by its name."""

    contents: bytes

    @classmethod
    def of(cls, name: str, contents: bytes) -> Self:
        """The photograph of this name, which may be any text."""
        sent = cls(name)
        sent.contents = contents
        return sent

    def open(self, *args: Any, **kwargs: Any) -> BytesIO:  # type: ignore[override]  # noqa: ANN401 (Path's)
        return BytesIO(self.contents)


@dataclass(frozen=True)
class Made:
    """A picture for the page.

    Attributes:
        png: the file.
        size: height and width, pixels.
        counts: of a map, how many pixels have each of the levels 0..255, 255 = in focus.
        seconds: what it took.
        seen_at: height and width of what the model was given, where that was less than the photograph.
    """

    png: bytes
    size: tuple[int, int]
    counts: tuple[int, ...]
    seconds: float
    seen_at: tuple[int, int] | None = None


def warm(models: tuple[str, ...], device: str) -> None:
    """Have these models ready in this process.

    Raises:
        InputError: see `find_detector`.
    """
    for model in models:
        ready(model, device)


@cache
def ready(model: str, device: str) -> "Detector":
    from components.catalog.images import accept
    from pipelines.running.detectors import find_detector

    accept(MEGAPIXELS)
    return find_detector(model, device)


def make_map(model: str, device: str, name: str, contents: bytes) -> Made:
    """The map of a photograph by a model.

    Raises:
        InputError: it is no photograph, too large, or the model cannot be had.
    """
    from PIL import Image

    from components.catalog.pictures import encode_map

    detector, photo, begun = ready(model, device), Sent.of(name, contents), time.monotonic()
    levels, seen_at = reduced(detector, photo) if model in CLASSICAL else (detector.picture(photo), None)
    seconds = time.monotonic() - begun
    counts = tuple(Image.fromarray(levels).histogram())
    return Made(encode_map(levels, photo.name), levels.shape, counts, seconds, seen_at)


def reduced(detector: "Detector", photo: Sent) -> "tuple[NDArray[np.uint8], tuple[int, int] | None]":
    """A classical method's map at the photograph's size, and the height and width that it saw, if that is less."""
    import numpy as np
    from PIL import Image

    from components.catalog.images import read_photograph
    from components.maps.files import grey

    image = read_photograph(photo)
    shrink = (CLASSICAL_PIXELS / (image.width * image.height)) ** 0.5
    if shrink >= 1:
        return detector.picture(photo), None
    width, height = (max(1, round(side * shrink)) for side in image.size)
    found = Image.fromarray(grey(detector.map(image.resize((width, height), Image.Resampling.BOX))))
    return np.asarray(found.resize(image.size, Image.Resampling.BILINEAR)), (height, width)


def make_photograph(name: str, contents: bytes) -> Made:
    """A photograph as models see it, upright, 8 bits a channel, for a browser that does not show its format.

    Raises:
        InputError: it is none, or too large.
    """
    import numpy as np

    from components.catalog.images import accept, read_photograph
    from components.catalog.pictures import encode

    accept(MEGAPIXELS)
    begun = time.monotonic()
    pixels = np.asarray(read_photograph(Sent.of(name, contents)))
    return Made(encode(pixels, 1), pixels.shape[:2], (), time.monotonic() - begun)
