"""Tensors out of a file of weights that anybody may have written: told by its content, and what is left off is said.

No pickle from outside is executed (`weights_only=True`). A network computes with dense real numbers: of any float
precision, which is said; what is quantised, sparse, complex, without values, NaN or infinite is refused.
"""

import logging
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from components.common.availability import require
from components.common.errors import InputError, one_message
from components.common.looks import looks_like
from components.models.wrapping import ALONE, unwrapped, without_prefix

log = logging.getLogger(__name__)

HEADER = (
    "dbdflow"  # the one metadata key: safetensors writes several in random order, and equal weights must hash equal
)
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
INTEGERS = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
COUNTER = "num_batches_tracked"
"""Last part of the name of BatchNorm's counter, which no forward pass uses."""
LARGEST_RATIO = 100
"""Bytes of all tensors to those of their file: torch can store one value as any number of equal ones."""


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file of weights (safetensors, or torch's own), dense and finite, on the CPU, as they are stored.

    Raises:
        NotAvailableError: the run was not trained, for want of something.
        InputError: the file is missing or broken, holds no set of weights or several, or tensors of no use.
    """
    must_exist(path)
    ours, said = False, list[str]()
    if is_safetensors(path):
        with opened(path) as file:
            ours = HEADER in (file.metadata() or {})
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (it is no mapping)
    else:
        with reading(path):
            state, said = unwrapped(path, read_torch(path))
    check_tensors(path, state)
    if ours:
        return state
    state, left_off = without_prefix(state)
    if said := [*said, *left_off, *converted(state)]:
        log.warning("%s: %s", path, "; ".join(said))
    return state


def must_exist(path: Path) -> None:
    """Go on only if there is such a file.

    Raises:
        NotAvailableError: the run was not trained, for want of something.
        InputError: there is none.
    """
    require(path.parent)
    if path.is_dir():
        raise InputError(f"{path}: a folder; name the file of weights in it")
    if not path.is_file():
        raise InputError(f"{path}: no such file; run the stage that makes it (`dvc repro`)")


def is_safetensors(path: Path) -> bool:
    """Whether a file begins as safetensors do: the length of a JSON text, and that."""
    with path.open("rb") as file:
        return file.read(9)[8:] == b"{"


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """A safetensors file, as its library has it.

    Raises:
        InputError: it cannot be read, or the block cannot.
    """
    if not is_safetensors(path):
        raise no_weights(path)
    with reading(path):
        yield safe_open(path, framework="pt", device="cpu")


def reading(path: Path) -> AbstractContextManager[None]:
    """Whatever a library raises on a damaged file of weights, as one message.

    Raises:
        InputError: the block raised anything.
    """

    def message(error: Exception) -> str:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        return f"{path}: not a readable file of weights ({reason}); fetch it again (cut short?)"

    return one_message(message)


def no_weights(path: Path) -> InputError:
    """The error for a file that is of another kind altogether."""
    return InputError(
        f"{path}: not weights but {looks_like(path)}; expected a file of safetensors or of torch (.pt, .pth): get it "
        "again, or name another file"
    )


def read_torch(path: Path) -> object:
    """What lies in a file of `torch.save`, as far as it is plain data and tensors.

    Raises:
        InputError: it is none, or holds other objects. What is damaged raises anything.
    """
    with path.open("rb") as file:
        start = file.read(4)
    if start == b"PK\x03\x04":
        check_zip(path)
    elif start[:1] != b"\x80":  # of a pickle
        raise no_weights(path)
    try:
        with warnings.catch_warnings(action="ignore"):  # of kinds of tensors that are refused
            return torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        if not (other := re.search(r"GLOBAL ([\w.]+)", str(error))):
            raise InputError(f"{path}: a pickle, but none that `torch.save` wrote; {ALONE}") from error
        raise InputError(
            f"{path}: not a file of weights alone: an object {other[1]} is in it, which could run anything and was not "
            f"opened; {ALONE}"
        ) from error


def check_zip(path: Path) -> None:
    """Refuse a zip that `torch.save` did not write: damaged, a program (TorchScript), an archive of other files."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    inside = {name.partition("/")[2] for name in names}
    if "constants.pkl" in inside:
        raise InputError(f"{path}: a TorchScript program, which is not opened; {ALONE}")
    if "data.pkl" not in inside:
        held = next(iter(names), "nothing")
        raise InputError(f"{path}: a zip archive that holds {held}; unpack it, and name the file of weights in it")


def check_tensors(path: Path, state: Mapping[Any, Tensor]) -> None:
    """Refuse tensors without names, or with values that a network cannot compute with; the first is named."""
    for key, value in state.items():
        if not isinstance(key, str):
            raise InputError(f"{path}: the key {key!r} is of type {type(key).__name__}, expected a name; {ALONE}")
        if why := kind_of(value):
            raise InputError(
                f"{path}: {key} is {why}; expected dense real numbers of 16 to 64 bits: convert it before saving, or "
                "name another file"
            )
    held, stored = sum(value.numel() * value.element_size() for value in state.values()), path.stat().st_size
    if held > LARGEST_RATIO * stored:
        raise InputError(f"{path}: {held} bytes of tensors in a file of {stored}; save them whole, by `.contiguous()`")
    for key, value in state.items():
        if not key.endswith(COUNTER) and not (finite := torch.isfinite(value.float())).all():
            raise InputError(
                f"{path}: {key} has {int((~finite).sum())} of {value.numel()} values that are NaN or infinite in "
                "float32; these weights compute nothing: name another file, or an earlier checkpoint"
            )


def kind_of(value: Tensor) -> str:
    """What keeps a tensor from being computed with; empty if nothing does."""
    if value.is_meta:
        return "a tensor without values (on the meta device)"
    if value.is_quantized:
        return f"quantised ({value.dtype})"
    if value.is_nested or value.layout != torch.strided:
        return "a nested tensor" if value.is_nested else f"sparse ({value.layout})"
    return "" if value.dtype in FLOATS + INTEGERS else f"of type {value.dtype}"


def converted(state: Mapping[str, Tensor]) -> list[str]:
    """What becomes of tensors in another precision than float32."""
    found = {value.dtype for value in state.values() if value.is_floating_point()} - {torch.float32}
    return [f"{str(dtype).removeprefix('torch.')} taken as float32" for dtype in FLOATS if dtype in found]
