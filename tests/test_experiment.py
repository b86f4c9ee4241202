"""From params to runs: what a stage trains, what it writes, and that no kill -9 changes it."""

import hashlib
import logging
import multiprocessing
import os
import re
import secrets
import signal
import threading
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from ruamel.yaml import YAML
from safetensors.torch import save_file
from torch import nn

from components.common.availability import NotAvailableError
from components.common.errors import InputError
from components.datasets.loader import Jitter, TrainingSet, Views
from components.datasets.prepared import IndexRow, PreparedSet
from components.incoming.weights import import_backbone
from components.models.checkpoints import save_model
from components.models.run_files import CARD, HISTORY, WEIGHTS, EpochRecord, write_run
from components.models.runtime import Device, set_up
from components.params import Params, parse_params
from components.train import experiment, teachers
from components.train.objectives import Supervision
from components.train.training import fit
from tests.test_training import CPU, schedule, tensors, tiny, toy

pytestmark = pytest.mark.usefixtures("one_thread")
ROOT = Path(__file__).parent.parent
INBOX = Path("no-inbox")
FILES = (WEIGHTS, HISTORY, CARD)
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.test_experiment", "timm"])


@pytest.fixture(scope="module")
def params() -> Params:
    return small_params()


def small_params() -> Params:
    """The smoke preset with the smallest backbone, and enough epochs to be interrupted."""
    values = YAML(typ="safe", pure=True).load((ROOT / "presets" / "smoke.yaml").read_text())
    options = {"channels": [8, 16, 32, 64]}
    values["depth_teacher"] |= {"backbone_options": options, "width": 8}
    values["stage1_runs"]["dffnet"]["backbone_options"] = options
    for stage in ("stage1", "stage2"):
        values[stage] |= {"epochs": 5, "batch_size": 4}
    return parse_params(values, "small")


def test_losses_and_schedules_follow_the_params(params: Params) -> None:
    assert experiment.supervision_of(params, params.stage1, "bce&el", 1.0) == Supervision(0.5, "mean", 1.0, 1.0)
    assert experiment.supervision_of(params, params.stage1, "bce", 1.1) == Supervision(0.0, "mean", 1.1, 1.0)
    course = experiment.schedule_of(params, "dffnet", params.stage2, views=3)
    assert (course.epochs, course.flips.axis, course.gradient_clip) == (5, "vertical", 0.5)
    assert course.flips.jitter == Jitter(0.1, 0.1, 0.1)
    assert course.flips.views == Views(3, seed=42)
    assert experiment.schedule_of(params, "dffnet", params.stage2, views=0).flips.views is None


def test_a_run_has_a_seed_of_its_own(params: Params) -> None:
    """By hand: the first eight hexadecimal digits of `printf 42/dffnet | sha256sum`."""
    assert experiment.run_seed(42, "dffnet") == 0x65EA8F7F
    seeds = {experiment.run_seed(seed, run) for seed in range(3) for run in ("dffnet", "d_dffnet", "pdnet")}
    assert len(seeds) == 9
    courses = [experiment.schedule_of(params, run, params.stage1, views=2) for run in ("dffnet", "d_dffnet")]
    assert [course.seed for course in courses] == [experiment.run_seed(42, run) for run in ("dffnet", "d_dffnet")]
    assert courses[0].flips.views == courses[1].flips.views  # whoever reads a cache sees its views
    first = params.stage1_runs["dffnet"]
    card = experiment.run_card(params, "d_dffnet", 2, first, params.stage2, teachers="online")
    assert (card["run_seed"], card["params"]["seed"], card["teachers"]) == (courses[1].seed, 42, "online")


def test_initial_weights_depend_on_the_seed_and_the_run_alone(params: Params) -> None:
    run = params.stage1_runs["dffnet"]
    one = experiment.new_model(params, "dffnet", run, CPU, INBOX)
    torch.rand(5)
    two = experiment.new_model(params, "dffnet", run, CPU, INBOX)
    reseeded = experiment.new_model(params.model_copy(update={"seed": 1}), "dffnet", run, CPU, INBOX)
    student = experiment.new_model(params, "d_dffnet", run, CPU, INBOX)
    assert all(torch.equal(a, b) for a, b in zip(tensors(one), tensors(two), strict=True))
    assert not torch.equal(one.head.weight, reseeded.head.weight)
    assert not torch.equal(one.head.weight, student.head.weight)


