"""What the benchmarks call the published scoring gives the published scores. Its steps: test_training_trace.py."""

import numpy as np
import pytest
import torch

from benchmarks.published import scored
from components.scoring.metrics import count


def test_its_scores_are_those_of_one_pass() -> None:
    random = np.random.default_rng(0)
    focus = random.random((40, 60)) > 0.4
    levels = np.where(focus, random.integers(60, 256, focus.shape), random.integers(0, 190, focus.shape))
    ours = count(levels.astype(np.uint8), focus)
    mae, f_beta = scored(torch.from_numpy(levels / 255).float(), torch.from_numpy(focus).float())
    assert mae == pytest.approx(ours.mae, abs=1e-6)
    assert f_beta == pytest.approx(ours.f_beta, abs=1e-6)
