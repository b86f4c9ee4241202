"""An exported ONNX file in 8 bits: onnxruntime's static quantisation of the convolutions.

Weights and activations are signed, with a scale a channel; an activation's range holds 99.99 % of its values over the
calibration photographs, as was chosen on the validation photographs (docs/export.md). All else stays float32.
"""

import contextlib
import hashlib
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    quant_pre_process,
    quantize_static,
)

from components.catalog.images import read_photograph
from components.common.storage import file_hash
from components.export.onnx_file import OnnxProgram, state
from components.export.program import INPUT, Floats, Watch, as_input

CALIBRATED = 40
"""Photographs that ranges are taken from, at most."""
PERCENTILE = 99.99


class Photographs(CalibrationDataReader):  # type: ignore[misc] # onnxruntime is not typed
    """Calibration photographs as onnxruntime asks for them: so many, in order, one in memory at a time."""

    def __init__(self, paths: Iterable[Path], count: int, side: int) -> None:
        self.paths, self.count, self.side = iter(paths), count, side
        self.asked = 0

    def __len__(self) -> int:
        return self.count

    def set_range(self, start_index: int, end_index: int) -> None:
        """So many are asked for."""
        self.asked = end_index - start_index

    def get_next(self) -> dict[str, Floats] | None:
        """The next input; None after those that are asked for."""
        self.asked -= 1
        if self.asked < 0:
            return None
        return {INPUT: as_input(read_photograph(next(self.paths)), self.side, self.side)}


def write_int8(path: Path, whole: Path, photographs: Sequence[Path], watch: Watch) -> None:
    """Write an exported ONNX file anew with 8-bit convolutions; its metadata names the photographs.

    Args:
        path: file to write.
        whole: the file in float32.
        photographs: whose activations set the ranges.
        watch: shows how far it is.

    Raises:
        InputError: one cannot be read.
    """
    program = OnnxProgram(whole)
    with contextlib.redirect_stdout(io.StringIO()), TemporaryDirectory() as folder:  # it says a line a photograph
        folded = Path(folder, "folded.onnx")
        quant_pre_process(whole, folded, skip_symbolic_shape=True)
        quantize_static(
            folded,
            path,
            Photographs(watch("calibrated by", len(photographs), photographs), len(photographs), program.side),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            per_channel=True,
            calibrate_method=CalibrationMethod.Percentile,
            extra_options={"CalibPercentile": PERCENTILE, "CalibStridedMinMax": 1},  # one photograph in memory
        )
    state(path, program.facts | calibration(photographs))


def calibration(photographs: Sequence[Path]) -> dict[str, str]:
    """What names the set of calibration photographs."""
    hashes = "\n".join(sorted(map(file_hash, photographs)))
    return {
        "precision": f"int8 convolutions, static, {PERCENTILE} % of activations",
        "calibration": ", ".join(path.name for path in photographs),
        "calibration_sha256": hashlib.sha256(hashes.encode()).hexdigest(),
    }
