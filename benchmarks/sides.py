"""The two sides of a training step, as published and ours: each sets itself up in a process and then takes its turns.

The processes are forked from one that has imported everything and touched nothing else, so that a run pays for the
imports once, while each side has its own memory and its own context on the GPU. Networks are drawn on the device.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch._dynamo  # before anything is forked: torch.optim imports it
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.clock import Memory, timed
from benchmarks.published import PublishedStep
from components.datasets.loader import Batch, Flips, Jitter, TrainingSet, Views, batches, held
from components.models.network import Network
from components.models.registry import build_model
from components.models.runtime import Device, set_up
from components.models.timm_import import import_timm
from components.params import Params, load_params
from components.train import experiment
from components.train.capture import Recorded, Step, as_it_is, runner
from components.train.objectives import Projectors
from components.train.optimizer import Adam
from components.train.teacher_cache import CachedFeatures, HeldFeatures, Plan, open_cache, write_cache
from components.train.teachers import FEATURE_DTYPE, LEVELS
from components.train.training import announced, laid_out

import_timm()  # before anything is forked: it would be imported by each
ROOT = Path(__file__).parent.parent
NAMES = ("published", "ours")
STRIDES = (32, 16, 8, 4)
"""Of the teachers' features, deepest first."""
BATCHES = 4
"""Of training images: the cost of a step does not depend on how many there are."""
NARROW = {"channels": [8, 8, 16, 16], "stem_width": 8}


def sized(*, tiny: bool) -> Params:
    """The paper's preset; or one of its shape that a CPU does in a moment, for a dry run."""
    params = load_params(ROOT / "presets" / "paper.yaml")
    if not tiny:
        return params
    runs = {
        name: run.model_copy(update={"backbone": "resnet10t", "backbone_options": NARROW})
        for name, run in params.stage1_runs.items()
    }
    depth = {"backbone": "resnet10t", "backbone_options": NARROW, "width": 8}
    return params.model_copy(
        update={
            "image_size": 64,
            "stage1": params.stage1.model_copy(update={"batch_size": 2}),
            "stage2": params.stage2.model_copy(update={"batch_size": 2}),
            "stage1_runs": runs,
            "teacher": params.teacher.model_copy(update={"cache_gb": 1e-6}),  # a view, however large
            "depth_teacher": params.depth_teacher.model_copy(update=depth),
        }
    )


def detector(params: Params) -> Network:
    """The paper's detector, its weights random, on the device that torch makes tensors on."""
    run = params.stage1_runs["dffnet"]
    return build_model(run.model, run.backbone, backbone_kwargs=run.backbone_options)


def depth_network(params: Params) -> Network:
    """The depth teacher, likewise."""
    settings = params.depth_teacher
    return build_model("midas", settings.backbone, backbone_kwargs=settings.backbone_options, width=settings.width)


@dataclass
class Turn:
    """What one side did in its turn."""

    seconds: list[float]
    waiting: float
    """Of these, for the batch to be there."""
    peak: int
    """Bytes of memory, the largest so far: of the process without the files it maps on the CPU, of tensors on CUDA."""
    replayed: bool
    """Whether steps are replayed from a recording."""


@dataclass
class Side:
    """A side's facts, and its turns."""

    flops: int
    traffic: int
    """Bytes a step has to move: what is saved for the backward pass, written and read; the optimizer's tensors."""
    read: int
    """Bytes of teachers' features a step reads."""
    precision: str
    turns: list[Turn] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Median of a step."""
        return statistics.median(second for turn in self.turns for second in turn.seconds)


def saved_bytes(work: Callable[[], object]) -> int:
    """Bytes that a step saves for its backward pass, each storage once."""
    seen: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        seen[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        work()
    return sum(seen.values())


def facts(side: "Built", precision: str) -> Side:
    """Run one step to count what it does. The optimizer reads weight, gradient and two moments, and writes three."""
    with FlopCounterMode(display=False) as counter:
        saved = saved_bytes(side.counted)
    return Side(counter.get_total_flops(), 2 * saved + 7 * 4 * side.parameters, side.read, precision)


def random_set(size: int, count: int, device: torch.device) -> TrainingSet:
    """Random images and labels."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (count, 3, size, size), dtype=np.uint8)
    labels = random.integers(0, 2, (count, 1, size, size), dtype=np.uint8)
    ids = [f"cuhk/{i}" for i in range(count)]
    return held(torch.from_numpy(images), torch.from_numpy(labels), ids, device)


def endless(params: Params, data: TrainingSet, views: Views | None) -> Iterator[Batch]:
    """Batches of one epoch after the other."""
    augment, epoch = params.stage2.augment, 0
    while True:
        epoch += 1
        jitter = Jitter(augment.brightness, augment.contrast, augment.saturation)
        flips = Flips(params.resolved.flip, augment.flip_probability, jitter, views)
        yield from batches(data, params.stage2.batch_size, seed=0, epoch=epoch, flips=flips)


@dataclass(frozen=True)
class Built:
    """A side that is ready.

    Attributes:
        one: does a step and returns the seconds that it waited for its batch.
        counted: the same, every kernel by itself, for the facts.
        parameters: numbers that are trained.
        read: bytes of teachers' features that a step reads.
        replayed: whether steps are replayed from a recording by now.
    """

    one: Callable[[], float]
    counted: Callable[[], float]
    parameters: int
    read: int
    replayed: Callable[[], bool] = lambda: False


