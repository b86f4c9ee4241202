"""The trainings of a GPU's day: the paper's recipe, the cache of its teacher, the CUHK preset, on the shipped path."""

import logging
import shutil
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from benchmarks.archives import TE1, Pictures
from benchmarks.clock import Memory, synchronise
from benchmarks.gpu_rows import Day, Row
from benchmarks.sides import depth_network, detector, random_set, sized
from components.common.ledger import BACKBONES_FOLDER
from components.datasets.loader import TrainingSet
from components.datasets.prepared import PreparedSet
from components.maps.inference import predict_maps
from components.models.checkpoints import save_model
from components.models.network import Network
from components.models.run_files import WEIGHTS
from components.models.runtime import Device
from components.params import Params, load_params
from components.prepare.build import prepare_set
from components.train import experiment, teachers
from components.train.objectives import StageOne, StageTwo
from components.train.training import fit

ROOT = Path(__file__).parent.parent
PHOTOGRAPHS = 604
"""CUHK-TR-1's."""
EPOCHS_TIMED = 2
"""Of 100 steps each: the first warms up, the second is what all others take."""


class Heard(logging.Handler):
    """What a module says while it works."""

    def __init__(self, module: str) -> None:
        super().__init__()
        self.said = list[str]()
        logging.getLogger(module).setLevel(logging.INFO)
        logging.getLogger(module).addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())

    @property
    def told(self) -> str:
        """All of it, for the end of a note."""
        return "".join(f"; {each}" for each in self.said)


def recipe_rows(day: Day, stage: int) -> Iterator[Row]:
    """The paper's recipe on the shipped path: 75 epochs of 604 photographs, with a checkpoint each."""
    params = sized(tiny=day.dry)
    device = day.set_up(params.runtime.precision)
    epochs = params.stage1.epochs if day.full and not day.dry else EPOCHS_TIMED
    count = 2 * params.stage1.batch_size if day.dry else PHOTOGRAPHS
    data, folder = random_set(params.image_size, count, device.device), day.work / "scratch"
    heard = Heard("components.train.capture")
    seconds, memory = epoch_seconds(params, stage, data, device, folder=folder, epochs=epochs)
    whole = sum(seconds) + (params.stage1.epochs - len(seconds)) * seconds[-1]
    how = (
        "measured whole"
        if len(seconds) == params.stage1.epochs
        else f"{len(seconds)} epochs measured, rest as the last"
    )
    steps = count // params.stage1.batch_size
    yield Row(f"recipe, stage {stage}: 75 epochs", whole, "s", f"{how}: {seconds[0]:.1f} s, then {seconds[-1]:.1f}")
    yield Row(
        f"recipe, stage {stage}: a step, all in",
        1000 * seconds[-1] / steps,
        "ms",
        f"{steps} steps, a checkpoint{heard.told}",
    )
    yield Row(f"recipe, stage {stage}: peak memory", memory / 2**30, "GiB", "tensors" if not day.dry else "process")


def epoch_seconds(
    params: Params, stage: int, data: TrainingSet, device: Device, *, folder: Path, epochs: int
) -> tuple[list[float], int]:
    """Seconds of each of the first epochs of a stage, what comes before the first in it; the peak of memory."""
    run = params.stage1_runs["dffnet"].model_copy(update={"pretrained": False})
    shutil.rmtree(folder, ignore_errors=True)
    begun, memory = time.perf_counter(), Memory(device.device)
    model = experiment.new_model(params, "dffnet", run, device, folder)
    if stage == 1:
        objective: StageOne | StageTwo = experiment.stage1_objective(params, run, None)
        course = experiment.course_of(params, "dffnet", run, views=0)
    else:
        objective, views = distilling(params, model, data, device, folder)
        course = experiment.course_of(params, "d_dffnet", params.stage2_runs["d_dffnet"], views=views)
    times = [begun]
    for _ in fit(model, objective, data, course, device=device, checkpoint=folder / "checkpoint.pt"):
        synchronise(device.device)
        times.append(time.perf_counter())
        if len(times) > epochs:
            break
    shutil.rmtree(folder, ignore_errors=True)
    return [after - before for before, after in pairwise(times)], memory.peak


def distilling(params: Params, model: Network, data: TrainingSet, device: Device, folder: Path) -> tuple[StageTwo, int]:
    """The objective of stage 2 with both teachers as its stage sets them up, their weights random; views, 0: online."""
    both = teacher_weights(params, folder)
    list(teachers.cache_depth_teacher(params, data, weights=both["depth"], cache=folder / "cuhk", device=device))
    depth = teachers.depth_teacher_of(
        params, data, weights=both["depth"], cache=folder, names=teachers.LEVELS, device=device
    )
    places = {"weights": both["defocus"], "cache": folder / "defocus_cache"}
    list(teachers.cache_defocus_teacher(params, data, **places, device=device, most=depth.views))
    defocus = teachers.defocus_teacher_of(params, data, **places, device=device)
    heard = {"defocus": defocus, "depth": depth}
    objective = experiment.stage2_objective(params, params.stage2_runs["d_dffnet"], model, heard)
    return objective, min(defocus.views, depth.views)


