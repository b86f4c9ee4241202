"""Training of both stages: what an epoch comes to, and that no interruption changes it."""

import logging
import math
import multiprocessing
import re
import secrets
import signal
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import numpy as np
import pytest
import torch
from ruamel.yaml import YAML
from torch import nn

from components import experiment
from components.data.loader import Batch, Jitter, TrainingSet, normalise
from components.data.prepared import IndexRow, PreparedSet
from components.errors import InputError
from components.models.outputs import DefocusOutput, DepthOutput
from components.models.registry import build_model
from components.optimizer import Adam
from components.params import Params, parse_params
from components.runtime import Device, set_up
from components.training import (
    DepthFromRendering,
    Distilled,
    EpochRecord,
    Schedule,
    StageOne,
    StageOneWithDepth,
    StageTwo,
    Supervision,
    fit,
    standardise,
    step,
)

ROOT = Path(__file__).parent.parent
FILES = (experiment.WEIGHTS, experiment.HISTORY, experiment.CARD)
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.test_training", "timm"])
CPU = Device(torch.device("cpu"), "float32")
PLAIN = Supervision(lambda_edge=0.0, reduction="mean", final_weight=1.0, side_weight=1.0)
LN2 = math.log(2)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Tiny tensors, and other tests beside these: threads would wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def toy(count: int = 8) -> TrainingSet:
    """Photographs of which one half, left or right, has texture and is in focus, the other is flat."""
    random = np.random.default_rng(4)
    images = np.full((count, 3, 64, 64), 128, dtype=np.uint8)
    labels = np.zeros((count, 1, 64, 64), dtype=np.uint8)
    for i in range(count):
        half = slice(0, 32) if i % 2 else slice(32, 64)
        images[i, :, :, half] = random.integers(0, 256, (3, 64, 32))
        labels[i, :, :, half] = 1
    return TrainingSet(torch.from_numpy(images), torch.from_numpy(labels), [f"toy/{i}" for i in range(count)])


def schedule(**changed) -> Schedule:
    options = {
        "epochs": 3,
        "epochs_rule": "paper",
        "batch_size": 4,
        "learning_rate": 1e-2,
        "poly_power": 0.9,
        "poly_rule": "paper",
        "gradient_clip": 0.5,
        "flip_axis": "vertical",
        "flip_probability": 0.5,
        "jitter": Jitter(0.2, 0.2, 0.2),
        "seed": 0,
    }
    return Schedule(**options | changed)


def tiny(name: str = "dffnet") -> nn.Module:
    torch.manual_seed(0)
    return build_model(name, "resnet10t", backbone_kwargs={"channels": [8, 16, 32, 64]}, width=8)


def tensors(model: nn.Module) -> list[torch.Tensor]:
    return [value.clone() for value in model.state_dict().values()]


class Line(nn.Module):
    """A model whose output is its one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.weight


class Slope:
    """A loss of slope 1 everywhere: Adam's steps are then exactly as long as the learning rate."""

    def __init__(self, bad: float = 0.0, bad_epoch: int = 0) -> None:
        self.bad, self.bad_epoch = bad, bad_epoch
        self.beside = Line()

    def losses(self, model: nn.Module, batch: Batch, epoch: int) -> dict[str, torch.Tensor]:
        loss = model(batch.images) + self.beside(batch.images)
        return {"loss": loss * self.bad if epoch == self.bad_epoch else loss}

    def extras(self) -> dict[str, nn.Module]:
        return {"beside": self.beside}

    def extra_optimizer(self) -> Adam | None:
        return Adam(self.beside.parameters(), learning_rate=0.1)


def test_the_loss_goes_down_on_what_can_be_learned(tmp_path: Path) -> None:
    model = tiny()
    course = schedule(epochs=6, jitter=Jitter(0, 0, 0))
    records = list(fit(model, StageOne(PLAIN), toy(), course, device=CPU, checkpoint=tmp_path / "c.pt"))
    assert [(record.epoch, record.epochs) for record in records] == [(epoch, 6) for epoch in range(1, 7)]
    losses = [record.values["loss"] for record in records]
    assert losses[0] == pytest.approx(5 * LN2, rel=0.3)  # five outputs that know nothing yet
    assert losses[-1] < 0.6 * losses[0]
    assert [record.values["dbd_loss"] for record in records] == losses
    with torch.no_grad():
        focused = model.eval()(normalise(toy().images)).logits > 0
    assert float((focused == toy().labels.bool()).float().mean()) > 0.8


