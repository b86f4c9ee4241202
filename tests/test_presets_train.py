"""Every run that a preset names is trained for two steps: as small as it gets, narrow where the backbone is huge."""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from components.datasets.loader import TrainingSet
from components.models.run_files import WEIGHTS, write_run
from components.models.timm_import import import_timm
from components.params import Params, Stage1Run, load_params
from components.train import experiment, teachers
from components.train.teacher_cache import TeacherFeatures
from components.train.training import fit
from tests.test_training import CPU, toy

pytestmark = pytest.mark.usefixtures("one_thread")
INBOX = Path("no-inbox")
SIZE = 32
"""Pixels: the smallest that the parameters allow."""
NARROW = ("resnet10t", {"channels": [8, 16, 32, 64]})
STAND_INS = {
    "resnest101e": NARROW,
    "resnext101_32x8d": NARROW,
    "resnet10t": NARROW,
    "mobilenetv2_100": ("mobilenetv2_035", {"pad_type": "same"}),
    "vgg16": ("vgg16", {"mlp_ratio": 0.01}),
}
"""Of the same strides; VGG16 stays itself, but narrow."""


def small(preset: Path) -> Params:
    """A preset with stand-ins, no ImageNet weights, and two steps an epoch."""
    params = load_params(preset)

    def shrunk(run: Stage1Run) -> Stage1Run:
        backbone, options = STAND_INS.get(run.backbone, (run.backbone, run.backbone_options))
        return run.model_copy(update={"backbone": backbone, "backbone_options": options, "pretrained": False})

    depth = params.depth_teacher
    backbone, options = STAND_INS.get(depth.backbone, (depth.backbone, depth.backbone_options))
    narrow = {"backbone": backbone, "backbone_options": options, "width": 8, "pretrained": False}
    return params.model_copy(
        update={
            "image_size": SIZE,
            "depth_teacher": depth.model_copy(update=narrow),
            "stage1": params.stage1.model_copy(update={"batch_size": 2}),
            "stage2": params.stage2.model_copy(update={"batch_size": 2, "epochs": 3}),
            "best1": params.best1.model_copy(update={"batch_size": 2, "size": SIZE, "warm_up": 0.0}),
            "best2": params.best2.model_copy(update={"batch_size": 2, "size": SIZE, "warm_up": 0.0}),
            "stage1_runs": {name: shrunk(run) for name, run in params.stage1_runs.items()},
            "stage1_depth_runs": {name: shrunk(run) for name, run in params.stage1_depth_runs.items()},
        }
    )


def different_runs(params: list[Params]) -> Iterator[tuple[Params, str]]:
    """The runs of all presets, those left out that train what one before them does."""
    seen = set()
    for each in params:
        depth = repr(each.depth_teacher.backbone_options)
        for name in [*each.first_runs, *each.stage2_runs]:
            second = each.stage2_runs.get(name)
            first = each.first_runs[second.teacher if second else name]
            same = {"train": "CUHK-TR-1"} | ({"loss": second.loss} if second else {})
            what = repr((bool(second), depth, first.model_copy(update=same)))
            if what not in seen:
                seen.add(what)
                yield each, name


PRESETS = [small(path) for path in sorted((Path(__file__).parent.parent / "presets").glob("*.yaml"))]
RUNS = list(different_runs(PRESETS))


@pytest.fixture(autouse=True)
def _narrow_vgg16(monkeypatch: pytest.MonkeyPatch) -> None:
    import_timm()
    from timm.models import vgg

    narrow = [each if each == "M" else each // 16 for each in vgg.cfgs["vgg16"]]
    monkeypatch.setitem(vgg.cfgs, "vgg16", narrow)


@pytest.fixture
def data() -> TrainingSet:
    whole = toy(4)
    return TrainingSet(whole.images[..., 16:48, 16:48], whole.labels[..., 16:48, 16:48], whole.ids)


def depth_teacher(params: Params, data: TrainingSet, folder: Path, names: tuple[str, ...]) -> TeacherFeatures:
    weights = folder / "depth" / WEIGHTS
    model = experiment.new_depth_model(params.depth_teacher, CPU, None, INBOX)
    write_run(weights.parent, model, [], {"run": "depth_teacher"})
    list(teachers.cache_depth_teacher(params, data, weights=weights, cache=folder / "cache/toy", device=CPU))
    return teachers.depth_teacher_of(params, data, weights=weights, cache=folder / "cache", names=names, device=CPU)


def defocus_teacher(params: Params, data: TrainingSet, folder: Path, name: str) -> TeacherFeatures:
    weights = folder / name / WEIGHTS
    model = experiment.new_model(params, name, params.stage1_runs[name], CPU, INBOX)
    write_run(weights.parent, model, [], {"run": name})
    places = {"weights": weights, "cache": folder / "defocus", "device": CPU}
    list(teachers.cache_defocus_teacher(params, data, **places, most=3))
    return teachers.defocus_teacher_of(params, data, **places)


@pytest.mark.parametrize(("params", "name"), RUNS, ids=[f"{params.name}-{name}" for params, name in RUNS])
def test_every_run_trains(params: Params, name: str, data: TrainingSet, tmp_path: Path) -> None:
    second = params.stage2_runs.get(name)
    first = params.first_runs[second.teacher if second else name]
    if second and second.training == "best2":
        params = params.with_teachers_online()
    model = experiment.new_model(params, name, first, CPU, INBOX)
    if second:
        both = {
            "defocus": defocus_teacher(params, data, tmp_path, second.teacher),
            "depth": depth_teacher(params, data, tmp_path, teachers.LEVELS),
        }
        objective = experiment.stage2_objective(params, second, model, both)
        seen, expected = list(both.values()), {"dbd_loss", "defocus_feature_loss", "depth_feature_loss"}
    else:
        seen = [depth_teacher(params, data, tmp_path, teachers.DEPTH)] if name in params.stage1_depth_runs else []
        objective = experiment.stage1_objective(params, first, *(seen or [None]))
        expected = {"dbd_loss", "depth_loss"} if seen else {"dbd_loss"}
    run, before = second or first, model.head.weight.detach().clone()
    stage = getattr(params, run.training)
    course = experiment.course_of(params, name, run, views=min((each.views for each in seen), default=0))
    values = next(fit(model, objective, data, course, device=CPU, checkpoint=tmp_path / "checkpoint.pt")).values
    moved = float((model.head.weight.detach() - before).abs().max())
    assert 0 < moved < 3 * stage.learning_rate  # two steps of Adam
    assert all(math.isfinite(value) for value in values.values())
    assert {key for key in values if key.endswith("_loss")} == expected
    assert all(values[key] > 0 for key in expected)


def test_levels_of_vgg16_are_twice_the_depth_teachers(data: TrainingSet) -> None:
    """The case in which features are resized; else it would go unseen here."""
    (params,) = (each for each in PRESETS if each.name == "paper")
    model = experiment.new_model(params, "dffnet_vgg16", params.stage1_runs["dffnet_vgg16"], CPU, INBOX)
    depth = experiment.new_depth_model(params.depth_teacher, CPU, None, INBOX)
    images = torch.zeros(1, 3, 64, 64)
    assert [len(each[0, 0]) for each in model.encode(images)] == [4, 8, 16, 32]
    assert [len(each[0, 0]) for each in depth.encode(images)] == [2, 4, 8, 16]
