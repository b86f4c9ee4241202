"""What `dbdflow predict --model` may name: a run of this checkout, or whatever `dbdflow.Detector.load` knows.

A classical method (`dbdf`, `lbp`, `hifst`); a run of data/models; weights that ship with the project (`small`); a
folder with model.safetensors; a .safetensors file; a file that `dbdflow export` wrote (.onnx); a checkpoint that the
paper's authors published (.pt, .pth, or any other name: its content decides). The first that has the name is meant.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from components.baselines import CLASSICAL, LEARNS
from components.common.errors import InputError
from pipelines.system.environment import seen_from_here

if TYPE_CHECKING:
    from dbdflow import Detector

MODELS = Path("data/models")
PREDICTIONS = Path("data/predictions")


def find_detector(name: str, device: str) -> "Detector":
    """What `name` stands for, made ready.

    Args:
        name: see above.
        device: auto, cpu or cuda, for networks; classical methods run on the CPU.

    Raises:
        InputError: nothing has the name, a depth teacher, broken weights, a method that has not learned, no device.
    """
    from pipelines.system.environment import THREADS

    if name in CLASSICAL:
        os.environ.update(dict.fromkeys(THREADS, "1"))  # before NumPy is imported: its threads slow small products down
    from dbdflow import Detector

    model, fitted = resolved(name)
    return Detector.load(model, device=device, fitted=fitted)


def resolved(name: str) -> tuple[str | Path, Path | None]:
    """What `name` stands for: a classical method with what it has learned, or a file of weights.

    Raises:
        InputError: nothing has the name, or a method that has not learned.
    """
    if name in CLASSICAL:
        return name, learned(name)
    if path := weights_of(name):
        return path, None
    raise unknown(name)


def learned(name: str) -> Path | None:
    """What a classical method has learned, in this checkout, else as it ships; None where it learns nothing.

    Raises:
        InputError: it learns, and has not.
    """
    found = fitted_file(name)
    if name in LEARNS and found is None:
        places = " nor ".join(map(str, fitted_places(name)))
        raise InputError(
            f"--model {name}: it learns from photographs first, and neither {places} is there; "
            f"`dvc repro baseline@{name}` makes the first, or choose another method or network"
        )
    return found


def fitted_file(name: str) -> Path | None:
    """The file with what a classical method has learned, None where there is none."""
    return next((path for path in fitted_places(name) if path.is_file()), None) if name in LEARNS else None


def fitted_places(name: str) -> tuple[Path, Path]:
    """Where it may lie: this checkout's own first."""
    from dbdflow.detector import WEIGHTS

    return seen_from_here(PREDICTIONS) / name / "fitted.npz", WEIGHTS / f"{name}.npz"


def weights_of(name: str) -> Path | None:
    """The file of weights that `name` stands for, if there is one."""
    from dbdflow.detector import WEIGHTS

    files = (
        seen_from_here(MODELS) / name / "model.safetensors",
        WEIGHTS / f"{name}.safetensors",
        Path(name) / "model.safetensors",
    )
    found = [path for path in (*files, Path(name)) if path.is_file()]
    return found[0] if found else None


def at_hand() -> list[str]:
    """Names that `find_detector` knows here: weights that ship, runs, methods that need not learn any more."""
    from dbdflow.detector import WEIGHTS

    known = [*(path.stem for path in sorted(WEIGHTS.glob("*.safetensors"))), *sorted(runs()), *CLASSICAL]
    return [name for name in dict.fromkeys(known) if name not in LEARNS or fitted_file(name)]


def runs() -> Iterable[str]:
    """Names of the runs of this checkout that have weights."""
    return (path.parent.name for path in seen_from_here(MODELS).glob("*/model.safetensors"))


def unknown(name: str) -> InputError:
    """Why nothing is meant by `name`, and what could be."""
    from components.common.availability import gap_of
    from dbdflow.detector import WEIGHTS

    if gap := gap_of(seen_from_here(MODELS) / name):
        return InputError(f"--model {name}: {gap}")
    if Path(name).is_dir():
        return InputError(f"--model {name}: a folder without model.safetensors; name another, or a file of weights")
    shipped = WEIGHTS.glob("*.safetensors")
    return InputError(
        f"--model {name}: nothing has this name. Methods: {', '.join(CLASSICAL)}; runs in data/models: "
        f"{listed(runs())}; weights that ship: {listed(path.stem for path in shipped)}; or name a folder with "
        "model.safetensors, a .safetensors file, a published checkpoint (.pt, .pth), or an exported .onnx file"
    )


def listed(names: Iterable[str]) -> str:
    """Names in words."""
    return ", ".join(sorted(names)) or "none here"
