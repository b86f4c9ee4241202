"""Losses: hand-computed cases here, the published implementation's values in tests/models/test_parity*.py and below."""

import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from components.models.network import DefocusOutput
from components.train.losses import (
    box_difference,
    dbd_loss,
    depth_loss,
    dof_edge_loss,
    feature_loss,
    label_edge,
    pairwise_loss,
    soft_edge,
)
from components.train.objectives import Supervision


def one_pixel() -> Tensor:
    label = torch.zeros(1, 1, 5, 5)
    label[0, 0, 2, 2] = 1
    return label


def test_box_difference_is_the_3x3_convolution_with_minus_eight_at_its_centre() -> None:
    maps = torch.rand(2, 1, 7, 9, generator=torch.Generator().manual_seed(0))
    kernel = torch.ones(1, 1, 3, 3)
    kernel[0, 0, 1, 1] = -8
    torch.testing.assert_close(box_difference(maps), F.conv2d(maps, kernel, padding=1), atol=1e-5, rtol=0)


def test_box_difference_has_the_gradient_of_the_convolution() -> None:
    maps = torch.rand(2, 1, 5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert torch.autograd.gradcheck(box_difference, maps)


def test_edges_of_one_pixel_by_hand() -> None:
    soft = soft_edge(one_pixel())[0, 0]
    assert soft[2, 2] == pytest.approx(64 / 65)  # e = -8
    assert soft[1, 2] == pytest.approx(1 / 2)  # e = 1
    assert soft[0, 0] == 0
    edge = label_edge(one_pixel())[0, 0]
    assert edge.sum() == 9
    assert edge[1:4, 1:4].min() == 1


def test_the_image_border_is_an_edge_of_an_in_focus_image_only() -> None:
    assert label_edge(torch.ones(1, 1, 4, 4))[0, 0].sum() == 12
    assert label_edge(torch.zeros(1, 1, 4, 4)).sum() == 0


def test_dof_edge_loss_by_hand() -> None:
    # predicted edge: 64/65 at the centre, 1/2 at its 8 neighbours; label edge: 1 at all nine
    overlap, squares = 64 / 65 + 4, (64 / 65) ** 2 + 2
    expected = 1 - (2 * overlap + 1) / (squares + 9 + 1)
    assert dof_edge_loss(one_pixel(), one_pixel(), "mean").item() == pytest.approx(expected, rel=1e-6)


def test_sum_over_the_batch_is_batch_times_mean() -> None:
    maps, labels = torch.cat([one_pixel()] * 3), torch.cat([one_pixel(), one_pixel() * 0, one_pixel()])
    total, mean = dof_edge_loss(maps, labels, "sum"), dof_edge_loss(maps, labels, "mean")
    assert total.item() == pytest.approx(3 * mean.item(), rel=1e-6)


def test_dbd_loss_without_edges_is_binary_cross_entropy() -> None:
    logits, label = torch.tensor([[[[2.0, -1.0]]]]), torch.tensor([[[[1.0, 1.0]]]])
    expected = (math.log(1 + math.exp(-2)) + math.log(1 + math.exp(1))) / 2
    assert dbd_loss(logits, label, lambda_edge=0, reduction="mean").item() == pytest.approx(expected, rel=1e-6)


def test_the_pairwise_loss_is_as_exact_in_mixed_precision() -> None:
    """Student and teacher almost agree: products in bfloat16 were wrong by 2% there, and their gradient by 6%."""
    generator = torch.Generator().manual_seed(0)
    teacher = torch.randn(2, 64, 8, 8, generator=generator).relu().half()
    student = (teacher + 0.05 * torch.randn(teacher.shape, generator=generator)).bfloat16()
    exact, mixed = student.float().requires_grad_(), student.clone().requires_grad_()
    pairwise_loss(exact, teacher).backward()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = pairwise_loss(mixed, teacher)
    found.backward()
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(pairwise_loss(exact, teacher).item(), rel=1e-4)
    assert exact.grad is not None
    assert mixed.grad is not None
    assert float((mixed.grad - exact.grad).norm()) < 0.01 * float(exact.grad.norm())


def test_supervised_loss_weighs_the_final_output_and_the_sides() -> None:
    logits, label = torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4)
    supervision = Supervision(lambda_edge=0, reduction="mean", final_weight=1.1, side_weight=0.5)
    loss = supervision.loss(DefocusOutput(logits, (logits[..., :2, :2],) * 4, ()), label)
    assert loss.item() == pytest.approx((1.1 + 4 * 0.5) * math.log(2), rel=1e-6)


def test_pairwise_loss_is_equation_2_per_pixel() -> None:
    generator = torch.Generator().manual_seed(1)
    student, teacher = (torch.randn(2, 5, 3, 4, generator=generator) for _ in range(2))
    expected = (F.normalize(student, dim=1) - F.normalize(teacher, dim=1)).square().sum(1).mean()
    assert pairwise_loss(student, teacher).item() == pytest.approx(expected.item(), rel=1e-5)
    assert pairwise_loss(student, 7 * student).item() == pytest.approx(0, abs=1e-5)
    assert pairwise_loss(student, -student).item() == pytest.approx(4, rel=1e-5)


