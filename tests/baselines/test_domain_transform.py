import numpy as np
import pytest

from components.baselines.domain_transform import domain_transform

HALVING = np.sqrt(42) / (4 * np.log(2))  # sigma_s that makes the feedback of the three passes 1/2, 1/4, 1/16


def random_map(shape=(40, 50), seed=0):
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


@pytest.mark.parametrize("axis", [0, 1])
def test_two_pixels_by_hand(axis):
    # 1, 0 -> .75, .5 (1/2) -> .703125, .5625 (1/4) -> .69488525, .57128906 (1/16)
    signal = np.expand_dims(np.array([1, 0], np.float32), axis)
    smooth = domain_transform(signal, np.zeros_like(signal), HALVING, 1.0)
    np.testing.assert_allclose(smooth.ravel(), [0.69488525, 0.57128906], rtol=1e-6)


def test_a_step_of_the_guide_counts_as_distance():
    # a step of sigma_r / sigma_s doubles the distance, so that the feedback of the passes is 1/4, 1/16, 1/256
    signal, guide = np.array([[1, 0]], np.float32), np.array([[0, 3 / HALVING]], np.float32)
    smooth = domain_transform(signal, guide, HALVING, 3.0)
    first = 1.0
    second = 0.0
    for feedback in (1 / 4, 1 / 16, 1 / 256):
        second += feedback * (first - second)
        first += feedback * (second - first)
    np.testing.assert_allclose(smooth.ravel(), [first, second], rtol=1e-6)


def test_a_constant_stays():
    smooth = domain_transform(np.full((30, 20), 0.3, np.float32), random_map((30, 20)), 15.0, 0.25)
    np.testing.assert_allclose(smooth, 0.3, rtol=1e-6)


def test_flat_guide_smooths_and_keeps_the_range():
    signal = random_map()
    smooth = domain_transform(signal, np.zeros_like(signal), 15.0, 0.25)
    assert signal.min() <= smooth.min() < smooth.max() <= signal.max()
    assert smooth.std() < 0.2 * signal.std()


def test_an_edge_of_the_guide_is_not_crossed():
    signal = random_map()
    guide = np.zeros_like(signal)
    guide[:, 25:] = 1
    signal[:, 25:] += 5
    smooth = domain_transform(signal, guide, 15.0, 0.01)
    np.testing.assert_allclose(smooth[:, :25].mean(), signal[:, :25].mean(), atol=0.02)
    np.testing.assert_allclose(smooth[:, 25:].mean(), signal[:, 25:].mean(), atol=0.02)


def test_inputs_are_left_alone():
    signal, guide = random_map(seed=1), random_map(seed=2)
    copies = signal.copy(), guide.copy()
    domain_transform(signal, guide, 15.0, 0.25)
    np.testing.assert_array_equal(signal, copies[0])
    np.testing.assert_array_equal(guide, copies[1])
