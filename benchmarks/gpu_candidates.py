"""Ways to run a training step on a GPU, against each other: `gpu_table`, which `benchmarks/candidates.py` offers.

A candidate lives in a process of its own: a compiler that fails or takes too long takes nothing else with it. It runs
the steps of presets/paper.yaml (quick: of presets/smoke.yaml) from the same weights over the same batches as all
others, batches made as in a training; in stage 2 both teachers run online, as by the paper's recipe on a GPU.
"""

import gc
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))
import numpy as np
import torch
from torch import nn
from torch.optim.adam import adam

from benchmarks.clock import machine, synchronise
from components.datasets.loader import Batch, held
from components.models.network import Network
from components.models.registry import build_model
from components.models.runtime import Device, set_up
from components.params import Params, load_params
from components.train import experiment
from components.train.capture import CudaGraphs, Recorded, Replayed, Runner, Step, as_it_is
from components.train.optimizer import BETAS, EPSILON, Adam
from components.train.teacher_cache import OnlineFeatures, named
from components.train.teachers import LEVELS
from components.train.training import laid_out

ROOT = Path(__file__).parent.parent
IMAGES = 24
STEPS, QUICK_STEPS = 100, 8
UNTIMED = 0.2
"""Share of the steps that is start-up: choice of kernels, recording, compiling."""
AT_END = 0.1
"""Share of the steps over which the loss at the end is a mean."""


class Foreach(Adam):
    """Adam by torch's lists of tensors instead of its fused kernel; its counts of steps lie on the host, as torch's."""

    def __init__(self, parameters: Iterable[torch.Tensor], **how: Any) -> None:  # noqa: ANN401 (Adam's own)
        super().__init__(parameters, **how)
        self.state["step"] = [torch.zeros(()) for _ in self.parameters]

    @torch.no_grad()
    def step(self) -> None:
        chosen = [index for index, each in enumerate(self.parameters) if each.grad is not None]
        gradients = [each.grad for each in self.parameters if each.grad is not None]
        parts = [[each[index] for index in chosen] for each in (self.parameters, *self.state.values())]
        parameters, mean, square, steps = parts
        adam(
            parameters, gradients, mean, square, [], steps, foreach=True, fused=False, amsgrad=False, beta1=BETAS[0],
            beta2=BETAS[1], lr=self.learning_rate, weight_decay=self.weight_decay, eps=EPSILON, maximize=False,
        )  # fmt: skip


class Certain(Recorded):
    """Where recording fails, there is nothing to measure."""

    def _record(self, batch: Batch) -> None:
        self.replayed = Replayed(self.step, self.recorder, batch)


@dataclass(frozen=True)
class Candidate:
    """A way to run a step.

    Attributes:
        name: in the table.
        optimizer: Adam's arithmetic.
        compiled: torch.compile's mode for the networks' forward and backward passes; None = not compiled.
        recorded: as a CUDA graph.
        cuda: whether it says something on a GPU alone.
    """

    name: str
    optimizer: type[Adam] = Adam
    compiled: str | None = None
    recorded: bool = False
    cuda: bool = True

    def network(self, model: nn.Module) -> Any:  # noqa: ANN401 (torch's own)
        return model if self.compiled is None else torch.compile(model, mode=self.compiled)

    def runner(self, step: Step) -> Runner:
        return Certain(step, CudaGraphs(step.device.device)) if self.recorded else as_it_is(step)


CANDIDATES = (
    Candidate("eager", cuda=False),
    Candidate("CUDA graph (ours)", recorded=True),
    Candidate("eager, again: what reruns differ by"),
    Candidate("eager, Adam by foreach", optimizer=Foreach, cuda=False),
    Candidate("torch.compile, default", compiled="default"),
    Candidate("torch.compile, default, within a CUDA graph", compiled="default", recorded=True),
    Candidate("torch.compile, max-autotune", compiled="max-autotune"),
)
"""In the order in which they are run: what matters most comes first, in case time runs out."""


@dataclass(frozen=True)
class Found:
    """What a candidate did in a stage.

    Attributes:
        start: seconds before the timed steps, less what these would have taken.
        step: seconds of a step.
        memory: bytes, at its peak: on a GPU of what torch has reserved, else of the process.
        loss: at the end, a mean.
    """

    start: float
    step: float
    memory: int
    loss: float


def training(params: Params, stage: int, candidate: Candidate, device: Device) -> Iterator[Callable[[], torch.Tensor]]:
    """Steps of a stage, each to be called; the loss comes out."""
    run = params.stage1_runs["dffnet"].model_copy(update={"pretrained": False})
    model = experiment.new_model(params, "dffnet", run, device, Path("none")).train()
    random, size = np.random.default_rng(0), params.image_size
    images = torch.from_numpy(random.integers(0, 256, (IMAGES, 3, size, size), dtype=np.uint8))
    labels = (images[:, :1] > images.median()).to(torch.uint8)
    data = held(images, labels, [f"random/{i}" for i in range(IMAGES)], device.device)
    if stage == 1:
        objective: Any = experiment.stage1_objective(params, run, None)
    else:
        teachers = {name: teacher(params, name, candidate, device) for name in ("defocus", "depth")}
        objective = experiment.stage2_objective(params, params.stage2_runs["d_dffnet"], model, teachers)
    settings = params.stage1 if stage == 1 else params.stage2
    course = experiment.schedule_of(params, "dffnet", settings, views=0)
    optimizers = [candidate.optimizer(model.parameters(), learning_rate=settings.learning_rate)]
    if extra := objective.extra_optimizer():
        optimizers.append(candidate.optimizer(extra.parameters, **rates(extra)))
    step = Step(candidate.network(model), objective, optimizers, course.gradient_clip, device)
    go, weight = candidate.runner(step), objective.weight_of(1)
    batches = (each for epoch in count(1) for each in laid_out(course.batches(data, epoch), model))

    def one(batch: Batch) -> torch.Tensor:
        return go(objective.read(batch), weight)["loss"]

    return ((lambda: one(next(batches))) for _ in count())


