"""Regions of a photograph and the error within them, by hand."""

import math

import numpy as np
import pytest

from components.scoring.regions import FLAT, REGIONS, edge_band, gradient, region_errors, regions


def ramp(size, step):
    """Grey that grows by `step` levels a pixel from left to right."""
    row = (step * np.arange(size)).astype(np.uint8)
    return np.repeat(np.tile(row, (size, 1))[..., None], 3, axis=2)


@pytest.mark.parametrize("step", [0, 1, 2, 5])
def test_the_gradient_is_in_levels_a_pixel(step):
    np.testing.assert_allclose(gradient(ramp(40, step))[15:25, 15:25], step)


def test_homogeneous_is_below_the_limit_and_textured_the_rest():
    label = np.ones((40, 40), np.uint8)
    for step, flat in ((FLAT - 1, True), (FLAT, False), (FLAT + 3, False)):
        found = regions(ramp(40, step), label)
        assert found["homogeneous"][20, 20] == flat
        np.testing.assert_array_equal(found["textured"], ~found["homogeneous"])


def test_the_edge_band_reaches_a_64th_of_the_side_to_both_sides():
    label = np.zeros((128, 128), np.uint8)
    label[:, 50:] = 1
    assert sorted(set(np.nonzero(edge_band(label))[1])) == [48, 49, 50, 51]  # 2 pixels of 128
    assert not edge_band(np.ones((128, 128), np.uint8)).any()


def test_regions_in_focus_follow_the_label():
    label = np.zeros((64, 64), np.uint8)
    label[:, :32] = 1
    found = regions(np.full((64, 64, 3), 90, np.uint8), label)
    assert found["homogeneous"].all()
    np.testing.assert_array_equal(found["homogeneous_in_focus"], label == 1)
    np.testing.assert_array_equal(found["interior"], ~found["edge"])
    assert list(found) == list(REGIONS)


def test_errors_within_regions():
    label = np.zeros((64, 64), np.uint8)
    label[:, :32] = 1
    prediction = np.full((64, 64), 51, np.uint8)  # 0.2 in focus everywhere
    errors = region_errors(prediction, label, regions(np.full((64, 64, 3), 90, np.uint8), label))
    assert errors["homogeneous"] == pytest.approx(0.5)
    assert errors["homogeneous_in_focus"] == pytest.approx(0.8)
    assert errors["edge"] == pytest.approx(0.5)
    assert math.isnan(errors["textured"])
    half = region_errors(np.full((64, 64), 0.25, np.float16), label, {"all": np.ones((64, 64), bool)})
    assert half["all"] == 0.5


def test_a_map_of_another_size_is_brought_to_the_labels():
    label = np.array([[1, 0], [0, 0]], np.uint8)
    prediction = np.zeros((4, 4), np.uint8)
    prediction[:2, :2] = [[255, 0], [0, 0]]  # a quarter of the first pixel
    masks = {"all": np.ones((2, 2), bool)}
    assert region_errors(prediction, label, masks)["all"] == pytest.approx((1 - 64 / 255) / 4, abs=1e-3)
