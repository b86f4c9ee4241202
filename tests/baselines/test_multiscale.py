"""Maps of several scales brought together: minima by hand, and that it is the minimum."""

import numpy as np
import pytest

from components.baselines.multiscale import AXES, bring_together, difference


def energy(h, maps, data, beta):
    term = ((h - maps) ** 2 / 2 if data == "squared" else np.abs(h - maps)).sum()
    return term + beta * sum(np.abs(difference(h, axis)).sum() for axis in AXES)


def maps(shape=(3, 9, 11)):
    return np.random.default_rng(0).random(shape, dtype=np.float32)


@pytest.mark.parametrize("axis", AXES)
def test_two_values_come_nearer_by_beta(axis):
    # minimise (a - 0)^2 / 2 + (b - 1)^2 / 2 + beta |a - b|: a = beta, b = 1 - beta
    pair = np.moveaxis(np.array([0, 1], np.float32).reshape(2, 1, 1), 0, axis)
    np.testing.assert_allclose(bring_together(pair, data="squared", beta=0.2, steps=200).ravel(), [0.2, 0.8], atol=1e-4)
    np.testing.assert_allclose(bring_together(pair, data="squared", beta=0.7, steps=200).ravel(), [0.5, 0.5], atol=1e-4)
    np.testing.assert_allclose(bring_together(pair, data="absolute", beta=0.7, steps=200).ravel(), [0, 1], atol=1e-4)


def test_with_absolute_values_the_lonely_one_gives_way():
    one_of_nine = np.zeros((1, 3, 3), np.float32)
    one_of_nine[0, 1, 1] = 1  # keeping it costs 4 beta, giving it up costs 1
    assert bring_together(one_of_nine, data="absolute", beta=0.3, steps=300).max() < 0.01
    np.testing.assert_allclose(
        bring_together(one_of_nine, data="absolute", beta=0.2, steps=300), one_of_nine, atol=0.01
    )


@pytest.mark.parametrize("data", ["squared", "absolute"])
def test_no_other_maps_nearby_have_less_energy(data):
    found = bring_together(maps(), data=data, beta=0.3, steps=500)
    least = energy(found.astype(np.float64), maps(), data, 0.3)
    random = np.random.default_rng(1)
    for scale in (0.3, 0.03, 0.003):
        for _ in range(50):
            other = found + scale * random.standard_normal(found.shape) * (random.random(found.shape) < 0.1)
            assert energy(other, maps(), data, 0.3) > least - 1e-3
    assert least < energy(maps(), maps(), data, 0.3)


def test_a_constant_stays_and_inputs_are_left_alone():
    constant, given = np.full((3, 5, 6), 0.3, np.float32), maps()
    np.testing.assert_allclose(bring_together(constant, data="squared", beta=0.5, steps=20), 0.3, rtol=1e-6)
    bring_together(given, data="absolute", beta=0.5, steps=5)
    np.testing.assert_array_equal(given, maps())
