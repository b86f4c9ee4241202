"""Detectors of what is in focus, by name or file, on photographs of any size."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from components.baselines import CLASSICAL, LEARNS
from components.catalog.images import read_photograph, read_reduced, rgb_of
from components.common.cores import cores
from components.common.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from components.models.network import Network

Photo = str | os.PathLike[str] | Image.Image | NDArray[np.uint8]
"""A file; a Pillow image (its EXIF orientation is not applied); or uint8 (H, W, 3) RGB."""
Size = tuple[int, int]
"""Height and width, pixels."""
Seen = tuple[NDArray[np.uint8], Size]
"""A photograph as it was read, (h, w, 3) RGB, and its full size: a large JPEG is reduced while it is decoded."""

WEIGHTS = Path(__file__).parent / "weights"
"""What ships with the package."""
DEFAULT = "small"
PUBLISHED_SIZE = 320
"""Side of what the published networks see, pixels."""


@dataclass(frozen=True)
class Found:
    """A map at its photograph's size, made when it is asked for: as floats in [0, 1], or as levels 0..255."""

    floats: Callable[[], NDArray[np.float32]]
    levels: Callable[[], NDArray[np.uint8]]

    def deep(self) -> NDArray[np.uint16]:
        """The map as levels 0..65535."""
        floats = self.floats()
        full = np.empty(floats.shape, np.uint16)
        for made, values in zip(full, floats, strict=True):
            made[:] = np.rint(values * 65535)
        return full


Find = Callable[[list[Seen]], list[Found]]
Ready = Callable[[Seen], Seen]
"""Makes of a photograph what a network sees of it, so that more than one may wait."""


class Detector:
    """Finds what is in focus in photographs; made by `load`.

    Maps are the probability of being in focus, 1 = in focus, 0 = out of focus, of each pixel of the photograph. A
    network sees it at the size that it was trained at; its map is brought back bilinearly.
    """

    def __init__(self, name: str, read: Callable[[Path], Seen], find: Find, ready: Ready | None = None) -> None:
        self.name, self._read, self._find, self._ready = name, read, find, ready

    def __repr__(self) -> str:
        return f"Detector({self.name!r})"

    @classmethod
    def load(
        cls,
        model: str | os.PathLike[str] = DEFAULT,
        *,
        device: str = "auto",
        fitted: Path | None = None,
    ) -> "Detector":
        """A detector, ready to use.

        Args:
            model: "small" (the weights that ship), "dbdf", "lbp" or "hifst" (classical methods of the paper's Table
                I), a folder of a trained run, a file of weights (.safetensors), a checkpoint that the paper's authors
                published (.pt, .pth), or a file that `dbdflow export` wrote (.onnx).
            device: auto (CUDA where there is one), cpu or cuda, of networks. The others run on the CPU.
            fitted: what "dbdf" has learned, if not what ships.

        Raises:
            InputError: nothing has this name, the file is broken or holds a depth teacher, no such device, or a package
                is not installed that .onnx needs.
        """
        name = os.fspath(model)
        if name in CLASSICAL:
            return cls(name, whole, classical(name, fitted or WEIGHTS / f"{name}.npz"))
        files = (WEIGHTS / f"{name}.safetensors", Path(name, "model.safetensors"), Path(name))
        path = next((each for each in files if each.is_file()), None)
        if path is None:
            what = "a folder without model.safetensors" if Path(name).is_dir() else "nothing has this name"
            raise InputError(
                f"{name}: {what}; expected {DEFAULT}, {', '.join(CLASSICAL)}, a folder with model.safetensors, a "
                ".safetensors file, a published checkpoint (.pt, .pth), or an exported .onnx file"
            )
        if path.suffix == ".onnx":
            side, find = exported(path, device)
            return cls(name, lambda photo: reduced(photo, side), find)
        side, find = network(path, device)
        return cls(name, lambda photo: reduced(photo, side), find, partial(at_side, side=side))

    def map(self, photo: Photo) -> NDArray[np.float32]:
        """The map of one photograph, float32 (H, W) in [0, 1], 1 = in focus, at the photograph's own size.

        Raises:
            InputError: the file cannot be read as a photograph, or the array is none.
        """
        return next(self.maps([photo]))

    def maps(self, photos: Iterable[Photo], *, batch: int = 8) -> Iterator[NDArray[np.float32]]:
        """The maps of photographs of any sizes, in order; see `map`.

        Args:
            photos: read side by side, a batch at a time; for a network, those of a list also while the batch before is
                worked on. Whatever gives one after the other is asked for a photograph when it is needed.
            batch: photographs that a network sees at once.

        Raises:
            InputError: see `map`; or a batch of none.
        """
        if batch < 1:
            raise InputError(f"batch: {batch}, expected at least 1")
        for chunk in self._chunks(photos, batch):
            for found in self._find(chunk):
                yield found.floats()

    def _chunks(self, photos: Iterable[Photo], batch: int) -> Iterator[list[Seen]]:
        """Photographs as they are read, by threads; a batch is read ahead where that makes no one wait."""
        early = self._ready is not None and isinstance(photos, Sequence | np.ndarray)
        ready, waiting, pool = self._ready or (lambda seen: seen), iter(photos), ThreadPoolExecutor(cores())

        def begun() -> list[Future[Seen]]:
            return [pool.submit(lambda each: ready(self._seen(each)), photo) for photo in islice(waiting, batch)]

        try:
            coming = begun()
            while coming:
                chunk = [each.result() for each in coming]
                coming = begun() if early else []
                yield chunk
                coming = coming or begun()
        finally:
            pool.shutdown(cancel_futures=True)

    def picture(self, photo: Path) -> NDArray[np.uint8]:
        """The map of one file as a picture, uint8 (H, W), 255 = in focus; memory is bounded by the photograph's.

        Raises:
            InputError: see `map`.
        """
        return self.find(photo)[1].levels()

    def find(self, photo: Path) -> tuple[Seen, Found]:
        """One file as it was read, and its map, not yet made.

        Raises:
            InputError: see `map`.
        """
        seen = self._read(photo)
        (found,) = self._find([seen])
        return seen, found

    def _seen(self, photo: Photo) -> Seen:
        if isinstance(photo, str | os.PathLike):
            return self._read(Path(photo))
        if isinstance(photo, Image.Image):
            photo = np.asarray(rgb_of(Path("the image"), photo))
        if not isinstance(photo, np.ndarray) or photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3:
            found = f"{photo.dtype} {photo.shape}" if isinstance(photo, np.ndarray) else type(photo).__name__
            raise InputError(f"found {found}, expected a path, a Pillow image, or uint8 (H, W, 3) RGB")
        if 0 in photo.shape:
            raise InputError(f"found a photograph of shape {photo.shape}, expected at least one pixel")
        return photo, (photo.shape[0], photo.shape[1])