def ours(stage: int, device: Device, params: Params, folder: Path) -> Built:
    """Our step as the paper preset configures it."""
    run = params.stage1_runs["dffnet"].model_copy(update={"pretrained": False})
    with torch.device(device.device):
        model = experiment.new_model(params, "dffnet", run, device, Path("none"))
        with torch.device("meta"):
            channels = {"defocus": model.feature_channels, "depth": depth_network(params).feature_channels}
    data = random_set(params.image_size, BATCHES * params.stage2.batch_size, device.device)
    if stage == 1:
        objective: Any = experiment.stage1_objective(params, run, None)
        rate, read = params.stage1.learning_rate, 0
    else:
        dtype = FEATURE_DTYPE[params.runtime.precision]
        plan = Plan("random", params.image_size, params.resolved.flip, dtype, Jitter(0, 0, 0), seed=0)
        teachers = {name: cached(plan, data, each, folder / name) for name, each in channels.items()}
        objective = experiment.stage2_objective(params, params.stage2_runs["d_dffnet"], model, teachers)
        rate, read = params.stage2.learning_rate, params.stage2.batch_size * record_bytes(plan, channels.values())
    extra = objective.extra_optimizer()
    optimizers = [Adam(model.parameters(), learning_rate=rate), *([extra] if extra else [])]
    torch.nn.ModuleDict({"model": model, **objective.extras()}).train()
    views = None if stage == 1 else Views(1, seed=0)
    coming = announced(laid_out(endless(params, data, views), model), objective)

    step = Step(model, objective, optimizers, params.resolved.gradient_clip, device)
    run, weight = runner(step), objective.weight_of(1)

    def alone(batch: Batch, weight: float) -> object:
        work = lambda: as_it_is(step)(batch, weight)  # noqa: E731
        return run.recorder.run(work) if isinstance(run, Recorded) else work()

    def one(run: Callable[[Batch, float], object]) -> float:
        begun = time.perf_counter()
        batch = objective.read(next(coming))
        waited = time.perf_counter() - begun
        run(batch, weight)
        return waited

    return Built(
        one=partial(one, run),
        counted=partial(one, alone),
        parameters=sum(each.numel() for optimizer in optimizers for each in optimizer.parameters),
        read=read,
        replayed=lambda: isinstance(run, Recorded) and run.replayed is not None,
    )


def record_bytes(plan: Plan, teachers: Iterator[tuple[int, ...]]) -> int:
    """Bytes of what teachers of these channels say of one image."""
    places = [(plan.image_size // stride) ** 2 for stride in STRIDES]
    numbers = sum(c * n for channels in teachers for c, n in zip(channels, places, strict=True))
    return np.dtype(plan.dtype).itemsize * numbers


def cached(plan: Plan, data: TrainingSet, channels: tuple[int, ...], folder: Path) -> CachedFeatures | HeldFeatures:
    """A cache of random features of these channels, the same of every image, as the stages hold it."""
    sides = [plan.image_size // stride for stride in STRIDES]
    drawn = {name: torch.randn(1, count, side, side) for name, count, side in zip(LEVELS, channels, sides, strict=True)}

    def encode(images: torch.Tensor) -> dict[str, torch.Tensor]:
        return {name: value.expand(len(images), -1, -1, -1) for name, value in drawn.items()}

    list(write_cache(encode, data.images.cpu(), data.ids, folder, plan, views=1, batch_size=6))
    read = CachedFeatures([open_cache(folder, plan)], data.ids, LEVELS)
    return HeldFeatures(read, data.device) if data.device.type == "cuda" else read


def published(stage: int, device: Device, params: Params, _: Path) -> Built:
    """The published step on the same model and images; its data loader, which is not ours to time, is left out."""
    size, batch = params.image_size, params.stage2.batch_size
    with torch.device(device.device):
        student = detector(params)
        teachers = {"defocus": detector(params), "depth": depth_network(params)} if stage == 2 else {}
        projectors = {
            name: Projectors(student.feature_channels, teacher.feature_channels) for name, teacher in teachers.items()
        }
        images = torch.randn(batch, 3, size, size)
        labels = (torch.rand(batch, 1, size, size) > 0.5).float()
    training = PublishedStep(student, teachers, projectors, params.stage2.learning_rate)

    def one() -> float:
        training(images, labels)
        return 0.0

    groups = [group["params"] for optimizer in training.optimizers for group in optimizer.param_groups]
    return Built(one, one, parameters=sum(each.numel() for group in groups for each in group), read=0)


def serve(asked: Connection, name: str, stage: int, chosen: str, tiny: bool) -> None:
    """A side's process: set up, wait to be asked for the facts, then do so many steps as it is asked for each time."""
    params = sized(tiny=tiny)
    precision = "float32" if name == "published" else params.runtime.precision
    with tempfile.TemporaryDirectory() as folder:
        device = set_up(device=chosen, precision=precision, deterministic=False, threads=0)
        build = {"published": published, "ours": ours}[name]
        side = build(stage, device, params, Path(folder))
        asked.send(device.device.type)
        try:
            asked.recv()
            asked.send(facts(side, precision))
            memory = Memory(device.device)
            while True:
                waited: list[float] = []
                seconds = [
                    timed(lambda: waited.append(side.one()), device.device)  # noqa: B023 (called at once)
                    for _ in range(asked.recv())
                ]
                asked.send(Turn(seconds, sum(waited), memory.peak, side.replayed()))
        except EOFError:  # who asked has all, or has gone
            return
