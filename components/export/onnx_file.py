"""A program as an ONNX file, written by torch's tracing exporter and run by onnxruntime, on the CPU."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from components.common.cores import cores
from components.common.errors import InputError, one_message
from components.export.program import INPUT, OUTPUT, Floats, Program, as_input, tracing

OPSET = 17
"""Read by onnxruntime 1.13 and later."""
AXES = {0: "batch", 2: "height", 3: "width"}
QUIET = 3
"""onnxruntime's level of what it prints: errors alone."""


def write_onnx(path: Path, program: Program, side: int, facts: Mapping[str, str]) -> None:
    """Write a program, with any batch, height and width, and what is said of it.

    Args:
        path: file to write.
        program: on the CPU.
        side: of the photograph that it is traced with, pixels.
        facts: kept in the file's metadata.
    """
    with tracing():
        torch.onnx.export(
            program,
            (torch.rand(1, 3, side, side),),
            str(path),
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes={INPUT: AXES, OUTPUT: AXES},
            opset_version=OPSET,
            dynamo=False,
        )
    state(path, facts)


def state(path: Path, facts: Mapping[str, str]) -> None:
    """Put `facts` into the metadata of an ONNX file."""
    model = onnx.load(path)
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 1
    model.producer_name = "dbdflow"
    onnx.helper.set_model_props(model, dict(facts) | {"opset": str(model.opset_import[0].version)})
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


class OnnxProgram:
    """An ONNX file that was exported here, ready to run on the CPU.

    Attributes:
        facts: what it says of itself.
        side: height and width that its network was trained at, pixels.

    Raises:
        InputError: the file is broken, or was not exported here.
    """

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = cores(), QUIET
        with one_message(lambda error: f"{path}: not a readable ONNX file ({first_line(error)}); export it again"):
            # as bytes: tensors that it says lie in other files are not looked for
            self.session = onnxruntime.InferenceSession(path.read_bytes(), options, ["CPUExecutionProvider"])
        self.facts: dict[str, str] = self.session.get_modelmeta().custom_metadata_map
        names = [each.name for each in (*self.session.get_inputs(), *self.session.get_outputs())]
        if names != [INPUT, OUTPUT] or not self.facts.get("image_size", "").isdecimal():
            raise InputError(f"{path}: an ONNX file of something else; expected one that `dbdflow export` wrote")
        self.side = int(self.facts["image_size"])

    def __call__(self, photographs: Floats) -> Floats:
        """Photographs to maps, as `components.export.program` says."""
        (maps,) = self.session.run([OUTPUT], {INPUT: photographs})
        return np.asarray(maps, np.float32)

    def maps(self, photos: Sequence[NDArray[np.uint8]]) -> Tensor:
        """Maps of photographs of any sizes, uint8 (h, w, 3) RGB each, at the trained size: float32 (N, 1, S, S)."""
        seen = [as_input(Image.fromarray(photo), self.side, self.side) for photo in photos]
        return torch.from_numpy(self(np.concatenate(seen)))


def first_line(error: Exception) -> str:
    """The first line of what a library says."""
    return f"{type(error).__name__}: {error}".splitlines()[0]
