"""A detector as a file that runs without this project: ONNX or TorchScript, photographs in, maps out."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.common.errors import InputError


@contextmanager
def needing(path: Path) -> Iterator[None]:
    """Import what ONNX files need, which the extra `export` brings.

    Raises:
        InputError: it is not installed; `path` is what it is needed for.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in ("onnx", "onnxruntime"):
            raise
        raise InputError(
            f"{path}: found no package {error.name}, expected onnx and onnxruntime for ONNX files; "
            "`pip install dbdflow[export]` brings both"
        ) from error
