"""From a params file to what the engine takes: plain values, models, objectives. Everything here can change a number.

The stages in `pipelines/` call these in the order of the paper's procedure and watch what comes out.
"""

import hashlib
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from components.common import ledger
from components.common.errors import InputError
from components.common.storage import file_hash
from components.datasets.loader import Flips, Jitter, TrainingSet, Views, held, load_rows
from components.datasets.prepared import PreparedSet, require_photographs
from components.models.checkpoints import check_start, load_published
from components.models.network import Network
from components.models.registry import build_model
from components.models.runtime import Device, device_of, memory_format
from components.params import Best1, DepthTeacher, Params, Stage1Run, Stage2Run, Training
from components.recipe import TrainingSplit, training_splits
from components.train.best import Best, Crops, Overlap
from components.train.objectives import Distilled, Projectors, StageOne, StageOneWithDepth, StageTwo, Supervision
from components.train.schedules import distillation_weight
from components.train.teacher_cache import TeacherFeatures
from components.train.training import Course, Schedule

Done = tuple[int, int]


def run_seed(seed: int, run: str) -> int:
    """A run's own seed, in [0, 2^32): no two runs start from the same weights, in the same order, with the same flips.

    In the published code a stage-2 student differs from its teacher in these too, as two networks are drawn before it.
    """
    return int.from_bytes(hashlib.sha256(f"{seed}/{run}".encode()).digest()[:4], "big")


def course_of(params: Params, name: str, run: Stage1Run | Stage2Run, *, views: int) -> Course:
    """The course of the run `name`, by the paper or by the recipe `best`.

    Args:
        params: of the experiment.
        name: of the run, which its seed comes from.
        run: of stage 1 or stage 2.
        views: of an image that its cached teachers saw, 0 = it has none.
    """
    training: Training | Best1 = getattr(params, run.training)
    if isinstance(training, Best1):
        return best_of(params, name, training)
    return schedule_of(params, name, training, views=views)


def best_of(params: Params, run: str, training: Best1) -> Best:
    """The course of a run by the recipe `best`."""
    augment = training.augment
    jitter = Jitter(augment.brightness, augment.contrast, augment.saturation)
    return Best(
        epochs_run=training.epochs,
        batch_size=training.batch_size,
        learning_rate=training.learning_rate,
        encoder_rate=training.encoder_rate,
        weight_decay=training.weight_decay,
        warm_up=training.warm_up,
        gradient_clip=params.resolved.gradient_clip,
        averaging=training.averaging,
        crops=Crops(training.size, augment.smallest_crop, augment.flip_probability, jitter),
        seed=run_seed(params.seed, run),
    )


def overlap_of(training: Best1) -> Overlap:
    """The loss of the recipe `best`."""
    return Overlap(training.iou_weight, training.side_weight)


def schedule_of(params: Params, run: str, training: Training, *, views: int) -> Schedule:
    """The course of a run of stage 1 or stage 2; `views` are those that its cached teachers saw, 0 = it has none."""
    decided, augment = params.resolved, training.augment
    jitter = Jitter(augment.brightness, augment.contrast, augment.saturation)
    return Schedule(
        epochs=training.epochs,
        epochs_rule=decided.epochs,
        batch_size=training.batch_size,
        learning_rate=training.learning_rate,
        poly_power=training.poly_power,
        poly_rule=decided.poly,
        gradient_clip=decided.gradient_clip,
        flips=Flips(decided.flip, augment.flip_probability, jitter, Views(views, params.seed) if views else None),
        seed=run_seed(params.seed, run),
    )


def supervision_of(params: Params, training: Training, loss: str, final_weight: float) -> Supervision:
    """Equations 6 and 7 for a run's loss: "bce" or "bce&el"."""
    return Supervision(
        lambda_edge=training.lambda_edge if loss == "bce&el" else 0.0,
        reduction=params.resolved.edge_reduction,
        final_weight=final_weight,
        side_weight=training.side_weight,
    )


def training_set(train: TrainingSplit, prepared: Path, device: Device, *, large: bool = False) -> TrainingSet:
    """The images and labels of a training split, at network size or (`large`) as the recipe `best` crops them.

    Raises:
        NotAvailableError: one of its sets is not there, or holds no photograph of it.
    """
    sets = [(PreparedSet.load(prepared / name), split) for name, split in training_splits(train)]
    for each, split in sets:
        require_photographs(each, split)
    return load_rows([(each, each.split(split)) for each, split in sets], device.device, large=large)


def new_model(params: Params, name: str, run: Stage1Run, device: Device, inbox: Path) -> Network:
    """The model of the run `name` with its initial weights, which depend on the seed and its name alone.

    See `initial_weights` for the backbone's.

    Raises:
        InputError: they cannot be had, or are not this backbone's.
    """
    torch.manual_seed(run_seed(params.seed, name))
    options: dict[str, Any] = {}
    if run.model == "rdffnet":
        options["final_depth"] = params.resolved.depth_outputs == "final_and_sides"
    model = build_model(
        run.model,
        run.backbone,
        pretrained=(start := initial_weights(run.pretrained, run.backbone, inbox)),
        backbone_kwargs=run.backbone_options,
        **options,
    )
    check_start(start, model.backbone)
    return placed(model, device)


def placed(model: Network, device: Device) -> Network:
    """The model on the device, in the memory layout that suits both."""
    model = model.to(device.device)
    return model.to(memory_format=memory_format(model))


