"""How good a depth teacher is: every number by hand."""

import numpy as np
import pytest
import torch

from components.datasets.loader import TrainingSet
from components.train.depth_validation import SIDE, errors, ranks, sheet

DEPTH = torch.tensor([[[1.0, 2.0], [3.0, 6.0]]])


def test_equal_values_share_their_mean_rank():
    assert ranks(torch.tensor([5.0, 1.0, 5.0, 9.0])).tolist() == [2.5, 1.0, 2.5, 4.0]


def test_scale_and_shift_do_not_count_and_order_does():
    perfect = errors(DEPTH * 7 + 3, DEPTH)
    assert perfect == {"validation_error": pytest.approx(0, abs=1e-6), "validation_rank_correlation": pytest.approx(1)}
    # target (-2, 0, 2, 8) / 3 after standardising; the other 4 3 2 1 has median 2, mean deviation 1: 2 1 0 -1
    reversed_order = errors(torch.tensor([[[4.0, 3.0], [2.0, 1.0]]]), DEPTH)
    assert reversed_order["validation_error"] == pytest.approx((8 / 3 + 1 + 2 / 3 + 11 / 3) / 4)
    assert reversed_order["validation_rank_correlation"] == pytest.approx(-1)
    constant = errors(torch.cat([torch.ones(1, 2, 2), DEPTH]), torch.cat([DEPTH, DEPTH]))
    assert constant == {"validation_error": pytest.approx(0.5), "validation_rank_correlation": pytest.approx(1)}


def test_a_sheet_has_photograph_target_and_prediction_side_by_side():
    images = torch.full((5, 3, 2, 2), 200, dtype=torch.uint8)
    targets = DEPTH.expand(5, 1, 2, 2)
    found = sheet(TrainingSet(images, targets, list("abcde")), -DEPTH.expand(5, 2, 2))
    assert found.shape == (2 * SIDE, 12 * SIDE, 3)
    assert found.dtype == np.uint8
    assert (found[:SIDE, :SIDE] == 200).all()
    corners = found[0, [SIDE, 2 * SIDE]]  # 1 is the farthest in the target, and the nearest in the prediction
    assert corners[0].max() < 110
    assert corners[1].min() > 145
    assert (found[SIDE:, 3 * SIDE :] == 255).all()
