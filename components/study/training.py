"""One run of the study: trained, its maps made, scored. All of it by the functions that the stages call.

Within a stage all rows of a seed draw from one seed ("stage1", "stage2" in place of a run's name): the same initial
weights where they have the same layers, the same order, flips and jitter, so that rows are compared in pairs.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from components.common.storage import file_hash
from components.datasets.prepared import PreparedSet
from components.maps.inference import predict_maps
from components.models.checkpoints import load_model
from components.models.network import Network
from components.models.run_files import WEIGHTS, EpochRecord, write_run
from components.models.runtime import Device
from components.params import Params
from components.scoring.evaluation import score_set, write_scores
from components.study.design import SCORES, Places, Row
from components.train import experiment, teachers
from components.train.objectives import Objective, RelativeDepth
from components.train.teacher_cache import Encoder, TeacherFeatures
from components.train.training import fit

CHECKPOINT = "checkpoint.pt"


def train_depth_teacher(params: Params, places: Places, device: Device) -> Iterator[EpochRecord]:
    """As the stage `depth_teacher` trains one, once for the whole study."""
    settings = params.depth_teacher
    model = experiment.new_depth_model(settings, device, None, places.inbox)
    data = experiment.depth_training_set(PreparedSet.load(places.prepared / "cuhk"), "CUHK-TR-1-FIT", device)
    checkpoint = places.depth_teacher.with_name("depth_teacher.pt")
    records = []
    for record in fit(
        model, RelativeDepth(), data, experiment.depth_schedule(settings), device=device, checkpoint=checkpoint
    ):
        records.append(record)
        yield record
    write_run(places.depth_teacher, model, records, {"run": "depth_teacher", "params": settings.model_dump()})
    checkpoint.unlink(missing_ok=True)


def turned(model: Network) -> Encoder:
    """What a depth teacher says of the photograph before each of a batch, in that one's place."""
    encode = teachers.encode_features(model)
    return lambda images: encode(images.roll(1, 0))


def stage_two(
    row: Row, params: Params, student: Network, *, defocus: Path, places: Places, device: Device
) -> Objective:
    """Equation 8 with both teachers online, the depth teacher `turned` in the control that is shuffled."""
    depth = turned if row.shuffled else teachers.encode_features
    both: dict[str, TeacherFeatures] = {
        "defocus": teachers.run_online(params, defocus / WEIGHTS, teachers.LEVELS, device, teachers.encode_features),
        "depth": teachers.run_online(params, places.depth_teacher / WEIGHTS, teachers.LEVELS, device, depth),
    }
    return experiment.stage2_objective(params, params.stage2_runs[row.run], student, both)


def stage_one(row: Row, params: Params, places: Places, device: Device) -> Objective:
    """Equation 7, or equation 10 for R-DFFNet."""
    depth = None
    if row.run in params.stage1_depth_runs:
        weights = places.depth_teacher / WEIGHTS
        depth = teachers.run_online(params, weights, teachers.DEPTH, device, teachers.encode_depth)
    return experiment.stage1_objective(params, params.first_runs[row.run], depth)


def train_run(
    row: Row, params: Params, *, defocus: Path | None, out: Path, places: Places, device: Device, facts: dict[str, Any]
) -> Iterator[EpochRecord]:
    """Train one run into `out`; interrupted, it goes on after its last whole epoch.

    Args:
        row, params: see `Row.params`.
        defocus: folder of the run that is its defocus teacher; None in stage 1.
        out: folder of the run.
        places, device: where.
        facts: for its card.
    """
    second = params.stage2_runs.get(row.run)
    first = params.first_runs[second.teacher if second else row.run]
    name = "stage2" if second else "stage1"
    model = experiment.new_model(params, name, first, device, places.inbox)
    if defocus is None:
        objective = stage_one(row, params, places, device)
    else:
        objective = stage_two(row, params, model, defocus=defocus, places=places, device=device)
    data = experiment.training_set(first.train, places.prepared, device)
    course = experiment.course_of(params, name, second or first, views=0)
    out.mkdir(parents=True, exist_ok=True)
    records = []
    for record in fit(model, objective, data, course, device=device, checkpoint=out / CHECKPOINT):
        records.append(record)
        yield record
    card = {"run": row.name, "seed": params.seed, "params": params.model_dump(), **facts}
    if defocus is not None:
        card["defocus_teacher"] = file_hash(defocus / WEIGHTS)
    write_run(out / "model", model, records, card)
    (out / CHECKPOINT).unlink(missing_ok=True)


def score_run(row: Row, params: Params, *, out: Path, places: Places, device: Device) -> None:
    """Score a trained run by the paper's rules: `scores/per_image.csv` and what stands beside it."""
    prepared = PreparedSet.load(places.prepared / "cuhk")
    rows = prepared.split(row.test)
    model = load_model(out / "model" / WEIGHTS).to(device.device).eval()
    found = predict_maps(
        model, prepared.images[rows], batch_size=params.predict.batch_size, device=device.device, best=False
    )
    maps = dict(zip((prepared.ids[int(i)] for i in rows), (each for batch in found for each in batch), strict=True))
    decided = params.resolved
    scored = score_set(
        maps.__getitem__, prepared, {row.test: rows}, upsample=decided.upsample, iou_size=None, iou=decided.iou
    )
    write_scores(out / SCORES, list(scored))


def first_batches(params: Params, places: Places, device: Device, steps: int) -> Iterator[Tensor]:
    """Losses of the first steps of DFFNet, to be timed."""
    row = Row("probe", "probe", "dffnet")
    model = experiment.new_model(params, "stage1", params.stage1_runs[row.run], device, places.inbox).train()
    data = experiment.training_set(params.stage1_runs[row.run].train, places.prepared, device)
    course = experiment.course_of(params, "stage1", params.stage1_runs[row.run], views=0)
    objective = stage_one(row, params, places, device)
    for _, batch in zip(range(steps), course.batches(data, 1), strict=False):
        loss = objective.losses(model, objective.read(batch), torch.zeros(()))["loss"]
        loss.backward()  # type: ignore[no-untyped-call]
        yield loss.detach()
