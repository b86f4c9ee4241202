"""What `dbdflow predict --model` may name, and how it makes the map of a photograph.

A classical method (`dbdf`, `lbp`, `hifst`); a run of data/models; weights that ship with the project (`small`); a
folder with model.safetensors; a .safetensors file; a checkpoint that the paper's authors published (.pt, .pth, or any
other name: its content decides). The first of these that has the name is meant.
"""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from components.common.errors import InputError
from pipelines.system.environment import seen_from_here

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from components.models.network import Network

Detect = Callable[[Path], "NDArray[np.uint8]"]
"""Reads a photograph and gives its map: (H, W) of its size, 255 = in focus."""

MODELS = Path("data/models")
PREDICTIONS = Path("data/predictions")
SHIPPED = Path(__file__).parents[2] / "weights"
"""In the project, wherever the command is called."""
DEFAULT = "small"
CLASSICAL = {
    "dbdf": "components.baselines.dbdf:dbdf",
    "lbp": "components.baselines.lbp:lbp",
    "hifst": "components.baselines.hifst:hifst",
}
LEARNS = frozenset({"dbdf"})
"""Methods that need what they learned from a training split."""
PUBLISHED_SIZE = 320
"""Side of what the published networks see, pixels."""


def find_detector(name: str, device: str) -> Detect:
    """What `name` stands for, made ready.

    Args:
        name: see above.
        device: auto, cpu or cuda, for networks; classical methods run on the CPU.

    Raises:
        InputError: nothing has the name, a depth teacher, broken weights, a method that has not learned, no device.
    """
    if name in CLASSICAL:
        return classical(name)
    if path := weights_of(name):
        return network(name, path, device)
    raise unknown(name)


def weights_of(name: str) -> Path | None:
    """The file of weights that `name` stands for, if there is one."""
    files = (
        seen_from_here(MODELS) / name / "model.safetensors",
        SHIPPED / f"{name}.safetensors",
        Path(name) / "model.safetensors",
    )
    found = [path for path in (*files, Path(name)) if path.is_file()]
    return found[0] if found else None


def unknown(name: str) -> InputError:
    """Why nothing is meant by `name`, and what could be."""
    from components.common.availability import gap_of

    if gap := gap_of(seen_from_here(MODELS) / name):
        return InputError(f"--model {name}: {gap}")
    if Path(name).is_dir():
        return InputError(f"--model {name}: a folder without model.safetensors; name another, or a file of weights")
    runs = (path.parent.name for path in seen_from_here(MODELS).glob("*/model.safetensors"))
    shipped = SHIPPED.glob("*.safetensors")
    return InputError(
        f"--model {name}: nothing has this name. Methods: {', '.join(CLASSICAL)}; runs in data/models: {listed(runs)}; "
        f"weights that ship: {listed(path.stem for path in shipped)}; or name a folder with model.safetensors, a "
        ".safetensors file, or a published checkpoint (.pt, .pth)"
    )


def listed(names: Iterable[str]) -> str:
    """Names in words."""
    return ", ".join(sorted(names)) or "none here"


def classical(name: str) -> Detect:
    """A classical method, with what it has learned in this checkout, else what ships; on one thread, as in its stage.

    Raises:
        InputError: it learns, and has not.
    """
    from pipelines.system.environment import THREADS

    os.environ.update(dict.fromkeys(THREADS, "1"))  # before NumPy is imported: its threads slow small products down
    from components.maps.files import grey
    from components.methods import Method, find_map

    places = (seen_from_here(PREDICTIONS) / name / "fitted.npz", SHIPPED / f"{name}.npz") if name in LEARNS else ()
    fitted = next((path for path in places if path.is_file()), None)
    if places and fitted is None:
        raise InputError(
            f"--model {name}: it learns from photographs first, and neither {' nor '.join(map(str, places))} is there; "
            f"`dvc repro baseline@{name}` makes the first, or choose another method or network"
        )
    method = Method(name, CLASSICAL[name])
    return lambda photograph: grey(find_map(method, fitted, photograph))


def network(name: str, path: Path, device: str) -> Detect:
    """A trained network. Its weights keep torch's own memory layout: depthwise convolutions are slow in others.

    Raises:
        InputError: the file is broken or holds a depth teacher, the side of its input is nowhere, or no such device.
    """
    import numpy as np

    from components.catalog.images import read_reduced
    from components.maps.inference import predict_photo
    from components.models.checkpoints import is_described
    from components.models.runtime import set_up

    chosen = set_up(device=device, precision="float32", deterministic=False, threads=0).device
    model = detector(name, path).to(chosen)
    side, best = seen_by(path) if is_described(path) else (PUBLISHED_SIZE, False)

    def detect(photograph: Path) -> "NDArray[np.uint8]":
        photo, size = read_reduced(photograph, side)
        return predict_photo(model, np.asarray(photo), size, image_size=side, device=chosen, best=best)

    return detect


def detector(name: str, path: Path) -> "Network":
    """The network of a file of weights, float32, on the CPU.

    Raises:
        InputError: the file is broken, or holds a depth teacher.
    """
    from components.models import DETECTOR_NAMES
    from components.models.checkpoints import is_described, load_model, open_published

    model = load_model(path) if is_described(path) else open_published(path)
    if model.spec is None or model.spec.name not in DETECTOR_NAMES:
        raise InputError(f"--model {name}: {path} holds a depth teacher; name a run that detects defocus blur")
    return model


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
