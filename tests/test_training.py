"""Training of both stages: what an epoch comes to, and that no interruption changes it."""

import math
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from components.common.errors import InputError
from components.datasets.loader import Batch, Flips, Jitter, TrainingSet, normalise
from components.models.network import DefocusOutput, DepthOutput
from components.models.registry import build_model
from components.models.run_files import write_run
from components.models.runtime import Device
from components.train.objectives import (
    Distilled,
    RelativeDepth,
    StageOne,
    StageOneWithDepth,
    StageTwo,
    Supervision,
    sorted_median,
    standardise,
)
from components.train.optimizer import Adam
from components.train.schedules import distillation_weight
from components.train.training import Schedule, announced, fit, step

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = Device(torch.device("cpu"), "float32")
PLAIN = Supervision(lambda_edge=0.0, reduction="mean", final_weight=1.0, side_weight=1.0)
LN2 = math.log(2)
BETA = partial(distillation_weight, epochs=8, beta=3.0, hold=2, rule="paper")


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
        "flips": Flips("vertical", 0.5, Jitter(0.2, 0.2, 0.2)),
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

    def losses(self, model: nn.Module, batch: Batch, weight: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"loss": weight * (model(batch.images) + self.beside(batch.images))}

    def weight_of(self, epoch: int) -> float:
        return self.bad if epoch == self.bad_epoch else 1.0

    def expect(self, batch: Batch) -> None:
        pass

    def read(self, batch: Batch) -> Batch:
        return batch

    def extras(self) -> dict[str, nn.Module]:
        return {"beside": self.beside}

    def extra_optimizer(self) -> Adam | None:
        return Adam(self.beside.parameters(), learning_rate=0.1)


def test_the_loss_goes_down_on_what_can_be_learned(tmp_path: Path) -> None:
    model = tiny()
    course = schedule(epochs=6, flips=Flips("vertical", 0.5, Jitter(0, 0, 0)))
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
        write_run(full_disk / "run", tiny(), [], {"run": "pdnet"})
    assert sorted(path.name for path in full_disk.iterdir()) == ["c.pt", "other"]


def one_batch(count: int = 2) -> Batch:
    data = toy(count)
    none = torch.zeros(count, dtype=torch.bool)
    return Batch(normalise(data.images), data.labels.float(), torch.arange(count), none, view=0)


@pytest.mark.parametrize(
    ("clip", "gradients"), [(0.5, [0.5, -0.5, 0.25]), (2.0, [2.0, -1.0, 0.25]), (0.0, [3, -1, 0.25])]
)
def test_gradients_are_clipped_by_value(clip: float, gradients: list[float]) -> None:
    class Slopes(StageOne):
        def losses(self, model: nn.Module, batch: Batch, weight: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"loss": (model.weight * torch.tensor([3.0, -1.0, 0.25])).sum()}

    model = nn.Linear(3, 1)
    optimizers = [Adam(model.parameters(), learning_rate=0.01)]
    step(model, Slopes(PLAIN), one_batch(), epoch=1, optimizers=optimizers, gradient_clip=clip, device=CPU)
    assert model.weight.grad is not None
    assert model.weight.grad.tolist() == [gradients]


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
    found = objective.losses(Says(output), objective.read(one_batch()), torch.tensor(objective.weight_of(epoch)))
    return {name: float(value) for name, value in found.items()}


@pytest.mark.parametrize("count", [1, 2, 5, 6])
def test_a_median_by_sorting_is_torchs(count: int) -> None:
    rows = torch.randint(0, 4, (7, count), generator=torch.Generator().manual_seed(count)).float()
    assert torch.equal(sorted_median(rows), rows.median(1, keepdim=True).values)


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

    def read(self, batch: Batch) -> tuple[torch.Tensor, ...]:
        return tuple(self.features)

    def said(self, images: torch.Tensor, read: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return read

    def expect(self, batch: Batch) -> None:
        self.expected = batch


def towards(x: float, y: float) -> torch.Tensor:
    return torch.tensor([x, y]).view(1, 2, 1, 1).expand(2, 2, 3, 3)


@pytest.mark.parametrize(("epoch", "weight"), [(1, 3.0), (2, 3.0), (3, 0.375), (4, 0.75), (8, 2.25)])
def test_distillation_by_hand(epoch: int, weight: float) -> None:
    """Equation 8: two levels at right angles to one teacher (2 each), one of two opposite to the other (4)."""
    distilled = [
        Distilled("defocus", nn.Identity(), Teacher([towards(0, 5), towards(0, 7)])),
        Distilled("depth", nn.Identity(), Teacher([towards(-2, 0), towards(9, 0)])),
    ]
    objective = StageTwo(PLAIN, distilled, BETA, 0.1, 5e-4)
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


def test_teachers_expect_the_coming_batch() -> None:
    teachers = [Teacher([]), Teacher([])]
    distilled = [Distilled(name, nn.Identity(), each) for name, each in zip("ab", teachers, strict=True)]
    batch = one_batch()
    StageTwo(PLAIN, distilled, BETA, 0.1, 5e-4).expect(batch)
    StageOneWithDepth(PLAIN, teachers[0], weight=1.0).expect(batch)
    assert all(each.expected is batch for each in teachers)


def test_batches_are_announced_one_ahead() -> None:
    told: list[str] = []

    class Told(StageOne):
        def expect(self, batch: Batch) -> None:
            told.append(f"expect {len(batch.index)}")

    for batch in announced([one_batch(count) for count in (2, 4, 6)], Told(PLAIN)):
        told.append(f"train {len(batch.index)}")
    assert told == ["expect 2", "expect 4", "train 2", "expect 6", "train 4", "train 6"]
    assert list(announced([], Told(PLAIN))) == []


def test_projectors_have_their_own_optimizer() -> None:
    projectors = [nn.Conv2d(2, 3, 1, bias=False), nn.Conv2d(2, 5, 1, bias=False)]
    distilled = [Distilled(name, each, Teacher([])) for name, each in zip("ab", projectors, strict=True)]
    objective = StageTwo(PLAIN, distilled, BETA, 0.1, 5e-4)
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
    assert losses_of(RelativeDepth(), same)["loss"] == pytest.approx(0.0, abs=1e-5)
    assert losses_of(RelativeDepth(), DepthOutput(-batch.labels[:, 0], ()))["loss"] > 1


def test_bfloat16_follows_float32(tmp_path: Path) -> None:
    losses = {}
    for precision in ("float32", "bfloat16"):
        device = Device(torch.device("cpu"), precision)
        records = fit(
            tiny(), StageOne(PLAIN), toy(), schedule(epochs=1), device=device, checkpoint=tmp_path / precision
        )
        losses[precision] = [record.values["loss"] for record in records]
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=2e-2)
    assert losses["bfloat16"] != losses["float32"]