def literal(student: Tensor, teacher: Tensor) -> Tensor:
    """Equation 2 from normalised copies, with the published epsilon."""
    units = [each / (each.square().sum(1, keepdim=True) + 1e-6).sqrt() for each in (student, teacher)]
    return (units[0] - units[1]).square().sum(1).mean()


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e-4])
def test_pairwise_loss_and_its_gradient_are_those_of_normalised_copies(scale: float) -> None:
    """Vectors of length 1e-4 and 1e-3 have squares below and at the epsilon."""
    generator = torch.Generator().manual_seed(2)
    student, teacher = (scale * torch.randn(2, 7, 3, 4, dtype=torch.float64, generator=generator) for _ in range(2))
    student.requires_grad_()
    expected = literal(student, teacher)
    (slope,) = torch.autograd.grad(expected, student)
    loss = pairwise_loss(student, teacher)
    (found,) = torch.autograd.grad(2 * loss, student)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
    torch.testing.assert_close(found, 2 * slope, rtol=1e-9, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_pairwise_loss_in_chunks(monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, memory_format) -> None:
    generator = torch.Generator().manual_seed(3)
    student, teacher = (torch.randn(2, 8, 5, 7, generator=generator) for _ in range(2))
    student = student.to(dtype).to(memory_format=memory_format).requires_grad_()
    whole = pairwise_loss(student, teacher.half())
    (slope,) = torch.autograd.grad(whole, student)
    monkeypatch.setattr("components.train.losses.CHUNK", 8 * 3)  # three pixels of seventy
    parts = pairwise_loss(student, teacher.half())
    (found,) = torch.autograd.grad(parts, student)
    assert parts.dtype == torch.float32
    assert parts.item() == whole.item() == pytest.approx(literal(student.float(), teacher).item(), rel=1e-3)
    assert found.dtype == dtype
    assert torch.equal(found, slope)


def test_teacher_features_of_another_size_are_normalised_and_then_resized() -> None:
    """By hand, along a row of two pixels at right angles, resized to four: weights 1, 3/4, 1/4, 0 of the first.

    Lengths in the second pixel must not count; between the two a vector is sqrt(10)/4 long and is left so.
    """
    teacher = torch.tensor([[1.0, 0.0], [0.0, 50.0]]).reshape(1, 2, 1, 2)
    student = torch.tensor([3.0, 0.0]).reshape(1, 2, 1, 1).repeat(1, 1, 2, 4).requires_grad_()
    loss = pairwise_loss(student, teacher)
    expected = [0, 1 / 16 + 1 / 16, 9 / 16 + 9 / 16, 1 + 1]
    assert loss.item() == pytest.approx(sum(expected) / 4, rel=1e-5)
    (slope,) = torch.autograd.grad(loss, student)
    # d/ds of -2 s.t / |s| across s, t's second component: 0, 1/4, 3/4, 1; |s| = 3, 8 pixels
    assert slope[0, 1, 0].tolist() == pytest.approx([-2 * t / 3 / 8 for t in (0, 0.25, 0.75, 1)], rel=1e-4)
    assert pairwise_loss(student.detach().bfloat16(), teacher.half()).item() == pytest.approx(
        sum(expected) / 4, rel=1e-3
    )


def test_pairwise_loss_names_both_shapes() -> None:
    with pytest.raises(ValueError, match=r"\(1, 2, 4, 4\).*\(1, 3, 4, 4\)"):
        pairwise_loss(torch.ones(1, 2, 4, 4), torch.ones(1, 3, 4, 4))


def test_feature_loss_sums_levels_and_depth_loss_sums_outputs() -> None:
    features = [torch.ones(1, 2, 4, 4), torch.ones(1, 3, 2, 2)]
    assert feature_loss(features, [-each for each in features]).item() == pytest.approx(8, rel=1e-5)
    target = torch.zeros(1, 1, 2, 2)
    assert depth_loss([target + 1, target + 2], target).item() == pytest.approx(1 + 4)


def test_published_values(shared, reference) -> None:
    golden = json.loads((shared / "parity" / "losses_schedules_metrics.json").read_text())
    logits = torch.tensor(np.random.RandomState(3000).standard_normal((3, 1, 320, 320)).astype(np.float32))
    logits.requires_grad_()
    label = torch.tensor(reference.masks(3))
    loss = dbd_loss(logits, label, lambda_edge=0.5, reduction="sum")
    loss.backward()
    edges = torch.stack([dof_edge_loss(torch.sigmoid(logits[i : i + 1]), label[i : i + 1], "sum") for i in range(3)])
    assert dbd_loss(logits, label, lambda_edge=0, reduction="sum").item() == pytest.approx(golden["bce"], rel=1e-6)
    assert edges.tolist() == pytest.approx(golden["dof_edge_each"], rel=1e-6)
    assert loss.item() == pytest.approx(golden["dbd"], rel=1e-6)
    assert logits.grad is not None
    assert logits.grad.abs().sum().item() == pytest.approx(golden["dbd_grad_abs_sum"], rel=1e-5)
    assert logits.grad.norm().item() == pytest.approx(golden["dbd_grad_l2"], rel=1e-5)
