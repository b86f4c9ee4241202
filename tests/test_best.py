"""The recipe `best`: its rates, losses and averages by hand, and that a kill changes nothing."""

import math
from itertools import islice
from pathlib import Path

import pytest
import torch
from torch import nn

from components.datasets.loader import Jitter
from components.models.network import DefocusOutput
from components.models.registry import build_model
from components.models.runtime import memory_format, to_be_asked
from components.train.best import Best, Crops, Overlap, soft_iou
from components.train.objectives import StageOne
from components.train.training import fit
from tests.test_training import CPU, LN2, tensors, tiny, toy

pytestmark = pytest.mark.usefixtures("one_thread")


def best(**changed) -> Best:
    options = {
        "epochs_run": 3,
        "batch_size": 3,
        "learning_rate": 1e-2,
        "encoder_rate": 0.5,
        "weight_decay": 0.01,
        "warm_up": 1.0,
        "gradient_clip": 0.5,
        "averaging": 0.9,
        "crops": Crops(64, 0.8, 0.5, Jitter(0.1, 0.1, 0.1)),
        "seed": 0,
    }
    return Best(**options | changed)


@pytest.mark.parametrize(
    ("epoch", "done", "rate"),
    [
        (1, 0.0, 1e-6),  # the smallest
        (1, 0.5, 0.5 * 1e-2 * (1 + math.cos(math.pi / 8)) / 2),  # half way up the line
        (3, 0.0, 0.5e-2),  # half way down the cosine
        (4, 0.5, 1e-2 * (1 + math.cos(math.pi * 7 / 8)) / 2),
    ],
)
def test_rates_by_hand(epoch: int, done: float, rate: float) -> None:
    course = best(epochs_run=4)
    optimizers = course.optimizers(tiny())
    assert course.set_rates(optimizers, epoch, done) == pytest.approx(rate)
    assert [each.learning_rate for each in optimizers] == pytest.approx([rate, rate / 2])


def test_soft_iou_by_hand() -> None:
    """Of 4 pixels, 2 in focus, found at 0.5 each and no other: (1 + 1) / (2 + 1); the blur: (2 + 1) / (3 + 1)."""
    labels = torch.tensor([1.0, 1.0, 0.0, 0.0]).view(1, 1, 2, 2)
    assert float(soft_iou(labels / 2, labels)) == pytest.approx((2 / 3 + 3 / 4) / 2)
    assert float(soft_iou(labels, labels)) == 1


def test_the_loss_by_hand() -> None:
    labels = torch.tensor([1.0, 1.0, 0.0, 0.0]).view(1, 1, 2, 2)
    nothing = torch.zeros(1, 1, 2, 2)
    overlap = (2 / 4 + 2 / 4) / 2  # p = 0.5 everywhere: shared 1, union 2 + 2 - 1 = 3, with 1 added to each
    sides = (torch.zeros(1, 1, 1, 1), torch.full((1, 1, 1, 1), 1e3))  # BCE ln 2, and 1000 on half of the pixels
    found = Overlap(iou_weight=0.5, side_weight=0.4).loss(DefocusOutput(nothing, sides, ()), labels)
    assert float(found) == pytest.approx(LN2 + 0.5 * (1 - overlap) + 0.4 * (LN2 + 500) / 2)


def test_the_encoder_has_an_optimizer_of_its_own() -> None:
    model = tiny()
    decoder, encoder = (each.parameters for each in best().optimizers(model))
    assert {id(each) for each in encoder} == {id(each) for each in model.backbone.parameters()}
    assert {id(each) for each in decoder + encoder} == {id(each) for each in model.parameters()}
    assert len(decoder) + len(encoder) == len(list(model.parameters()))


def test_it_ends_with_the_average_of_the_weights() -> None:
    """After weights 1, 2 and 3 with decay 0.5: 1, then 2/11 of 1 and the rest of 2, then 3/12 of that and 3."""
    model = nn.Linear(1, 1, bias=False)
    average = best(averaging=0.5).average(model)
    for value in (1.0, 2.0, 3.0):
        nn.init.constant_(model.weight, value)
        average.update_parameters(model)
    second = 1 * 2 / 11 + 2 * 9 / 11
    assert average.module.weight.item() == pytest.approx(second * 3 / 12 + 3 * 9 / 12)


def test_interrupted_and_resumed_it_ends_the_same(tmp_path: Path) -> None:
    def run(model: nn.Module, checkpoint: Path, epochs: int) -> list[float]:
        records = fit(model, StageOne(Overlap(0.5, 0.4)), toy(), best(), device=CPU, checkpoint=checkpoint)
        return [record.values["loss"] for record in islice(records, epochs)]

    straight, broken, again = tiny(), tiny(), tiny()
    losses = run(straight, tmp_path / "a.pt", 9)
    assert run(broken, tmp_path / "b.pt", 2) == losses[:2]
    assert run(again, tmp_path / "b.pt", 9) == losses
    assert all(torch.equal(a, b) for a, b in zip(tensors(straight), tensors(again), strict=True))


@pytest.mark.parametrize(
    ("backbone", "layout"), [("resnet10t", torch.channels_last), ("mobilenetv2_050", torch.contiguous_format)]
)
def test_depthwise_networks_have_the_ordinary_layout_on_a_cpu(backbone: str, layout: torch.memory_format) -> None:
    assert memory_format(build_model("dffnet", backbone, width=8)) == layout


@pytest.mark.parametrize(("backbone", "last"), [("resnet10t", True), ("mobilenetv2_050", True), ("resnest14d", False)])
def test_a_network_that_is_only_asked_lies_channels_last_but_for_grouped_convolutions(
    backbone: str, last: bool
) -> None:
    model = to_be_asked(build_model("dffnet", backbone, width=8))
    kernel = next(each.weight for each in model.modules() if isinstance(each, nn.Conv2d) and each.kernel_size == (3, 3))
    assert kernel.is_contiguous(memory_format=torch.channels_last) == last
