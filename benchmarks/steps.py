"""A training step as published against ours, side by side: writes benchmarks/RESULTS.md.

Each side lives in a process of its own, which sets itself up and then waits; they take turns of a few steps, so that
whatever else the machine does meets both. The paper's sizes: batch 6, 320x320, ResNeSt101. Ours is what the paper
preset configures, on the shipped code path: batches from `components.datasets.loader`, teachers' features from a
cache on disk, `components.train.training.step`. Also printed: memory, what a step reads, and the floor that the
machine's measured matrix rate and bandwidth set.

    python benchmarks/steps.py [--rounds 5] [--steps 2] [--stages 1 2] [--device cpu]
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))
import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.clock import machine, timed
from benchmarks.published import PublishedStep
from components.datasets.loader import Batch, Flips, Jitter, TrainingSet, Views, batches
from components.models.registry import build_model
from components.models.runtime import Device, set_up
from components.params import Params, load_params
from components.train import experiment
from components.train.objectives import Projectors
from components.train.optimizer import Adam
from components.train.teacher_cache import CachedFeatures, HeldFeatures, Plan, open_cache, write_cache
from components.train.teachers import FEATURE_DTYPE, LEVELS
from components.train.training import announced, laid_out, step

ROOT = Path(__file__).parent.parent
OUT = ROOT / "benchmarks" / "RESULTS.md"
IMAGES = 24
"""Training images: the cost of a step does not depend on how many there are."""
DEPTH_CHANNELS, STRIDES = (2048, 1024, 512, 256), (32, 16, 8, 4)
"""MiDaS v2.1's features, deepest first."""
INFERENCE_BATCH = 32


@dataclass
class Turn:
    """What one side did in its turn."""

    seconds: list[float]
    waiting: float
    """Of these, for the batch to be there."""
    peak: int
    """Bytes of memory, the largest so far: of the process without the files it maps on the CPU, of tensors on CUDA."""


@dataclass
class Side:
    """A side's facts, and its turns."""

    flops: int
    traffic: int
    """Bytes a step has to move: what is saved for the backward pass, written and read; the optimizer's tensors."""
    read: int
    """Bytes of teachers' features a step reads."""
    rates: dict[str, float]
    """Measured on this machine: FLOP/s of a large product in the side's precision, bytes/s of a large copy."""
    turns: list[Turn] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Median of a step."""
        return statistics.median(second for turn in self.turns for second in turn.seconds)

    @property
    def floor(self) -> float:
        """Seconds below which a step cannot come on this machine: arithmetic or memory, whichever is longer."""
        return max(self.flops / self.rates["flops"], self.traffic / self.rates["bytes"])


class Memory(threading.Thread):
    """Looks fifty times a second how much memory of its own the process has; `peak` is the most that it saw."""

    def __init__(self, device: torch.device) -> None:
        super().__init__(daemon=True)
        self.device, self.seen = device, 0
        self.start()

    def run(self) -> None:
        while True:
            status = Path("/proc/self/status").read_text(encoding="ascii")
            self.seen = max(self.seen, 1024 * int(status.split("RssAnon:")[1].split()[0]))
            time.sleep(0.02)

    @property
    def peak(self) -> int:
        return torch.cuda.max_memory_allocated() if self.device.type == "cuda" else self.seen


def measured_rates(device: Device) -> dict[str, float]:
    """The best of several large matrix products (FLOP/s) and copies (bytes/s, read and written)."""
    dtype = getattr(torch, device.precision)
    side = 8192 if device.device.type == "cuda" else 2048
    a, b = (torch.randn(side, side, device=device.device, dtype=dtype) for _ in range(2))
    source = torch.empty(2**27, device=device.device)
    target = torch.empty_like(source)

    def best(work: Callable[[], object]) -> float:
        return min(timed(work, device.device) for _ in range(6))

    return {
        "flops": 2 * side**3 / best(lambda: torch.mm(a, b)),
        "bytes": 2 * source.nbytes / best(lambda: target.copy_(source)),
    }


def saved_bytes(work: Callable[[], object]) -> int:
    """Bytes that a step saves for its backward pass, each storage once."""
    seen: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        seen[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        work()
    return sum(seen.values())


def facts(work: Callable[[], object], parameters: int, read: int, device: Device) -> Side:
    """Run one step to count what it does. The optimizer reads weight, gradient and two moments, and writes three."""
    with FlopCounterMode(display=False) as counter:
        saved = saved_bytes(work)
    return Side(counter.get_total_flops(), 2 * saved + 7 * 4 * parameters, read, measured_rates(device))


def random_set(size: int, device: torch.device) -> TrainingSet:
    """Random images and labels."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (IMAGES, 3, size, size), dtype=np.uint8)
    labels = random.integers(0, 2, (IMAGES, 1, size, size), dtype=np.uint8)
    ids = [f"cuhk/{i}" for i in range(IMAGES)]
    return TrainingSet(torch.from_numpy(images).to(device), torch.from_numpy(labels).to(device), ids)