@pytest.mark.parametrize(("model", "weight"), [("dffnet", 1.1), ("dffnet_vgg16", 1.1), ("pdnet", 1.0)])
def test_only_a_network_with_side_outputs_has_another_final_weight(params: Params, model: str, weight: float) -> None:
    published = params.model_copy(
        update={"departures": params.departures.model_copy(update={"stage2_final_weight": 1.1})}
    )
    objective = experiment.stage2_objective(published, params.stage2_runs["d_dffnet"], tiny(model), {})
    assert objective.supervision.final_weight == weight


@pytest.mark.parametrize(
    ("mode", "device", "online"),
    [
        ("recipe", "cpu", False), ("recipe", "cuda", True), ("cached", "cuda", False), ("online", "cpu", True),
    ],
)  # fmt: skip
def test_teachers_run_online_on_a_gpu_unless_told_otherwise(
    params: Params, mode: str, device: str, online: bool
) -> None:
    changed = params.model_copy(update={"teacher": params.teacher.model_copy(update={"mode": mode})})
    assert teachers.online(changed, Device(torch.device(device), "float32")) == online


def test_a_card_says_how_its_teachers_ran() -> None:
    cached, fewer, online = (Mock(views=views) for views in (5, 3, 0))
    assert teachers.seen_by(cached, fewer) == {"teachers": "cached, 3 views of an image"}
    assert teachers.seen_by(online, online) == {"teachers": "online"}
    assert teachers.seen_by(None) == {}


def test_one_switch_makes_training_and_cached_features_float32(params: Params, tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"")
    for precision, dtype in (("float32", "float32"), ("bfloat16", "float16")):
        changed = params.model_copy(update={"runtime": params.runtime.model_copy(update={"precision": precision})})
        assert teachers.plan_of(changed, tmp_path / "weights").dtype == dtype
        assert changed.resolved.precision == precision


@pytest.mark.parametrize("batchnorm", ["eval", "batch"])
def test_a_teacher_does_not_learn(tmp_path: Path, batchnorm: str) -> None:
    write_run(tmp_path / "run", tiny("pdnet"), [], {"run": "pdnet"})
    teacher = teachers.frozen(tmp_path / "run" / WEIGHTS, batchnorm=batchnorm, device=CPU)
    assert not any(each.requires_grad for each in teacher.parameters())
    assert {module.training for module in teacher.modules()} == {batchnorm == "batch"}


def test_equal_runs_are_written_as_equal_bytes(tmp_path: Path) -> None:
    values = [{"loss": 0.1 + 0.2, "learning_rate": 1e-3}, {"loss": 0.25, "learning_rate": 5e-4}]
    records = [EpochRecord(epoch, 2, each) for epoch, each in enumerate(values, start=1)]
    for name in ("one", "two"):
        write_run(tmp_path / name, tiny(), records, {"run": "dffnet", "stage": 1})
    files = {path.name: path.read_bytes() for path in (tmp_path / "one").iterdir()}
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "two").iterdir()}
    assert set(files) == {"model.safetensors", "history.csv", "card.json"}
    assert files["history.csv"] == b"epoch,loss,learning_rate\n1,0.30000000000000004,0.001\n2,0.25,0.0005\n"
    write_run(tmp_path / "one", tiny(), [], {"run": "dffnet"})
    assert (tmp_path / "one/history.csv").read_text() == "epoch\n"


def prepared(folder: Path, splits: tuple[str, ...]) -> PreparedSet:
    rows = (IndexRow("a", "a.jpg", "a.png", 2, 2, 0, "", splits[:1], 0.5),)
    images, labels = np.zeros((1, 64, 64, 3), np.uint8), np.zeros((1, 64, 64), np.uint8)
    return PreparedSet(folder, folder.name, rows, images, labels, np.zeros(1, np.uint8), None, splits)