def test_learning_rates_by_hand(tmp_path: Path) -> None:
    model, slope = Line(), Slope()
    course = schedule(epochs=4, poly_power=1.0, batch_size=2, gradient_clip=0.0)
    where, rates = [(0.0, 0.0)], []
    for record in fit(model, slope, toy(), course, device=CPU, checkpoint=tmp_path / "c.pt"):
        where.append((model.weight.item(), slope.beside.weight.item()))
        rates.append(record.values["learning_rate"])
    assert rates == pytest.approx([0.01, 0.0075, 0.005, 0.0025])
    moved = -np.diff(np.array(where), axis=0) / 4  # of each of the four steps an epoch
    assert moved[:, 0] == pytest.approx(rates, rel=1e-5)
    assert moved[:, 1] == pytest.approx([0.1] * 4, rel=1e-5)  # beside the model: fixed


def test_the_published_rules_run_one_epoch_fewer(tmp_path: Path) -> None:
    course = schedule(epochs=4, epochs_rule="published_code", poly_rule="published_code", poly_power=1.0)
    records = list(fit(Line(), Slope(), toy(), course, device=CPU, checkpoint=tmp_path / "c.pt"))
    assert [(record.epoch, record.epochs) for record in records] == [(1, 3), (2, 3), (3, 3)]
    rates = [record.values["learning_rate"] for record in records]
    assert rates == pytest.approx([0.01 * (1 - epoch / 9) for epoch in (1, 2, 3)])


def test_a_record_is_the_mean_over_the_steps(tmp_path: Path) -> None:
    course = schedule(epochs=1, poly_power=0.0, gradient_clip=0.0, learning_rate=0.1)
    (record,) = fit(Line(), Slope(), toy(), course, device=CPU, checkpoint=tmp_path / "c.pt")
    assert record.values["loss"] == pytest.approx((0.0 - 0.2) / 2)  # the first step from 0, the second from -0.1 each