def rates(optimizer: Adam) -> dict[str, float]:
    return {"learning_rate": optimizer.learning_rate, "weight_decay": optimizer.weight_decay}


def teacher(params: Params, name: str, candidate: Candidate, device: Device) -> OnlineFeatures:
    """A teacher of the preset's architecture, with random weights."""
    torch.manual_seed(len(name))
    first, depth = params.stage1_runs["dffnet"], params.depth_teacher
    if name == "depth":
        model = build_model("midas", depth.backbone, backbone_kwargs=depth.backbone_options, width=depth.width)
    else:
        model = build_model(first.model, first.backbone, backbone_kwargs=first.backbone_options)
    batchnorm = params.resolved.teacher_batchnorm == "batch"
    model = experiment.placed(model, device).requires_grad_(False).train(batchnorm)
    encode = candidate.network(Encoder(model))
    return OnlineFeatures(lambda images: named(encode(images)), LEVELS, channels=model.feature_channels)


class Encoder(nn.Module):
    """What runs of a teacher."""

    def __init__(self, model: Network) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self.model.encode(images)


def measure(params: Params, stage: int, candidate: Candidate, device: Device, total: int) -> Found:
    """Run so many steps of a stage."""
    cuda, before = device.device.type == "cuda", max(1, int(UNTIMED * total))
    if cuda:
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    begun = time.perf_counter()
    steps = training(params, stage, candidate, device)
    losses = [each() for each in islice(steps, before)]
    synchronise(device.device)
    started = time.perf_counter()
    losses += [each() for each in islice(steps, total - before)]
    synchronise(device.device)
    second = (time.perf_counter() - started) / (total - before)
    memory = torch.cuda.max_memory_reserved() if cuda else 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    at_end = torch.stack(losses[-max(1, int(AT_END * total)) :]).mean().item()
    return Found(max(0.0, started - begun - before * second), second, memory, at_end)


def serve(number: int, chosen: str, quick: bool) -> None:
    """A candidate's process: a line of JSON a stage."""
    params = load_params(ROOT / "presets" / f"{'smoke' if quick else 'paper'}.yaml")
    device = set_up(device=chosen, precision=params.runtime.precision, deterministic=False, threads=0)
    for stage in (1, 2):
        found = measure(params, stage, CANDIDATES[number], device, QUICK_STEPS if quick else STEPS)
        print(json.dumps(asdict(found)), flush=True)


def ask(number: int, device: str, quick: bool, seconds: float) -> tuple[list[Found], str]:
    """What a candidate found in the stages that it came through in time, and what stopped it."""
    words = [sys.executable, __file__, str(number), device, *(["quick"] if quick else [])]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=seconds, cwd=ROOT, check=False)
        out, reason = done.stdout, (done.stderr.strip().splitlines() or ["ended early"])[-1] if done.returncode else ""
    except subprocess.TimeoutExpired as late:
        out, reason = (late.stdout or b"").decode(), f"not done within {seconds:.0f} s"
    lines = [line for line in out.splitlines() if line.startswith("{")]
    return [Found(**json.loads(line)) for line in lines], reason


def row(candidate: Candidate, stage: int, found: Found | None, eager: Found | None, reason: str) -> str:
    if found is None:
        return f"| {stage} | {candidate.name} | {reason.replace('|', '/')[:120]} | | | | |"
    apart = abs(found.loss - eager.loss) / abs(eager.loss) if eager else float("nan")
    ratio = found.step / eager.step if eager else float("nan")
    return (
        f"| {stage} | {candidate.name} | {1e3 * found.step:.1f} | {ratio:.2f} | {found.memory / 2**30:.2f} "
        f"| {found.start:.1f} | {apart:.1e} |"
    )


def gpu_table(device: str, quick: bool, *, seconds: float = 420.0) -> str:
    """The table of candidates, Markdown.

    Args:
        device: "cpu" or "cuda".
        quick: a rehearsal: the smallest networks and few steps.
        seconds: for all of it; a candidate that does not get done in what is left says so.
    """
    where = set_up(device=device, precision="float32", deterministic=False, threads=0).device
    end, rows = time.monotonic() + seconds, dict[int, list[str]]({1: [], 2: []})
    eager: list[Found] = []
    for number, candidate in enumerate(CANDIDATES):
        found, reason = list[Found](), "needs CUDA"
        if where.type == "cuda" or not candidate.cuda:
            found, reason = ask(number, where.type, quick, max(1.0, end - time.monotonic()))
        eager = eager or found
        for stage in rows:
            at = stage - 1
            mine, its = (each[at] if at < len(each) else None for each in (found, eager))
            rows[stage].append(row(candidate, stage, mine, its, reason))
            print(rows[stage][-1], file=sys.stderr, flush=True)
    sizes = "presets/smoke.yaml (a rehearsal, no measurement)" if quick else "presets/paper.yaml"
    steps = QUICK_STEPS if quick else STEPS
    return "\n".join(
        [
            f"{time.strftime('%Y-%m-%d')}, {machine(where)}. Steps of {sizes}, batches made on the device; a process a "
            f"candidate; difference: of the loss after {steps} steps from the same start, relative to eager's.",
            "",
            "| stage | candidate | ms a step | of eager | memory, GiB | start-up, s | difference |",
            "|---|---|---|---|---|---|---|",
            *rows[1],
            *rows[2],
        ]
    )


if __name__ == "__main__":
    serve(int(sys.argv[1]), sys.argv[2], "quick" in sys.argv)
