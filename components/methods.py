"""A method that is a function of a photograph: the classical ones (`components.baselines`), or anybody's.

`baselines` of params.yaml names each as `module:function`, a module of this checkout:

    function(image) -> map              image uint8 (H, W, 3) RGB, map floats (H, W) in [0, 1], 1 = in focus

With a training split, the module's `fit` comes first, and what it returns goes along with each photograph:

    fit(photographs) -> fitted          photographs: a sequence of (image, label uint8 (H, W), 1 = in focus);
                                        fitted: a dictionary of arrays
    function(image, fitted) -> map
"""

import difflib
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from components.catalog.images import read_photograph
from components.common.errors import InputError
from components.common.storage import atomic_path, write_whole
from components.datasets.prepared import PreparedSet, require_photographs
from components.maps.files import encode_values

Labelled = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""A photograph, (H, W, 3) RGB, and its label, (H, W) in {0, 1}, 1 = in focus."""
Fitted = Mapping[str, NDArray[Any]]


class Photographs(Sequence[Labelled]):
    """The photographs of training splits at their own size, each read when it is asked for."""

    def __init__(self, splits: Sequence[tuple[str, str]], raw: Path, prepared: Path) -> None:
        """Splits are (set, split) pairs.

        Raises:
            NotAvailableError: a set could not be prepared, or there is no photograph of a split.
        """
        self.raw = raw
        self.rows: list[tuple[PreparedSet, int]] = []
        for name, split in splits:
            data = PreparedSet.load(prepared / name)
            require_photographs(data, split)
            self.rows += [(data, int(row)) for row in data.split(split)]

    def __len__(self) -> int:
        """How many there are."""
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Labelled: ...

    @overload
    def __getitem__(self, index: slice) -> list[Labelled]: ...

    def __getitem__(self, index: int | slice) -> Labelled | list[Labelled]:
        """One of them, or several."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        data, row = self.rows[index]
        return np.array(read_photograph(self.raw / data.name / data.rows[row].image)), data.full_label(row)


@dataclass(frozen=True)
class Method:
    """A method as params.yaml has it: its name there, and `module:function`."""

    name: str
    function: str

    def __str__(self) -> str:
        """How errors name it."""
        return f"baselines.{self.name} ({self.function})"

    def find(self, attribute: str | None = None) -> Callable[..., Any]:
        """The function, or another one of its module.

        Raises:
            InputError: there is no such module or function, or the module cannot be imported.
        """
        name, _, function = self.function.partition(":")
        module, wanted = self._module(name), attribute or function
        found = getattr(module, wanted, None)
        if not callable(found):
            near = difflib.get_close_matches(wanted, [each for each in vars(module) if not each.startswith("_")], n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise InputError(f"{self}: {module.__file__} has no function {wanted!r}, which is expected there{hint}")
        return found  # type: ignore[no-any-return]

    def _module(self, name: str) -> ModuleType:
        try:
            return import_module(name)
        except Exception as error:
            missing = error.name if isinstance(error, ModuleNotFoundError) else None
            if missing and f"{name}.".startswith(f"{missing}."):
                file = f"{name.replace('.', '/')}.py"
                raise InputError(f"{self}: found no module {name!r}; expected {file} in the checkout") from error
            raise InputError(f"{self}: module {name!r} cannot be imported; correct this:\n{shown(error)}") from error


def shown(error: Exception) -> str:
    """An error that foreign code raised, from where it was called."""
    frames = traceback.extract_tb(error.__traceback__)[1:]
    lines = traceback.format_list([frame for frame in frames if not frame.filename.startswith("<frozen")])
    return "".join([*lines, *traceback.format_exception_only(error)]).rstrip()


def fit(method: Method, splits: Sequence[tuple[str, str]], raw: Path, prepared: Path, out: Path) -> None:
    """Let a method learn from the photographs of some (set, split) pairs; what it has learned goes to `out` (.npz).

    Raises:
        NotAvailableError: a split is not there.
        InputError: the module has no `fit`, or it failed or returned something else than a dictionary of arrays.
    """
    photographs, learn = Photographs(splits, raw, prepared), method.find("fit")
    try:
        fitted = learn(photographs)
    except InputError as error:
        raise InputError(f"{method}: {error}") from error
    except Exception as error:
        raise InputError(f"{method}: `fit` failed; correct this:\n{shown(error)}") from error
    if not isinstance(fitted, dict) or not all(
        isinstance(key, str) and isinstance(value, np.ndarray) and value.dtype != object
        for key, value in fitted.items()
    ):
        raise InputError(
            f"{method}: `fit` returned {type(fitted).__name__}, expected a dictionary of NumPy arrays, by text"
        )
    with atomic_path(out) as temporary, temporary.open("wb") as file:
        np.savez(file, **fitted)


@cache
def ready(method: Method, fitted: Path | None) -> Callable[[NDArray[np.uint8]], object]:
    """The method as a function of the image alone, once a process."""
    function = method.find()
    if fitted is None:
        return function
    with np.load(fitted, allow_pickle=False) as arrays:
        learned = dict(arrays)
    return lambda image: function(image, learned)


def make_map(method: Method, fitted: Path | None, photograph: Path, out: Path) -> None:
    """Write a method's map of one photograph (see `find_map`) as `encode_values` makes it, whole or not at all."""
    write_whole(out, encode_values(find_map(method, fitted, photograph)))


def find_map(method: Method, fitted: Path | None, photograph: Path) -> NDArray[np.floating[Any]]:
    """A method's map of one photograph, at its size, floats (H, W) in [0, 1], 1 = in focus.

    Raises:
        InputError: the photograph cannot be read; see `map_of`.
    """
    return map_of(method, fitted, np.array(read_photograph(photograph)), str(photograph))


def map_of(
    method: Method, fitted: Path | None, image: NDArray[np.uint8], name: str = "this image"
) -> NDArray[np.floating[Any]]:
    """A method's map of an image, uint8 (H, W, 3) RGB, which errors call `name`: floats (H, W) in [0, 1], 1 = in focus.

    Raises:
        InputError: the method failed on it, or returned something else than a map.
    """
    size = image.shape[:2]
    detect = ready(method, fitted)
    try:
        found = detect(image)
    except Exception as error:
        raise InputError(f"{method}: failed on {name}; correct this:\n{shown(error)}") from error
    if wrong := fault(found, size):
        raise InputError(
            f"{method}: of {name} it returned {wrong}, expected a NumPy array of floats, "
            f"shape {size}, all from 0 to 1, 1 = in focus; correct the function"
        )
    return np.asarray(found)


def fault(found: object, size: tuple[int, ...]) -> str:
    """What is wrong with a map of a photograph of this height and width; empty if nothing is."""
    if not isinstance(found, np.ndarray):
        return f"a {type(found).__module__}.{type(found).__name__}"
    if found.shape != size:
        return f"shape {found.shape}"
    if not np.issubdtype(found.dtype, np.floating):
        return f"{found.dtype}"
    if bad := np.count_nonzero(~np.isfinite(found)):
        return f"{bad} values that are NaN or infinite"
    low, high = found.min(), found.max()
    return f"values from {low:.4g} to {high:.4g}" if low < 0 or high > 1 else ""
