"""An exported file: written, held against torch, and only then in its place."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from components.catalog.images import read_photograph
from components.common.errors import InputError
from components.common.storage import atomic_path
from components.export import needing
from components.export.program import (
    CHECKED,
    OWN,
    TOLERANCE,
    Floats,
    Program,
    Run,
    Watch,
    as_input,
    evenly,
    furthest,
    rounding,
    views,
)
from components.export.torchscript import open_torchscript, write_torchscript


def write(
    out: Path,
    program: Program,
    about: Mapping[str, str],
    *,
    checks: Sequence[Path],
    calibrates: Sequence[Path],
    watch: Watch,
) -> list[str]:
    """Write a program to `out`, whole or not at all.

    Args:
        out: its name ends in .onnx or .torchscript.
        program: on the CPU.
        about: see `program.facts`.
        checks: photographs by which it is held against torch.
        calibrates: photographs for 8 bits; none for float32. ONNX alone.
        watch: shows how far it is.

    Returns:
        what was measured, a line each.

    Raises:
        InputError: its maps are not torch's, a photograph cannot be read, or ONNX is not installed.
    """
    side = int(about["image_size"])

    def inputs(done: str) -> Iterable[Floats]:
        return watch(done, CHECKED, views(checks, side, program.step))

    with atomic_path(out) as temporary:
        if out.suffix == ".torchscript":
            write_torchscript(temporary, program, side, about)
            return [held_against_torch(out, open_torchscript(temporary), program, inputs)]
        with needing(out):
            from components.export.onnx_file import OnnxProgram, write_onnx  # noqa: PLC0415 (an extra brings it)
        write_onnx(temporary, program, side, about)
        whole = OnnxProgram(temporary)
        said = [held_against_torch(out, whole, program, inputs)]
        if calibrates:
            said.append(in_8_bits(temporary, whole, calibrates, evenly(checks, CHECKED), watch))
        return said


def held_against_torch(out: Path, run: Run, program: Program, inputs: Callable[[str], Iterable[Floats]]) -> str:
    """How far its maps are from torch's.

    Args:
        out: the file, for messages.
        run: what was written.
        program: what was exported.
        inputs: the photographs, by what is done to them.

    Raises:
        InputError: too far.
    """
    gap = furthest(run, program, inputs("checked"))
    if not gap <= TOLERANCE:
        most = max(TOLERANCE, OWN * rounding(program, inputs("checked torch's own")))
        if not gap <= most:
            raise InputError(
                f"{out}: its maps differ from torch's by up to {gap:.1e}, expected at most {most:.0e}, and it was not "
                "written; write this network in the other format, .onnx or .torchscript"
            )
    return f"at most {gap:.1e} from torch on {CHECKED} crops of photographs"


def in_8_bits(path: Path, whole: Run, calibrates: Sequence[Path], checks: Sequence[Path], watch: Watch) -> str:
    """Write the file at `path` anew in 8 bits; how far its maps are then from those in float32."""
    from components.export.int8 import CALIBRATED, write_int8  # noqa: PLC0415 (an extra brings it)
    from components.export.onnx_file import OnnxProgram  # noqa: PLC0415

    chosen = evenly(calibrates, CALIBRATED)
    write_int8(path, path, chosen, watch)
    small = OnnxProgram(path)
    inputs = (
        as_input(read_photograph(path), small.side, small.side) for path in watch("compared", len(checks), checks)
    )
    apart = float(np.mean([np.abs(small(each) - whole(each)).mean() for each in inputs]))
    return (
        f"8 bits, calibrated by {len(chosen)} photographs: MAE {apart:.4f} against the maps in float32, on the "
        f"{len(checks)} photographs of the check; hold it against labels before you use it"
    )
