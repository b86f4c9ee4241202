"""A training step as published against ours, side by side: writes benchmarks/RESULTS.md.

Each side lives in a process of its own, which sets itself up and then waits; they take turns of a few steps, so that
whatever else the machine does meets both. The paper's sizes: batch 6, 320x320, ResNeSt101. Ours is what the paper
preset configures, on the shipped code path: batches from `components.datasets.loader`, teachers' features from a
cache on disk, `components.train.capture`. Also printed: memory, what a step reads, and the floor that the
machine's measured matrix rate and bandwidth set. Rates and imports are paid for once in a run, not in each process.

    python benchmarks/steps.py [--rounds 5] [--steps 2] [--stages 1 2] [--device cpu]
"""

import argparse
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))
import torch

from benchmarks import sides
from benchmarks.clock import machine, measured_rates, timed
from benchmarks.sides import NAMES, Side, Turn, detector, sized
from components.models.runtime import Device, set_up
from components.params import Params
from components.train.capture import WARM_UP

ROOT = Path(__file__).parent.parent
OUT = ROOT / "benchmarks" / "RESULTS.md"
INFERENCE_BATCH = 32
Rates = dict[str, dict[str, float]]
"""Precision -> FLOP/s and bytes/s of this machine."""


def processes() -> Any:  # noqa: ANN401 (a context of multiprocessing)
    """Starts processes: by default from one in which everything is imported already."""
    start = multiprocessing.get_start_method(allow_none=True) or "forkserver"
    path = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *([path] if path else [])])  # of the process that forks
    found = multiprocessing.get_context(start)
    if start == "forkserver":
        found.set_forkserver_preload(["benchmarks.sides"])
    return found


def tell_rates(told: Connection, chosen: str) -> None:
    """Send this machine's rates in both precisions."""
    device = set_up(device=chosen, precision="float32", deterministic=False, threads=0).device
    told.send({precision: measured_rates(device, precision) for precision in ("float32", "bfloat16")})


def rates_of(chosen: str) -> Rates:
    """The rates of this machine, measured in a process that ends with it."""
    here, there = multiprocessing.Pipe()
    process = processes().Process(target=tell_rates, args=(there, chosen))
    process.start()
    there.close()
    found: Rates = here.recv()
    process.join()
    return found


def compare(stage: int, rounds: int, steps: int, device: str, *, tiny: bool = False) -> dict[str, Side]:
    """Both sides of a stage, in turns: built at one time, then each alone.

    Raises:
        EOFError: a side's process has ended; it has said why.
    """
    begun, asked, started = time.perf_counter(), {}, []
    for name in NAMES:
        asked[name], there = multiprocessing.Pipe()
        process = processes().Process(target=sides.serve, args=(there, name, stage, device, tiny))
        process.start()
        there.close()  # so that its end is seen here
        started.append(process)
    kinds = [each.recv() for each in asked.values()]
    found = {}
    for name, each in asked.items():
        each.send("facts")
        found[name] = each.recv()
    turn(stage, asked, WARM_UP + 2 if "cuda" in kinds else 1)  # warms up, and records
    print(f"stage {stage}: set up in {time.perf_counter() - begun:.1f} s", flush=True)
    for _ in range(rounds):
        for name, taken in turn(stage, asked, steps).items():
            found[name].turns.append(taken)
    for each in asked.values():
        each.close()
    for process in started:
        process.join()
    return found


def turn(stage: int, asked: dict[str, Connection], steps: int) -> dict[str, Turn]:
    """A turn of each side."""
    found = {}
    for name, each in asked.items():
        each.send(steps)
        found[name] = each.recv()
        print(f"stage {stage}, {name}: {statistics.median(found[name].seconds):.3f} s a step", flush=True)
    return found


def ratio(found: dict[str, Side], of: Callable[[Turn], float]) -> list[float]:
    """Ours over published, turn by turn."""
    pairs = zip(found["ours"].turns, found["published"].turns, strict=True)
    return [of(ours) / of(theirs) for ours, theirs in pairs]


