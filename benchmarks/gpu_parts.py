"""The parts of a GPU's day, each a stream of rows; `gpu_day.py` runs each in a process with a share of the time.

A dry run does the same at sizes that a CPU does in moments: its rows are there, and their figures mean nothing.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from types import ModuleType

import numpy as np
import torch

from benchmarks import candidates
from benchmarks.clock import measured_rates
from benchmarks.gpu_rows import Day, Row
from benchmarks.gpu_trainings import cached_rows, cuhk_rows, recipe_rows
from benchmarks.parallel import environment
from benchmarks.steps import compare, memory_ratio, time_ratios
from components.models.registry import build_model
from tests.models import tiny
from tests.parity_tools import fill_as_reference, goldens, named_tensors

ROOT = Path(__file__).parent.parent
CLOSE = 1e-3
"""Largest difference from a golden tensor, of its largest value: a GPU sums in another order. float32, TF32 is off."""
CANDIDATE_SECONDS = 90.0
PARITY = {
    "dffnet": ("resnest101e", {}),
    "dffnet_vgg16": ("vgg16", {}),
    "pdnet": ("resnest101e", {}),
    "rdffnet": ("resnest101e", {"final_depth": False}),
    "midas": ("resnext101_32x8d", {}),
}
NEEDED = ("torch", "torchvision", "timm", "numpy", "opencv-python-headless", "pandas", "pydantic", "dvc")


def machine_rows(day: Day) -> Iterator[Row]:
    """What it runs on."""
    device = day.set_up()
    found = {name: metadata.version(name) for name in NEEDED if importlib.util.find_spec(module_of(name))}
    versions = ", ".join(f"{name} {version}" for name, version in found.items())
    name = torch.cuda.get_device_name() if device.device.type == "cuda" else "none"
    yield Row("GPU", torch.cuda.device_count() if name != "none" else 0, "", f"{name}, CUDA {torch.version.cuda}")
    yield Row("CPU cores", os.cpu_count() or 0, "", f"Python {sys.version.split()[0]}, {versions}")
    for precision in ("float32", "bfloat16"):
        rates = measured_rates(device.device, precision, **({"side": 64, "numbers": 2**10} if day.dry else {}))
        yield Row(f"matrix products, {precision}", rates["flops"] / 1e12, "TFLOP/s", f"{rates['bytes'] / 1e9:.0f} GB/s")


def module_of(package: str) -> str:
    """The module that a package is imported by."""
    return {"opencv-python-headless": "cv2"}.get(package, package)


def apart(ours: np.ndarray, golden: np.ndarray) -> float:
    """The largest difference, of the largest golden value."""
    return float(np.abs(ours - golden).max() / np.abs(golden).max())


def judged(what: str, found: float) -> Row:
    """A row of a comparison."""
    return Row(what, found, "", f"{'within' if found <= CLOSE else 'MISSED:'} {CLOSE}")


def golden_rows(day: Day) -> Iterator[Row]:
    """The models' outputs in float32 against the recorded ones, and against the published code's."""
    device = day.set_up().device
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    with np.load(tiny.GOLDENS) as file:
        recorded = dict(file)
    for name in tiny.MODELS:
        found = tiny.outputs(name, device)
        yield judged(f"golden, small {name}", max(apart(value, recorded[key]) for key, value in found.items()))
    if not day.parity:
        yield Row("golden, published code", None, "", "not run: no folder of the reference's tensors")
        return
    reference = reference_module(Path(day.parity))
    for name in ["dffnet"] if day.dry else PARITY:
        backbone, options = PARITY[name]
        model = build_model(name, backbone, **options)
        fill_as_reference(model, reference)
        with torch.no_grad():
            outputs = named_tensors(model.to(device).eval()(torch.from_numpy(reference.images(1)).to(device)))
        expected = goldens(Path(day.parity).parent, name)
        yield judged(f"golden, published {name}", max(apart(outputs[key], value) for key, value in expected.items()))


def reference_module(parity: Path) -> ModuleType:
    """The reference's weights and inputs."""
    spec = importlib.util.spec_from_file_location("reference_fill", parity / "fill.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def step_rows(day: Day, stage: int) -> Iterator[Row]:
    """The published step over ours, in turns of one run."""
    rounds, steps = (1, 1) if day.dry else (3, 10)
    begun = time.perf_counter()
    found = compare(stage, rounds, steps, day.device, tiny=day.dry)
    taken = time.perf_counter() - begun
    for name, side in found.items():
        how = "replayed from a CUDA graph" if side.turns[-1].replayed else "every kernel by itself"
        note = f"{how}; peak memory {side.turns[-1].peak / 2**30:.2f} GiB"
        yield Row(f"stage {stage}: a step, {name}", 1000 * side.seconds, "ms", note)
    ratio = float(np.median(time_ratios(found)))
    yield Row(f"stage {stage}: published / ours", 1 / ratio, "", f"ours / published {ratio:.3f}; {taken:.0f} s in all")
    yield Row(f"stage {stage}: memory, published / ours", 1 / memory_ratio(found))


def candidate_rows(day: Day) -> Iterator[Row]:
    """What was tried to make a step faster."""
    begun = time.perf_counter()
    table = candidates.gpu_table(day.device, day.dry, seconds=CANDIDATE_SECONDS)
    (Path(day.out) / "candidates.md").write_text(table, encoding="utf-8")
    yield Row("candidates", time.perf_counter() - begun, "s", "the table below")


def dvc_rows(day: Day) -> Iterator[Row]:
    """A training of the smallest preset through DVC, and all before it, where DVC and a git checkout are there."""
    lacking = [name for name in ("dvc", "click", "psutil", "distributed") if importlib.util.find_spec(name) is None]
    if lacking or not (ROOT / ".git").exists():
        why = f"{', '.join(lacking)} not installed here" if lacking else "no git checkout"
        yield Row("DVC, smoke preset", None, "", f"not run: {why}")
        return
    clone = day.work / "clone"
    shutil.rmtree(clone, ignore_errors=True)
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
    shutil.copy(clone / "presets" / "smoke.yaml", clone / "params.yaml")
    only = ["--only", "prepare@ctcug" if day.dry else "train_stage1@dffnet"]
    begun = time.perf_counter()
    command = [sys.executable, "-m", "pipelines.cli", "reproduce", *only]
    subprocess.run(command, cwd=clone, env=environment(clone), check=True)
    taken = time.perf_counter() - begun
    shutil.rmtree(clone)
    yield Row("DVC, smoke preset", taken, "s", " ".join(only))


Part = Callable[[Day], Iterator[Row]]


def run_part(name: str) -> Part:
    """The part of a name: the word before a blank, with a stage behind it where there are two."""
    word, _, stage = name.partition(" stage ")
    if stage:
        staged = {"steps": step_rows, "recipe": recipe_rows}[word]
        return lambda day: staged(day, int(stage))
    whole: dict[str, Part] = {
        "environment": machine_rows,
        "goldens": golden_rows,
        "candidates": candidate_rows,
        "features": cached_rows,
        "CUHK": cuhk_rows,
        "DVC": dvc_rows,
    }
    return whole[word]
