"""What the benchmarks call "published" is what the published code did: its training trace and its scores."""

import json

import numpy as np
import pytest
import torch

from benchmarks.published import PublishedStep, scored
from components.metrics import count
from components.models.projectors import Projectors
from components.models.registry import build_model
from components.schedules import poly_learning_rate
from tests.parity_tools import fill_as_reference, fill_projectors


def test_its_first_step_is_that_of_the_training_trace(shared, reference) -> None:
    """The teachers on batch statistics, as the published script has them; later steps amplify the last bit."""
    golden = json.loads((shared / "parity" / "training_trace.json").read_text())
    student, defocus = build_model("dffnet", "resnest101e"), build_model("dffnet", "resnest101e")
    depth = build_model("midas", "resnext101_32x8d")
    fill_as_reference(student, reference, 7)
    teachers, projectors = {"defocus": defocus, "depth": depth}, {}
    for name, teacher in teachers.items():
        fill_as_reference(teacher, reference)
        projectors[name] = Projectors(student.feature_channels, teacher.feature_channels)
        fill_projectors(projectors[name], reference, f"adapter_{name}")
    rate = poly_learning_rate(1, epochs=75, initial=1e-4, power=0.9, rule="published_code")
    step = PublishedStep(student, teachers, projectors, rate)
    for losses, tolerance in zip(golden["stage2_teachers_on_batch_statistics"][:2], (1e-4, 3e-2), strict=True):
        seed = 10 if tolerance == 1e-4 else 11
        images, masks = (torch.from_numpy(make(2, seed=seed)) for make in (reference.images, reference.masks))
        assert list(step(images, masks).values()) == pytest.approx(losses, rel=tolerance)


def test_its_scores_are_those_of_one_pass() -> None:
    random = np.random.default_rng(0)
    focus = random.random((40, 60)) > 0.4
    levels = np.where(focus, random.integers(60, 256, focus.shape), random.integers(0, 190, focus.shape))
    ours = count(levels.astype(np.uint8), focus)
    mae, f_beta = scored(torch.from_numpy(levels / 255).float(), torch.from_numpy(focus).float())
    assert mae == pytest.approx(ours.mae, abs=1e-6)
    assert f_beta == pytest.approx(ours.f_beta, abs=1e-6)