def time_ratios(found: dict[str, Side]) -> list[float]:
    """Of the time of a step, turn by turn."""
    return ratio(found, lambda each: statistics.median(each.seconds))


def memory_ratio(found: dict[str, Side]) -> float:
    """Of the peak memory: the last turn's, as it is the largest so far."""
    return ratio(found, lambda each: each.peak)[-1]


def rows(stage: int, found: dict[str, Side], batch: int, rates: Rates) -> list[str]:
    """A stage's table."""
    lines = [
        f"## Stage {stage}",
        "",
        "| side | s a step | steps/s | images/s | peak memory | teachers' features read a step | waiting for data "
        "| GFLOP a step | memory traffic a step, at least | floor |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, side in found.items():
        spent = sum(second for turn in side.turns for second in turn.seconds)
        waiting = sum(turn.waiting for turn in side.turns) / spent
        flops, moved = rates[side.precision].values()
        floor = max(side.flops / flops, side.traffic / moved)
        lines.append(
            f"| {name}{' (a CUDA graph)' * side.turns[-1].replayed} "
            f"| {side.seconds:.3f} | {1 / side.seconds:.3f} | {batch / side.seconds:.2f} "
            f"| {side.turns[-1].peak / 2**30:.2f} GiB | {side.read / 2**20:.0f} MiB | {waiting:.2%} "
            f"| {side.flops / 1e9:.0f} | {side.traffic / 2**30:.2f} GiB "
            f"| {floor:.3f} s ({flops / 1e9:.0f} GFLOP/s, {moved / 1e9:.1f} GB/s) |"
        )
    times = time_ratios(found)
    return [
        *lines,
        "",
        f"Ours / published: **{statistics.median(times):.3f}** of the time (turns: {min(times):.3f} to "
        f"{max(times):.3f}), **{memory_ratio(found):.2f}** of the peak memory.",
        "",
    ]


def inference(device: Device, params: Params) -> float:
    """Images a second, bfloat16, batch 32, of a trained detector."""
    with torch.device(device.device):
        model = detector(params).to(memory_format=torch.channels_last).eval()
        images = torch.randn(INFERENCE_BATCH, 3, params.image_size, params.image_size)
    images = images.to(memory_format=torch.channels_last)
    with torch.inference_mode(), torch.autocast(device.device.type, dtype=torch.bfloat16):
        seconds = [timed(lambda: model(images), device.device) for _ in range(4)]
    return INFERENCE_BATCH / statistics.median(seconds[1:])


def page(chosen: argparse.Namespace, tables: Sequence[str]) -> str:
    """RESULTS.md."""
    params = sized(tiny=False)
    device = set_up(device=chosen.device, precision="bfloat16", deterministic=False, threads=0)
    words = f"--rounds {chosen.rounds} --steps {chosen.steps} --stages {' '.join(map(str, chosen.stages))}"
    size, batch = params.image_size, params.stage2.batch_size
    lines = [
        "# A training step: as published, and ours",
        "",
        f"{time.strftime('%Y-%m-%d')}, `python benchmarks/steps.py {words}`, {machine(device.device)}. "
        f"Batch {batch}, {size}x{size}, ResNeSt101; medians over alternating turns of one "
        f"run; random images, random features. Ours: presets/paper.yaml ({params.runtime.precision}).",
        "",
        *tables,
        "## Inference",
        "",
        f"A trained detector on batches of {INFERENCE_BATCH} at {size}x{size}, bfloat16: "
        f"**{inference(device, params):.2f} images/s**.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=2, help="in a turn")
    parser.add_argument("--stages", type=int, nargs="+", default=[1, 2], choices=[1, 2])
    parser.add_argument("--device", default="auto")
    chosen = parser.parse_args()
    rates, tables = rates_of(chosen.device), list[str]()
    for stage in chosen.stages:
        found = compare(stage, chosen.rounds, chosen.steps, chosen.device)
        tables += rows(stage, found, sized(tiny=False).stage2.batch_size, rates)
    OUT.write_text(page(chosen, tables), encoding="utf-8")


if __name__ == "__main__":
    main()