def test_a_split_without_photographs_is_not_trained_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CUHK-TR-2 is empty where nobody has its list: training on the rest of the split would be another experiment."""
    sets = {"cuhk": ("CUHK-TR-1", "CUHK-TR-2"), "dut": ("DUT-TR",)}
    monkeypatch.setattr(PreparedSet, "load", lambda folder: prepared(folder, sets[folder.name]))
    assert experiment.training_set("CUHK-TR-1 & DUT-TR", tmp_path, CPU).ids == ["cuhk/a", "dut/a"]
    (tmp_path / "cuhk").mkdir()
    (tmp_path / "cuhk/validation.json").write_text('{"notes": ["cuhk_te2.txt was not found"]}')
    message = rf"on CUHK-TR-2.*{tmp_path}/cuhk holds no photograph of it \(cuhk_te2.txt was not found\)"
    with pytest.raises(NotAvailableError, match=message):
        experiment.training_set("CUHK-TR-2 & DUT-TR", tmp_path, CPU)


def test_a_depth_teacher_is_trained_on_inverse_depth(tmp_path: Path) -> None:
    photographs = prepared(tmp_path / "cuhk", ("CUHK-TR-1",))
    for depth in (None, np.zeros((1, 64, 64), np.float16)):
        unknown = PreparedSet(**{**vars(photographs), "depth": depth})
        with pytest.raises(InputError, match=r"cuhk: no depth to train .*folder that holds depth/.*midas_v21"):
            experiment.depth_training_set(unknown, "CUHK-TR-1", CPU)
    known = PreparedSet(**{**vars(photographs), "depth": np.full((1, 64, 64), 0.25, np.float16)})
    assert set(experiment.depth_training_set(known, "CUHK-TR-1", CPU).labels.flatten().tolist()) == {0.25}


def test_a_run_starts_from_a_file_of_its_backbone_s_weights(params: Params, tmp_path: Path) -> None:
    run, path = params.stage1_runs["dffnet"], tmp_path / "mine.safetensors"
    torch.manual_seed(9)
    there = experiment.new_model(
        params.model_copy(update={"seed": 5}), "dffnet", run, CPU, INBOX
    ).backbone.encoder.state_dict()
    save_file({key: value.contiguous() for key, value in there.items()}, path)
    named = run.model_copy(update={"pretrained": str(path)})
    found = experiment.new_model(params, "dffnet", named, CPU, INBOX)
    assert all(torch.equal(value, there[key]) for key, value in found.backbone.encoder.state_dict().items())
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    origin = {"backbone_file": "mine.safetensors", "backbone_sha256": sha256}
    assert experiment.origin(str(path), run.backbone, INBOX) == origin
    assert experiment.origin(False, run.backbone, INBOX) == {}
    (imported := tmp_path / "backbones" / f"{run.backbone}.safetensors").parent.mkdir()
    path.rename(imported)
    assert experiment.initial_weights(True, run.backbone, tmp_path) == imported
    with pytest.raises(InputError, match=r"pretrained: .*mine\.safetensors: no such file; .*dbdflow import resnet10t"):
        experiment.new_model(params, "dffnet", named, CPU, INBOX)
    save_file({"conv1.0.weight": there["conv1.0.weight"].contiguous()}, path)
    with pytest.raises(InputError, match=r"mine\.safetensors: the parameter .* is not in it; `pretrained`"):
        experiment.new_model(params, "dffnet", named, CPU, INBOX)


def test_a_run_starts_from_the_encoder_of_another_run(params: Params, tmp_path: Path) -> None:
    run, path = params.stage1_runs["dffnet"], tmp_path / "model.safetensors"
    ended = experiment.new_model(params.model_copy(update={"seed": 5}), "dffnet", run, CPU, INBOX)
    save_model(path, ended.half(), {})
    named = run.model_copy(update={"pretrained": str(path)})
    found, other = (experiment.new_model(params, "dffnet", each, CPU, INBOX).state_dict() for each in (named, run))
    for key, value in found.items():
        expected = ended.state_dict()[key].float() if key.startswith("backbone.encoder.") else other[key]
        assert torch.equal(value.float(), expected.float()), key
    wider = named.model_copy(update={"backbone_options": {"channels": [16, 32, 64, 256]}})
    with pytest.raises(InputError, match=r"model\.safetensors: the encoder of this run is not resnet10t \(.*256"):
        experiment.new_model(params, "dffnet", wider, CPU, INBOX)
    with pytest.raises(InputError, match=r"model\.safetensors: weights of a run of this project, not ImageNet's"):
        import_backbone(run.backbone, path, tmp_path, anyway=True)
    assert not (tmp_path / "backbones").exists()


def course(folder: Path, dies: tuple[str, int, float] | None) -> None:
    """Both stages as the pipeline runs them, stage 1 left out once it is done; says every epoch.

    It kills itself, if it is told of which training, after which of its epochs, and after what part of an epoch's time.
    """
    said = (folder / "output.txt").open("a", buffering=1)
    logging.basicConfig(stream=said, level=logging.INFO, format="%(message)s")
    params, data = small_params(), toy(4)
    device = set_up(device="cpu", precision="float32", deterministic=True, threads=1)
    weights, cache = folder / "depth" / WEIGHTS, folder / "cache"
    if not weights.exists():
        write_run(
            weights.parent, experiment.new_depth_model(params.depth_teacher, device, None, INBOX), [], {"run": "-"}
        )
        list(teachers.cache_depth_teacher(params, data, weights=weights, cache=cache / "toy", device=device))
    first, second = params.stage1_runs["dffnet"], params.stage2_runs["d_dffnet"]
    if not (folder / "dffnet").exists():
        model = experiment.new_model(params, "dffnet", first, device, INBOX)
        train(
            folder / "dffnet", model, experiment.stage1_objective(params, first, None), data, device=device, dies=dies
        )
    student = experiment.new_model(params, "d_dffnet", first, device, INBOX)
    defocus = {"weights": folder / "dffnet" / WEIGHTS, "cache": cache / "defocus", "device": device}
    depth = {"weights": weights, "cache": cache, "device": device, "names": teachers.LEVELS}
    list(teachers.cache_defocus_teacher(params, data, **defocus, most=params.stage2.epochs))
    both = {
        "defocus": teachers.defocus_teacher_of(params, data, **defocus),
        "depth": teachers.depth_teacher_of(params, data, **depth),
    }
    train(
        folder / "d_dffnet",
        student,
        experiment.stage2_objective(params, second, student, both),
        data,
        device=device,
        dies=dies,
    )


def train(
    out: Path, model: nn.Module, objective, data: TrainingSet, *, device: Device, dies: tuple[str, int, float] | None
) -> None:
    records, before = [], time.monotonic()
    course = schedule(epochs=5, batch_size=2)
    for record in fit(model, objective, data, course, device=device, checkpoint=out.with_suffix(".pt")):
        records.append(record)
        logging.info("%s %d", out.name, record.epoch)
        seconds, before = time.monotonic() - before, time.monotonic()
        if dies and (out.name, record.epoch) == dies[:2]:
            threading.Timer(dies[2] * seconds, os.kill, (os.getpid(), signal.SIGKILL)).start()
    write_run(out, model, records, {"run": out.name})


def start(folder: Path, dies: tuple[str, int, float] | None = None) -> ForkServerProcess:
    """A process that trains; its imports were done once for all."""
    folder.mkdir(exist_ok=True)
    process = FORKS.Process(target=course, args=(folder, dies))
    process.start()
    return process


def kill_in_the_middle(folder: Path, name: str, epoch: int, part: float) -> None:
    """kill -9 a part of an epoch's time after the end of `epoch`."""
    process = start(folder, (name, epoch, part))
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert (folder / f"{name}.pt").exists()
    assert not (folder / name).exists()


