"""Matting: the matting Laplacian by its published entries, and the solution of its dense system."""

import numpy as np
import pytest

from components.baselines import matting
from components.baselines.matting import matte
from components.maps.guided import Guide

EPSILON = 1e-3


def photograph(height=9, width=10):
    return np.random.default_rng(0).random((height, width, 3), dtype=np.float32)


def of_guide(guide, height=9, width=10):
    """Its smoothing as a matrix (pixels, pixels)."""
    unit = np.eye(height * width, dtype=np.float32).reshape(-1, height, width)
    return np.stack([guide.smooth(each).ravel() for each in unit], axis=1)


def affinity(colours, one, other):
    """Levin et al., eq. 10, for two pixels with all their windows inside the photograph; means over 9 pixels."""
    total = 0
    for y in range(max(one[0], other[0]) - 1, min(one[0], other[0]) + 2):
        for x in range(max(one[1], other[1]) - 1, min(one[1], other[1]) + 2):
            window = colours[y - 1 : y + 2, x - 1 : x + 2].reshape(9, 3).astype(np.float64)
            spread = np.cov(window.T, bias=True) + EPSILON * np.eye(3)
            away = [colours[each] - window.mean(axis=0) for each in (one, other)]
            total += (1 + away[0] @ np.linalg.solve(spread, away[1])) / 81
    return total


@pytest.mark.parametrize("other", [(4, 4), (4, 5), (3, 3), (4, 6), (6, 5), (4, 7)])
def test_the_guided_filter_has_the_matting_laplacians_entries(other):
    matrix = of_guide(Guide(photograph(), radius=1, smooth=EPSILON)).reshape(9, 10, 9, 10)
    assert matrix[4, 4][other] == pytest.approx(affinity(photograph(), (4, 4), other), abs=1e-5)


def test_it_is_symmetric_and_constants_cost_nothing():
    matrix = of_guide(Guide(photograph(), radius=1, smooth=EPSILON))
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-5)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("hold", [0.005, 0.1])
def test_it_solves_the_dense_system(hold, monkeypatch):
    monkeypatch.setattr(matting, "TOLERANCE", 1e-4)
    guide, given = Guide(photograph(), radius=1, smooth=EPSILON), (photograph()[..., 0] > 0.7).astype(np.float32)
    exact = np.linalg.solve((1 + hold) * np.eye(90) - of_guide(guide), hold * given.ravel().astype(np.float64))
    found = matte(guide, given, hold)
    assert np.abs(found.ravel() - exact).max() < 1e-3
    assert np.abs(given.ravel() - exact).mean() > 0.1


def test_an_unknown_region_takes_the_value_of_its_colour():
    colours = np.zeros((20, 20, 3), np.float32)
    colours[:, 8:] = (0.9, 0.5, 0.2)
    given = np.zeros((20, 20), np.float32)
    given[4:16, 10:17] = 1  # inside what has the second colour, short of its edges
    found = matte(Guide(colours, radius=1, smooth=1e-4), given, 0.005)
    assert found[:, :8].max() < 0.05
    assert found[10, 8] > 0.3
    assert given[10, 8] == 0