def initial_weights(pretrained: bool | str, backbone: str, inbox: Path) -> Path | bool:
    """What a backbone starts from: the file that `pretrained` names, else the one that was imported into `inbox`.

    True, for timm's own loader, where nothing was imported; False for random weights.

    Raises:
        InputError: `pretrained` names a file that is not there.
    """
    if not isinstance(pretrained, str):
        imported = inbox / ledger.BACKBONES_FOLDER / f"{backbone}.safetensors"
        return imported if pretrained and imported.exists() else pretrained
    if not Path(pretrained).is_file():
        raise InputError(
            f"pretrained: {pretrained}: no such file; expected one of {backbone}'s weights (safetensors), relative to "
            f"the checkout or absolute; or say `dbdflow import {backbone} FILE` and set pretrained: true"
        )
    return Path(pretrained)


def origin(pretrained: bool | str, backbone: str, inbox: Path) -> dict[str, str]:
    """For a card: the file that a backbone's weights came from, its sha256, and whether it is not the published one.

    Empty where there was none.
    """
    path = initial_weights(pretrained, backbone, inbox)
    if not isinstance(path, Path):
        return {}
    known = {"backbone_file": path.name, "backbone_sha256": file_hash(path)}
    if isinstance(pretrained, str):
        return known
    return known | ledger.stand_in(inbox, backbone, path.name, ledger.imported(inbox, backbone, "backbones"))


def new_depth_model(settings: DepthTeacher, device: Device, published: Path | None, inbox: Path) -> Network:
    """The depth teacher: with MiDaS v2.1's `published` weights, or initialised for training."""
    torch.manual_seed(settings.seed)
    start = initial_weights(settings.pretrained, settings.backbone, inbox) if published is None else False
    options = settings.backbone_options
    model = build_model("midas", settings.backbone, pretrained=start, backbone_kwargs=options, width=settings.width)
    check_start(start, model.backbone)
    if published is not None:
        load_published(published, model)
    return placed(model, device)


def depth_training_set(prepared: PreparedSet, split: str, device: Device) -> TrainingSet:
    """The images of a split whose depth is known, with inverse depth, float32 (N, 1, S, S), in the labels' place.

    Raises:
        InputError: the set has no depth.
    """
    rows = prepared.split(split)
    if prepared.depth is None or not len(rows := rows[prepared.depth[rows].any(axis=(1, 2))]):
        raise InputError(
            f"{prepared.folder}: no depth to train a depth teacher on; import the set from a folder that holds depth/ "
            "beside the photographs, or set depth_teacher.source: midas_v21, or download.source: rendered"
        )
    data = load_rows([(prepared, rows)], device.device)
    inverse = torch.from_numpy(prepared.depth[rows].astype(np.float32))[:, None]
    return held(data.images, inverse, data.ids, device.device)


def depth_schedule(settings: DepthTeacher) -> Schedule:
    """The course of a depth teacher that is trained here: both kinds of flip would do; no colour jitter."""
    return Schedule(
        epochs=settings.epochs,
        epochs_rule="paper",
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        poly_power=0.9,
        poly_rule="paper",
        gradient_clip=0.0,
        flips=Flips("horizontal", 0.5, Jitter(0.0, 0.0, 0.0)),
        seed=settings.seed,
    )


def stage1_objective(params: Params, run: Stage1Run, depth: TeacherFeatures | None) -> StageOne:
    """Equation 7, or equation 10 for R-DFFNet, which has a depth teacher; or the loss of the recipe `best`."""
    if run.training == "best1":
        return StageOne(overlap_of(params.best1))
    supervision = supervision_of(params, params.stage1, run.loss, final_weight=1.0)
    if depth is None:
        return StageOne(supervision)
    return StageOneWithDepth(supervision, depth, params.stage1.lambda_depth)


def stage2_objective(
    params: Params, run: Stage2Run, student: Network, teachers: dict[str, TeacherFeatures]
) -> StageTwo:
    """Equation 8.

    Args:
        params: of the experiment.
        run: of stage 2.
        student: gives the channels of its features.
        teachers: by name, "defocus" and "depth".
    """
    device = device_of(student)
    distilled = [
        Distilled(name, Projectors(student.feature_channels, teacher.channels).to(device), teacher)
        for name, teacher in teachers.items()
    ]
    decided = params.resolved
    if run.training == "best2":
        best2 = params.best2
        rates = best2.projector_learning_rate, best2.projector_weight_decay
        return StageTwo(overlap_of(best2), distilled, lambda epoch: best2.beta, *rates)
    stage2 = params.stage2
    weight = partial(
        distillation_weight, epochs=stage2.epochs, beta=stage2.beta, hold=stage2.beta_hold, rule=decided.distill_weight
    )
    final_weight = decided.stage2_final_weight if student.has_sides else 1.0
    supervision = supervision_of(params, stage2, run.loss, final_weight)
    return StageTwo(supervision, distilled, weight, stage2.projector_learning_rate, stage2.projector_weight_decay)


def run_params(params: Params, training: Training | Best1, run: Stage1Run) -> dict[str, Any]:
    """What is watched of a run's parameters: the same names in every run, so that runs can be compared."""
    return {
        "recipe": params.recipe,
        "seed": params.seed,
        "image_size": params.image_size,
        "runtime": params.runtime.model_dump(),
        "departures": asdict(params.resolved),
        "model": run.model_dump(),
        "training": training.model_dump(),
    }


def run_card(
    params: Params, run: str, stage: int, first: Stage1Run, training: Training | Best1, **more: str
) -> dict[str, Any]:
    """What a trained run is: kept beside its weights, shown in the report."""
    card = {"run": run, "stage": stage, "model": first.model, "backbone": first.backbone, "train": first.train}
    card["run_seed"] = run_seed(params.seed, run)
    return card | {"loss": first.loss, "params": run_params(params, training, first)} | more