def teacher_weights(params: Params, folder: Path) -> dict[str, Path]:
    """Files of both teachers, their weights random."""
    paths = {name: folder / name / WEIGHTS for name in ("defocus", "depth")}
    for (name, path), make in zip(paths.items(), (detector, depth_network), strict=True):
        path.parent.mkdir(parents=True)
        save_model(path, make(params), {"run": name})
    return paths


def cached_rows(day: Day) -> Iterator[Row]:
    """The depth teacher's features: how fast they are cached, one view with both flips, and read again."""
    params = sized(tiny=day.dry)
    settings = params.teacher.model_copy(update={"mode": "cached", "cache_gb": 1e-6})  # a view, however large
    params = params.model_copy(update={"teacher": settings})
    device, folder = day.set_up(params.runtime.precision), day.work / "scratch"
    data = random_set(params.image_size, 2 if day.dry else 96, device.device)
    shutil.rmtree(folder, ignore_errors=True)
    weights = teacher_weights(params, folder)["depth"]
    begun = time.perf_counter()
    list(teachers.cache_depth_teacher(params, data, weights=weights, cache=folder / "cuhk", device=device))
    taken = time.perf_counter() - begun
    size = sum(path.stat().st_size for path in (folder / "cuhk").iterdir()) / len(data)
    yield Row("features cached", len(data) / taken, "photographs/s", f"{size / 1e6:.1f} MB each; {taken:.1f} s in all")
    begun = time.perf_counter()
    teachers.depth_teacher_of(params, data, weights=weights, cache=folder, names=teachers.LEVELS, device=device)
    yield Row("features read", len(data) / (time.perf_counter() - begun), "photographs/s", "checked, and held")
    shutil.rmtree(folder)


def cuhk_rows(day: Day) -> Iterator[Row]:
    """The CUHK preset's trainings of stage 1, as many as there is time for, scored on CUHK-TE-1 at network size."""
    params, folder = load_params(ROOT / "presets" / "cuhk.yaml"), day.work / "cuhk"
    shutil.rmtree(folder, ignore_errors=True)  # a training of another day would be gone on with
    photographs = Path(day.photographs) if day.photographs else None
    if day.dry:
        params = shrunk(params)
        photographs = photographs or made_up(folder / "raw")
    if photographs is None:
        yield Row("CUHK", None, "", "not run: no photographs were named")
        return
    device = day.set_up(params.runtime.precision)
    begun, large = time.perf_counter(), params.prepare.large_size
    prepare_set("cuhk", photographs, folder / "cuhk", image_size=params.image_size, large_size=large, partial=True)
    prepared = PreparedSet.load(folder / "cuhk")
    yield Row("CUHK: prepared", time.perf_counter() - begun, "s", f"{len(prepared.ids)} photographs")
    inbox = folder / "inbox" / BACKBONES_FOLDER
    if day.encoder:
        inbox.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(day.encoder, inbox / "mobilenetv2_100.safetensors")
    start = "ImageNet weights" if day.encoder else "random weights"
    for name, run in list(params.stage1_runs.items())[: 1 if day.dry else None]:
        settings = run if day.encoder else run.model_copy(update={"pretrained": False})
        begun, best = time.perf_counter(), run.training == "best1"
        data = experiment.training_set(run.train, folder, device, large=best)
        model = experiment.new_model(params, name, settings, device, inbox.parent)
        objective = experiment.stage1_objective(params, settings, None)
        course = experiment.course_of(params, name, settings, views=0)
        checkpoint = folder / f"{name}.pt"
        for record in fit(model, objective, data, course, device=device, checkpoint=checkpoint):
            taken, told = time.perf_counter() - begun, f"of {record.epochs} epochs of {len(data)}, from {start}"
            yield Row(f"CUHK: {name}, epoch {record.epoch}", taken, "s since its start", told)
        error = mean_error(model.eval(), prepared, params, device.device, best=best)
        yield Row(f"CUHK: {name}, MAE", error, "", f"CUHK-TE-1 at {params.image_size}x{params.image_size}")


def shrunk(params: Params) -> Params:
    """The CUHK preset for a dry run."""
    best = params.best1.model_copy(update={"epochs": 1, "size": 64, "batch_size": 2})
    prepare = params.prepare.model_copy(update={"large_size": 64})
    return params.model_copy(update={"best1": best, "image_size": 64, "prepare": prepare})


def made_up(folder: Path) -> Path:
    """Four photographs to train on and two of CUHK-TE-1, for a dry run."""
    pictures, rest = Pictures(0), [f"out_of_focus{number:04d}" for number in range(1, 40)]
    for stem in [*TE1[:2], *[stem for stem in rest if stem not in TE1][:4]]:
        pictures.pair(folder / f"image/{stem}.jpg", folder / f"gt/{stem}.png", 96, 128)
    return folder


def mean_error(
    model: torch.nn.Module, prepared: PreparedSet, params: Params, device: torch.device, *, best: bool
) -> float:
    """MAE on CUHK-TE-1, at network size."""
    rows = prepared.split("CUHK-TE-1")
    maps = predict_maps(model, prepared.images[rows], batch_size=params.predict.batch_size, device=device, best=best)
    return float(np.abs(np.concatenate(list(maps)).astype(np.float32) - prepared.labels[rows]).mean())