def whole(path: Path) -> Seen:
    """A photograph at its own size."""
    pixels = np.array(read_photograph(path))
    return pixels, pixels.shape[:2]


def reduced(path: Path, side: int) -> Seen:
    """A photograph for a network that sees it at `side`."""
    photo, size = read_reduced(path, side)
    return np.asarray(photo), size


def at_side(seen: Seen, side: int) -> Seen:
    """A photograph at the size at which a network sees it."""
    from components.maps.inference import resized

    photo, size = seen
    return resized(photo, side), size


def classical(name: str, fitted: Path) -> Find:
    """A classical method, with what it has learned.

    Raises:
        InputError: it learns, and has not.
    """
    from components.maps.files import grey
    from components.methods import Method, map_of

    if name in LEARNS and not fitted.is_file():
        raise InputError(f"{name}: it learns from photographs first, and {fitted} is not there; choose another method")
    method, learned = Method(name, CLASSICAL[name]), fitted if name in LEARNS else None

    def find(photo: NDArray[np.uint8]) -> Found:
        found = map_of(method, learned, photo)
        return Found(lambda: found.astype(np.float32), lambda: grey(found))

    return lambda photos: [find(photo) for photo, _ in photos]


def network(path: Path, device: str) -> tuple[int, Find]:
    """The side of what a trained network sees, and the network, in the memory layout in which it is the fastest.

    Raises:
        InputError: the file is broken or holds a depth teacher, the side of its input is nowhere, or no such device.
    """
    from components.maps.inference import probabilities
    from components.models.runtime import set_up, to_be_asked

    chosen = set_up(device=device, precision="float32", deterministic=False, threads=0).device
    model, side, best = opened(path)
    model = to_be_asked(model.to(chosen))
    see = partial(probabilities, model, image_size=side, device=chosen, best=best)
    return side, lambda photos: brought_back(see([photo for photo, _ in photos]), photos)


def opened(path: Path) -> tuple["Network", int, bool]:
    """The network of a file of weights, on the CPU in `eval()` mode, and what it sees: see `seen_by`.

    Raises:
        InputError: the file is broken or holds a depth teacher, or the side of its input is nowhere.
    """
    from components.models import DETECTOR_NAMES
    from components.models.checkpoints import is_described, load_model, open_published

    ours = is_described(path)
    model = load_model(path) if ours else open_published(path)
    if model.spec is None or model.spec.name not in DETECTOR_NAMES:
        raise InputError(f"{path}: holds a depth teacher; name a network that detects defocus blur")
    return model, *(seen_by(path) if ours else (PUBLISHED_SIZE, False))


def exported(path: Path, device: str) -> tuple[int, Find]:
    """The side of what an exported network sees, and the network; it runs on the CPU.

    Raises:
        InputError: the file is broken, was not exported here, or onnxruntime is not installed; or the device is cuda.
    """
    from components.export import needing

    if device == "cuda":
        raise InputError(f"{path}: an ONNX file runs on the CPU here; set the device to auto or cpu")
    with needing(path):
        from components.export.onnx_file import OnnxProgram
    program = OnnxProgram(path)
    return program.side, lambda photos: brought_back(program.maps([photo for photo, _ in photos]), photos)


def brought_back(maps: "Tensor", photos: list[Seen]) -> list[Found]:
    """Maps of a network, float32 (N, 1, h, w), each at its photograph's size when it is asked for."""
    from components.maps.inference import at_full_size, to_full_size

    return [
        Found(partial(at_full_size, found[None], size), partial(to_full_size, found[None], size))
        for found, (_, size) in zip(maps, photos, strict=True)
    ]


def seen_by(path: Path) -> tuple[int, bool]:
    """What a network of ours sees of a photograph: the side of its input, pixels, and whether by the recipe `best`.

    From its file's header, where it ships; else from the card beside it.

    Raises:
        InputError: there is neither.
    """
    from components.common.storage import read_json
    from components.maps.inference import by_best
    from components.models.checkpoints import read_metadata

    stated = read_metadata(path)
    if "image_size" in stated:
        return int(stated["image_size"]), stated["best"] == "yes"
    card = read_json(path.parent / "card.json")
    return int(card["params"]["image_size"]), by_best(card)
