"""The two methods that look at nothing, scored by hand."""

import numpy as np
import pytest

from components.baselines.constant import all_blurred, all_in_focus
from components.scoring.metrics import count


def test_scores_of_the_methods_that_look_at_nothing():
    image, label = np.zeros((2, 5, 3), np.uint8), np.array([[1, 1, 0, 0, 0]] * 2)
    focus, blurred = count(all_in_focus(image), label), count(all_blurred(image), label)
    assert (focus.mae, focus.f_beta, focus.iou) == (pytest.approx(0.6), 0, 0)
    assert (blurred.mae, blurred.iou) == (pytest.approx(0.4), 0.6)
    assert blurred.f_beta == pytest.approx(1.3 * 0.6 / (0.3 * 0.6 + 1))
    assert focus.f_beta_published == blurred.f_beta == blurred.f_beta_published