def test_records_of_a_checkpoint_come_first_and_nothing_changes(tmp_path: Path) -> None:
    whole, broken, again = tiny(), tiny(), tiny()
    expected = list(fit(whole, StageOne(PLAIN), toy(), schedule(), device=CPU, checkpoint=tmp_path / "whole.pt"))
    begun = fit(broken, StageOne(PLAIN), toy(), schedule(), device=CPU, checkpoint=tmp_path / "c.pt")
    first = [next(begun), next(begun)]
    begun.close()
    records = list(fit(again, StageOne(PLAIN), toy(), schedule(), device=CPU, checkpoint=tmp_path / "c.pt"))
    assert records[:2] == first
    assert records == expected
    assert all(torch.equal(a, b) for a, b in zip(tensors(whole), tensors(again), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(tensors(broken), tensors(again), strict=True))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_no_number_keeps_the_last_whole_epoch(tmp_path: Path, bad: float) -> None:
    checkpoint, slope = tmp_path / "c.pt", Slope(bad, bad_epoch=2)
    course = fit(Line(), slope, toy(), schedule(gradient_clip=0.0), device=CPU, checkpoint=checkpoint)
    first = next(course)
    kept = checkpoint.read_bytes()
    with pytest.raises(InputError, match=r"loss became -?(nan|inf) in epoch 2, by step 2; .*Lower .*learning_rate"):
        next(course)
    assert checkpoint.read_bytes() == kept
    healthy = list(fit(Line(), Slope(), toy(), schedule(), device=CPU, checkpoint=checkpoint))
    assert [record.epoch for record in healthy] == [1, 2, 3]
    assert healthy[0] == first


def test_a_loss_that_is_no_number_is_seen_within_the_epoch(tmp_path: Path) -> None:
    slope = Slope(math.nan, bad_epoch=1)
    course = fit(Line(), slope, toy(120), schedule(batch_size=2), device=CPU, checkpoint=tmp_path / "c.pt")
    with pytest.raises(InputError, match="in epoch 1, by step 25;"):
        next(course)


@pytest.mark.parametrize("contents", [b"", b"no checkpoint", None])
def test_a_wrong_checkpoint_is_named(tmp_path: Path, contents: bytes | None) -> None:
    checkpoint = tmp_path / "c.pt"
    if contents is None:  # another model's
        list(fit(Line(), Slope(), toy(), schedule(epochs=1), device=CPU, checkpoint=checkpoint))
    else:
        checkpoint.write_bytes(contents)
    with pytest.raises(InputError, match=rf"{checkpoint}: no checkpoint of this training .*; delete it"):
        next(fit(tiny("pdnet"), StageOne(PLAIN), toy(), schedule(), device=CPU, checkpoint=checkpoint))


def test_a_full_disk_keeps_the_last_whole_epoch(full_disk: Path) -> None:
    checkpoint = full_disk / "c.pt"
    list(fit(Line(), Slope(), toy(), schedule(epochs=1), device=CPU, checkpoint=checkpoint))
    kept = checkpoint.read_bytes()
    with pytest.raises(OSError, match="No space left"):
        (full_disk / "other").write_bytes(bytes(100_000))
    with pytest.raises(InputError, match=rf"{checkpoint}: the disk is full"):
        list(fit(Line(), Slope(), toy(), schedule(), device=CPU, checkpoint=checkpoint))
    assert checkpoint.read_bytes() == kept
    with pytest.raises(InputError, match=rf"{full_disk}/run: the disk is full"):
        experiment.write_run(full_disk / "run", tiny(), [], {"run": "pdnet"})
    assert sorted(path.name for path in full_disk.iterdir()) == ["c.pt", "other"]


def one_batch(count: int = 2) -> Batch:
    data = toy(count)
    return Batch(normalise(data.images), data.labels.float(), torch.arange(count), torch.zeros(count, dtype=torch.bool))


@pytest.mark.parametrize(("clip", "gradient"), [(0.3, 0.3), (5.0, 1.0), (0.0, 1.0)])
def test_gradients_are_clipped_by_value(clip: float, gradient: float) -> None:
    model = Line()
    optimizers = [Adam(model.parameters(), learning_rate=0.01)]
    step(model, Slope(), one_batch(), epoch=1, optimizers=optimizers, gradient_clip=clip, device=CPU)
    assert float(model.weight.grad) == pytest.approx(gradient)


def test_a_tiny_clip_leaves_a_model_almost_as_it_was() -> None:
    moved = {}
    for clip in (0.0, 1e-12):
        model = tiny("pdnet")
        before = [each.detach().clone() for each in model.parameters()]
        optimizers = [Adam(model.parameters(), learning_rate=0.01)]
        step(model, StageOne(PLAIN), one_batch(), epoch=1, optimizers=optimizers, gradient_clip=clip, device=CPU)
        moved[clip] = max(float((a - b).detach().abs().max()) for a, b in zip(before, model.parameters(), strict=True))
    assert moved[0.0] == pytest.approx(0.01, rel=1e-2)  # Adam's first step is as long as the learning rate ...
    assert moved[1e-12] < 2e-6  # ... unless the gradient is far below its epsilon, 1e-8


class Says(nn.Module):
    """A model that always says the same."""

    def __init__(self, output: DefocusOutput | DepthOutput) -> None:
        super().__init__()
        self.output = output

    def forward(self, images: torch.Tensor) -> DefocusOutput | DepthOutput:
        return self.output


def maps(value: float, side: int = 64) -> torch.Tensor:
    return torch.full((2, 1, side, side), value)


def losses_of(objective, output: DefocusOutput | DepthOutput, epoch: int = 1) -> dict[str, float]:
    return {name: float(value) for name, value in objective.losses(Says(output), one_batch(), epoch).items()}


def test_supervision_by_hand() -> None:
    output = DefocusOutput(maps(0.0), (maps(0.0, 4), maps(0.0, 8)), ())
    weighted = Supervision(lambda_edge=0.0, reduction="mean", final_weight=1.1, side_weight=0.5)
    assert losses_of(StageOne(weighted), output) == pytest.approx({"loss": 2.1 * LN2, "dbd_loss": 2.1 * LN2})


@pytest.mark.parametrize(("final", "depth"), [(maps(0.5), 0.25 + 0.5625), (None, 0.5625)])
def test_depth_outputs_by_hand(final: torch.Tensor | None, depth: float) -> None:
    """Equation 10: the final output, where there is one, and every side."""
    output = DefocusOutput(maps(0.0), (), (), final, (maps(0.25, 8),))
    objective = StageOneWithDepth(PLAIN, Teacher([maps(1.0)]), weight=2.0)
    expected = {"loss": LN2 + 2 * depth, "dbd_loss": LN2, "depth_loss": depth}
    assert losses_of(objective, output) == pytest.approx(expected)


class Teacher:
    """A teacher that always says the same."""

    def __init__(self, features: list[torch.Tensor]) -> None:
        self.features = features
        self.channels = [each.shape[1] for each in features]

    def __call__(self, batch: Batch) -> list[torch.Tensor]:
        return self.features


def towards(x: float, y: float) -> torch.Tensor:
    return torch.tensor([x, y]).view(1, 2, 1, 1).expand(2, 2, 3, 3)


@pytest.mark.parametrize(("epoch", "weight"), [(1, 3.0), (2, 3.0), (3, 0.375), (4, 0.75), (8, 2.25)])
def test_distillation_by_hand(epoch: int, weight: float) -> None:
    """Equation 8: two levels at right angles to one teacher (2 each), one of two opposite to the other (4)."""
    distilled = [
        Distilled("defocus", nn.Identity(), Teacher([towards(0, 5), towards(0, 7)])),
        Distilled("depth", nn.Identity(), Teacher([towards(-2, 0), towards(9, 0)])),
    ]
    objective = StageTwo(PLAIN, distilled, 3.0, 2, 8, "paper", 0.1, 5e-4)
    found = losses_of(objective, DefocusOutput(maps(0.0), (), (towards(1, 0), towards(3, 0))), epoch)
    assert found == pytest.approx(
        {
            "loss": LN2 + weight * 8,
            "dbd_loss": LN2,
            "defocus_feature_loss": 4.0,
            "depth_feature_loss": 4.0,
            "distill_weight": weight,
        },
        rel=1e-5,
    )


def test_projectors_have_their_own_optimizer() -> None:
    projectors = [nn.Conv2d(2, 3, 1, bias=False), nn.Conv2d(2, 5, 1, bias=False)]
    distilled = [Distilled(name, each, Teacher([])) for name, each in zip("ab", projectors, strict=True)]
    objective = StageTwo(PLAIN, distilled, 3.0, 2, 8, "paper", 0.1, 5e-4)
    optimizer = objective.extra_optimizer()
    assert optimizer is not None
    assert (optimizer.learning_rate, optimizer.weight_decay) == (0.1, 5e-4)
    assert [each.shape for each in optimizer.parameters] == [(3, 2, 1, 1), (5, 2, 1, 1)]
    assert objective.extras() == dict(zip("ab", projectors, strict=True))


def test_relative_depth_is_compared_up_to_scale_and_shift() -> None:
    values = torch.tensor([[[1.0, 2.0], [3.0, 6.0]]])  # median (the lower one) 2, mean deviation 1.5
    assert standardise(values).flatten().tolist() == pytest.approx([-2 / 3, 0, 2 / 3, 8 / 3])
    assert torch.allclose(standardise(values * 7 + 3), standardise(values), atol=1e-5)
    batch = one_batch()
    same = DepthOutput(batch.labels[:, 0] * 5 + 2, ())
    assert losses_of(DepthFromRendering(), same)["loss"] == pytest.approx(0.0, abs=1e-5)
    assert losses_of(DepthFromRendering(), DepthOutput(-batch.labels[:, 0], ()))["loss"] > 1


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
    course = experiment.schedule_of(params, params.stage2)
    assert (course.epochs, course.flip_axis, course.gradient_clip, course.seed) == (5, "vertical", 0.5, params.seed)
    assert course.jitter == Jitter(0.2, 0.2, 0.2)


def test_initial_weights_depend_on_the_seed_alone(params: Params) -> None:
    run = params.stage1_runs["dffnet"]
    one = experiment.new_model(params, run, CPU)
    torch.rand(5)
    two = experiment.new_model(params, run, CPU)
    other = experiment.new_model(params.model_copy(update={"seed": 1}), run, CPU)
    assert all(torch.equal(a, b) for a, b in zip(tensors(one), tensors(two), strict=True))
    assert not torch.equal(one.head.weight, other.head.weight)


@pytest.mark.parametrize("batchnorm", ["eval", "batch"])
def test_a_teacher_does_not_learn(tmp_path: Path, batchnorm: str) -> None:
    experiment.write_run(tmp_path / "run", tiny("pdnet"), [], {"run": "pdnet"})
    teacher = experiment.frozen(tmp_path / "run" / experiment.WEIGHTS, batchnorm=batchnorm, device=CPU)
    assert not any(each.requires_grad for each in teacher.parameters())
    assert {module.training for module in teacher.modules()} == {batchnorm == "batch"}


def test_equal_runs_are_written_as_equal_bytes(tmp_path: Path) -> None:
    values = [{"loss": 0.1 + 0.2, "learning_rate": 1e-3}, {"loss": 0.25, "learning_rate": 5e-4}]
    records = [EpochRecord(epoch, 2, each) for epoch, each in enumerate(values, start=1)]
    for name in ("one", "two"):
        experiment.write_run(tmp_path / name, tiny(), records, {"run": "dffnet", "stage": 1})
    files = {path.name: path.read_bytes() for path in (tmp_path / "one").iterdir()}
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "two").iterdir()}
    assert set(files) == {"model.safetensors", "history.csv", "card.json"}
    assert files["history.csv"] == b"epoch,loss,learning_rate\n1,0.30000000000000004,0.001\n2,0.25,0.0005\n"
    experiment.write_run(tmp_path / "one", tiny(), [], {"run": "dffnet"})
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
    with pytest.raises(InputError, match=rf"{tmp_path}/cuhk: no photograph of CUHK-TR-2, .*validation.json"):
        experiment.training_set("CUHK-TR-2 & DUT-TR", tmp_path, CPU)


