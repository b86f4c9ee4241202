"""A program as a TorchScript file: torch alone opens it, in Python or C++."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from components.export.program import Floats, Program, Run, tracing

FACTS = "dbdflow.json"
"""The file inside that says what it is."""


def write_torchscript(path: Path, program: Program, side: int, facts: Mapping[str, str]) -> None:
    """Write a program, with any batch, height and width, and what is said of it; arguments as `write_onnx` has them."""
    with tracing(), torch.inference_mode():
        traced: Any = torch.jit.trace(program, torch.rand(1, 3, side, side), check_trace=False)  # type: ignore[no-untyped-call]
        buffer = io.BytesIO()  # in a file it would keep the file's temporary name
        torch.jit.save(traced, buffer, _extra_files={FACTS: json.dumps(dict(facts), indent=1)})
    path.write_bytes(buffer.getvalue())


def open_torchscript(path: Path) -> Run:
    """A file that was just written, as a function of photographs."""
    with tracing():
        loaded: Any = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]

    def run(photographs: Floats) -> Floats:
        with torch.inference_mode():
            found: Floats = loaded(torch.from_numpy(photographs)).numpy()
            return found

    return run