def endless(params: Params, data: TrainingSet, views: Views | None) -> Iterator[Batch]:
    """Batches of one epoch after the other."""
    augment, epoch = params.stage2.augment, 0
    while True:
        epoch += 1
        jitter = Jitter(augment.brightness, augment.contrast, augment.saturation)
        flips = Flips(params.resolved.flip, augment.flip_probability, jitter, views)
        yield from batches(data, params.stage2.batch_size, seed=0, epoch=epoch, flips=flips)


def ours(stage: int, device: Device, params: Params, folder: Path) -> tuple[Side, Iterator[float]]:
    """Our step as the paper preset configures it; an iterator that does a step and yields the seconds it waited."""
    run = params.stage1_runs["dffnet"].model_copy(update={"pretrained": False})
    model = experiment.new_model(params, "dffnet", run, device, Path("none"))
    data = random_set(params.image_size, device.device)
    if stage == 1:
        objective: Any = experiment.stage1_objective(params, run, None)
        rate, read = params.stage1.learning_rate, 0
    else:
        dtype = FEATURE_DTYPE[params.runtime.precision]
        plan = Plan("random", params.image_size, params.resolved.flip, dtype, Jitter(0, 0, 0), seed=0)
        teachers = {
            name: cached(plan, data, channels, folder / name, device.device)
            for name, channels in (("defocus", model.feature_channels), ("depth", DEPTH_CHANNELS))
        }
        objective = experiment.stage2_objective(params, params.stage2_runs["d_dffnet"], model, teachers)
        rate, read = params.stage2.learning_rate, 2 * params.stage2.batch_size * record_bytes(plan, DEPTH_CHANNELS)
    extra = objective.extra_optimizer()
    optimizers = [Adam(model.parameters(), learning_rate=rate), *([extra] if extra else [])]
    torch.nn.ModuleDict({"model": model, **objective.extras()}).train()
    views = None if stage == 1 else Views(1, seed=0)
    coming = announced(laid_out(endless(params, data, views), model), objective)

    def one() -> float:
        begun = time.perf_counter()
        batch = next(coming)
        waited = time.perf_counter() - begun
        clip = params.resolved.gradient_clip
        step(model, objective, batch, epoch=1, optimizers=optimizers, gradient_clip=clip, device=device)
        return waited

    parameters = sum(each.numel() for optimizer in optimizers for each in optimizer.parameters)
    return facts(one, parameters, read, device), iter(one, None)