def test_a_depth_teacher_is_trained_on_inverse_depth(tmp_path: Path) -> None:
    photographs = prepared(tmp_path / "cuhk", ("CUHK-TR-1",))
    with pytest.raises(InputError, match=r"cuhk: no depth\.npy .*depth_teacher\.source: midas_v21"):
        experiment.depth_training_set(photographs, CPU)
    depth = np.full((1, 64, 64), 4, np.float16)
    rendered = PreparedSet(**{**vars(photographs), "depth": depth})
    assert set(experiment.depth_training_set(rendered, CPU).labels.flatten().tolist()) == {0.25}


def course(folder: Path) -> None:
    """Both stages as the pipeline runs them, stage 1 left out once it is done; says every epoch."""
    said = (folder / "output.txt").open("a", buffering=1)
    logging.basicConfig(stream=said, level=logging.INFO, format="%(message)s")
    params, data = small_params(), toy(4)
    device = set_up(device="cpu", precision="float32", deterministic=True, threads=1)
    weights, cache = folder / "depth" / experiment.WEIGHTS, folder / "cache"
    if not weights.exists():
        experiment.write_run(weights.parent, experiment.new_depth_model(params.depth_teacher, device), [], {"run": "-"})
        teacher = experiment.frozen(weights, batchnorm="eval", device=device)
        list(experiment.fill_cache(params, experiment.encode_depth(teacher), data, cache / "toy", weights))
    first, second = params.stage1_runs["dffnet"], params.stage2_runs["d_dffnet"]
    if not (folder / "dffnet").exists():
        model = experiment.new_model(params, first, device)
        train(folder / "dffnet", model, experiment.stage1_objective(params, first.loss, None), data, device)
    student = experiment.new_model(params, first, device)
    defocus = {"weights": folder / "dffnet" / experiment.WEIGHTS, "cache": cache / "defocus", "device": device}
    depth = {"weights": weights, "cache": cache, "device": device, "names": experiment.LEVELS}
    list(experiment.cache_defocus_teacher(params, data, **defocus))
    teachers = {
        "defocus": experiment.defocus_teacher_of(params, data, **defocus),
        "depth": experiment.depth_teacher_of(params, data, **depth),
    }
    train(folder / "d_dffnet", student, experiment.stage2_objective(params, second, student, teachers), data, device)


def train(out: Path, model: nn.Module, objective, data: TrainingSet, device: Device) -> None:
    records = []
    course = schedule(epochs=5, batch_size=2)
    for record in fit(model, objective, data, course, device=device, checkpoint=out.with_suffix(".pt")):
        records.append(record)
        logging.info("%s %d", out.name, record.epoch)
    experiment.write_run(out, model, records, {"run": out.name})


def start(folder: Path) -> ForkServerProcess:
    """A process that trains; its imports were done once for all."""
    folder.mkdir(exist_ok=True)
    process = FORKS.Process(target=course, args=(folder,))
    process.start()
    return process


def kill_in_the_middle(folder: Path, name: str, epoch: int, delay: float) -> None:
    """kill -9 some time after the end of an epoch."""
    process = start(folder)
    while f"{name} {epoch}\n" not in output(folder):
        assert process.is_alive()
        time.sleep(0.002)
    time.sleep(delay)
    process.kill()
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
        kill_in_the_middle(killed, name, int(random.integers(1, 4)), random.uniform(0, 0.1))
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