def output(folder: Path) -> str:
    path = folder / "output.txt"
    return path.read_text() if path.exists() else ""


def test_a_killed_training_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    """Both stages, killed with SIGKILL at random moments, to the last bit."""
    seed = secrets.randbits(32)
    print("moments drawn with seed", seed)
    random = np.random.default_rng(seed)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    never_killed = start(whole)
    for name in ("dffnet", "d_dffnet"):
        kill_in_the_middle(killed, name, int(random.integers(2, 4)), random.uniform(0, 1))
    before = output(killed)
    last = start(killed)
    for process in (last, never_killed):
        process.join()
        assert process.exitcode == 0
    _, resumed, *epochs = output(killed).removeprefix(before).splitlines()
    assert re.fullmatch(r"going on after epoch [1-5], from .*/d_dffnet.pt", resumed)
    assert epochs == [f"d_dffnet {epoch}" for epoch in range(1, 6)]
    assert before.count("going on") == 1
    assert "going on" not in output(whole)
    for path in (Path(run, file) for run in ("dffnet", "d_dffnet") for file in FILES):
        assert (killed / path).read_bytes() == (whole / path).read_bytes(), path
    header, *rows = (whole / "d_dffnet/history.csv").read_text().splitlines()
    assert len(rows) == 5
    assert header == ("epoch,loss,dbd_loss,defocus_feature_loss,depth_feature_loss,distill_weight,learning_rate")