def record_bytes(plan: Plan, channels: tuple[int, ...]) -> int:
    """Bytes of what a teacher says of one image."""
    places = [(plan.image_size // stride) ** 2 for stride in STRIDES]
    return np.dtype(plan.dtype).itemsize * sum(c * n for c, n in zip(channels, places, strict=True))


def cached(
    plan: Plan, data: TrainingSet, channels: tuple[int, ...], folder: Path, device: torch.device
) -> CachedFeatures | HeldFeatures:
    """A cache of random features of these channels, as the stages hold it."""

    def encode(images: torch.Tensor) -> dict[str, torch.Tensor]:
        sides = [plan.image_size // stride for stride in STRIDES]
        levels = zip(LEVELS, channels, sides, strict=True)
        return {name: torch.randn(len(images), count, side, side) for name, count, side in levels}

    list(write_cache(encode, data.images.cpu(), data.ids, folder, plan, views=1, batch_size=6))
    read = CachedFeatures([open_cache(folder, plan)], data.ids, LEVELS)
    return HeldFeatures(read, device) if device.type == "cuda" else read


def published(stage: int, device: Device, params: Params) -> tuple[Side, Iterator[float]]:
    """The published step on the same model and images; its data loader, which is not ours to time, is left out."""
    size, batch = params.image_size, params.stage2.batch_size
    student = build_model("dffnet", "resnest101e").to(device.device)
    teachers, projectors = {}, {}
    if stage == 2:
        teachers = {
            "defocus": build_model("dffnet", "resnest101e").to(device.device),
            "depth": build_model("midas", "resnext101_32x8d", width=256).to(device.device),
        }
        projectors = {
            name: Projectors(student.feature_channels, teacher.feature_channels).to(device.device)
            for name, teacher in teachers.items()
        }
    training = PublishedStep(student, teachers, projectors, params.stage2.learning_rate)
    images = torch.randn(batch, 3, size, size, device=device.device)
    labels = (torch.rand(batch, 1, size, size, device=device.device) > 0.5).float()

    def one() -> float:
        training(images, labels)
        return 0.0

    groups = [group["params"] for optimizer in training.optimizers for group in optimizer.param_groups]
    parameters = sum(each.numel() for group in groups for each in group)
    return facts(one, parameters, 0, device), iter(one, None)


def inference(device: Device, params: Params) -> float:
    """Images a second, bfloat16, batch 32, of a trained detector."""
    model = build_model("dffnet", "resnest101e").to(device.device).to(memory_format=torch.channels_last).eval()
    images = torch.randn(INFERENCE_BATCH, 3, params.image_size, params.image_size, device=device.device)
    images = images.to(memory_format=torch.channels_last)
    with torch.inference_mode(), torch.autocast(device.device.type, dtype=torch.bfloat16):
        seconds = [timed(lambda: model(images), device.device) for _ in range(4)]
    return INFERENCE_BATCH / statistics.median(seconds[1:])


def serve(side: str, stage: int, chosen: str) -> None:
    """A side's process: set up, say the facts, then do as many steps as each line of standard input asks for."""
    params = load_params(ROOT / "presets" / "paper.yaml")
    with tempfile.TemporaryDirectory() as name:
        if side == "published":
            device = set_up(device=chosen, precision="float32", deterministic=False, threads=0)
            told, steps = published(stage, device, params)
        else:
            device = set_up(device=chosen, precision=params.runtime.precision, deterministic=False, threads=0)
            told, steps = ours(stage, device, params, Path(name))
        print(json.dumps(asdict(told)), flush=True)
        memory, waited = Memory(device.device), list[float]()
        for line in sys.stdin:
            waited.clear()
            seconds = [timed(lambda: waited.append(next(steps)), device.device) for _ in range(int(line))]
            print(json.dumps(asdict(Turn(seconds, sum(waited), memory.peak))), flush=True)


def compare(stage: int, rounds: int, steps: int, device: str) -> dict[str, Side]:
    """Both sides of a stage, in turns."""
    processes, sides = {}, {}
    for name in ("published", "ours"):
        words = [sys.executable, __file__, "--side", name, "--stages", str(stage), "--device", device]
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        assert process.stdout is not None
        sides[name] = Side(**(json.loads(process.stdout.readline()) | {"turns": []}))
        processes[name] = process
    for number in range(rounds + 1):
        for name, process in processes.items():
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(f"{steps}\n")
            process.stdin.flush()
            turn = Turn(**json.loads(process.stdout.readline()))
            if number:  # the first round warms up
                sides[name].turns.append(turn)
            print(f"stage {stage}, {name}: {statistics.median(turn.seconds):.2f} s a step", flush=True)
    for process in processes.values():
        process.communicate()
    return sides


def rows(stage: int, sides: dict[str, Side], batch: int) -> list[str]:
    """A stage's table."""
    lines = [
        f"## Stage {stage}",
        "",
        "| side | s a step | steps/s | images/s | peak memory | teachers' features read a step | waiting for data "
        "| GFLOP a step | memory traffic a step, at least | floor |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, side in sides.items():
        spent = sum(second for turn in side.turns for second in turn.seconds)
        waiting = sum(turn.waiting for turn in side.turns) / spent
        lines.append(
            f"| {name} | {side.seconds:.3f} | {1 / side.seconds:.3f} | {batch / side.seconds:.2f} "
            f"| {max(turn.peak for turn in side.turns) / 2**30:.2f} GiB | {side.read / 2**20:.0f} MiB | {waiting:.2%} "
            f"| {side.flops / 1e9:.0f} | {side.traffic / 2**30:.2f} GiB "
            f"| {side.floor:.3f} s ({side.rates['flops'] / 1e9:.0f} GFLOP/s, {side.rates['bytes'] / 1e9:.1f} GB/s) |"
        )
    ratios = [
        statistics.median(a.seconds) / statistics.median(b.seconds)
        for a, b in zip(sides["ours"].turns, sides["published"].turns, strict=True)
    ]
    memory = max(turn.peak for turn in sides["ours"].turns) / max(turn.peak for turn in sides["published"].turns)
    time_ratio = statistics.median(ratios)
    return [
        *lines,
        "",
        f"Ours / published: **{time_ratio:.3f}** of the time (turns: {min(ratios):.3f} to {max(ratios):.3f}), "
        f"**{memory:.2f}** of the peak memory.",
        "",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=2, help="in a turn")
    parser.add_argument("--stages", type=int, nargs="+", default=[1, 2], choices=[1, 2])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--side", choices=["published", "ours"], help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.side:
        serve(chosen.side, chosen.stages[0], chosen.device)
        return
    params = load_params(ROOT / "presets" / "paper.yaml")
    batch = params.stage2.batch_size
    tables = []
    for stage in chosen.stages:
        tables += rows(stage, compare(stage, chosen.rounds, chosen.steps, chosen.device), batch)
    device = set_up(device=chosen.device, precision="bfloat16", deterministic=False, threads=0)
    tables += [
        "## Inference",
        "",
        f"A trained detector on batches of {INFERENCE_BATCH} at {params.image_size}x{params.image_size}, bfloat16: "
        f"**{inference(device, params):.2f} images/s**.",
    ]
    words = f"--rounds {chosen.rounds} --steps {chosen.steps} --stages {' '.join(map(str, chosen.stages))}"
    head = [
        "# A training step: as published, and ours",
        "",
        f"{time.strftime('%Y-%m-%d')}, `python benchmarks/steps.py {words}`, {machine(device.device)}. "
        f"Batch {batch}, {params.image_size}x{params.image_size}, ResNeSt101; medians over alternating turns of one "
        f"run; random images, random features. Ours: presets/paper.yaml ({params.runtime.precision}).",
        "",
    ]
    OUT.write_text("\n".join([*head, *tables]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
