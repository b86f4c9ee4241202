"""Maps of several scales brought together: minima by hand, and that it is the minimum."""

import numpy as np
import pytest

from components.baselines.multiscale import AXES, bring_together, difference


def energy(h, maps, beta):
    return np.abs(h - maps).sum() + beta * sum(np.abs(difference(h, axis)).sum() for axis in AXES)


def maps(shape=(3, 9, 11)):
    return np.random.default_rng(0).random(shape, dtype=np.float32)


@pytest.mark.parametrize("axis", AXES)
def test_two_values_meet_where_their_difference_costs_more_than_moving(axis):
    pair = np.moveaxis(np.array([0, 1], np.float32).reshape(2, 1, 1), 0, axis)
    kept, met = (bring_together(pair, beta=beta, steps=200).ravel() for beta in (0.7, 1.5))
    np.testing.assert_allclose(kept, [0, 1], atol=1e-4)
    assert met[0] == pytest.approx(met[1], abs=1e-3)


def test_the_lonely_one_gives_way():
    one_of_nine = np.zeros((1, 3, 3), np.float32)
    one_of_nine[0, 1, 1] = 1  # keeping it costs 4 beta, giving it up costs 1
    assert bring_together(one_of_nine, beta=0.3, steps=300).max() < 0.01
    np.testing.assert_allclose(bring_together(one_of_nine, beta=0.2, steps=300), one_of_nine, atol=0.01)


def test_no_other_maps_nearby_have_less_energy():
    found = bring_together(maps(), beta=0.3, steps=500)
    least = energy(found.astype(np.float64), maps(), 0.3)
    random = np.random.default_rng(1)
    for scale in (0.3, 0.03, 0.003):
        for _ in range(50):
            other = found + scale * random.standard_normal(found.shape) * (random.random(found.shape) < 0.1)
            assert energy(other, maps(), 0.3) > least - 1e-3
    assert least < energy(maps(), maps(), 0.3)


def test_a_constant_stays_and_inputs_are_left_alone():
    constant, given = np.full((3, 5, 6), 0.3, np.float32), maps()
    np.testing.assert_allclose(bring_together(constant, beta=0.5, steps=20), 0.3, rtol=1e-6)
    bring_together(given, beta=0.5, steps=5)
    np.testing.assert_array_equal(given, maps())
