"""Intervals and p-values: values worked out by hand, and planted truths that have to be found at stated rates."""

import numpy as np
import pytest

from components.study.statistics import LEVEL, Estimate, Gains, estimate, holm, pooled_spread

SIMULATIONS = 200


def planted(gain: float, simulation: int, *, seeds: int = 5) -> Gains:
    """Gains of a method that is better by `gain` MAE by construction, on 100 photographs with errors as networks have.

    Both methods' scores of a seed and a photograph move by 0.006, a seed's as a whole by 0.0005, a photograph's with
    the method by 0.002.
    """
    random = np.random.default_rng([20, simulation])
    before = random.gamma(2, 0.035, 100)
    parts = [(seeds, 1), (1, 100), (seeds, 100)]
    noise = [
        spread * random.standard_normal(shape) for spread, shape in zip((0.0005, 0.002, 0.006), parts, strict=True)
    ]
    after = before - gain + noise[0] + noise[1] + noise[2]
    return before - after


def found(gain: float, **how: int) -> float:
    """Share of the simulations in which a single test finds the method better."""
    return float(np.mean([estimate(planted(gain, i, **how)).above(0) < LEVEL for i in range(SIMULATIONS)]))


def test_a_method_better_by_construction_is_found_and_an_equal_one_is_not() -> None:
    """0.002 MAE in at least 90 of 100 studies of five seeds; none, in at most 5 (the level is 2.5)."""
    assert found(0.002) >= 0.90
    assert found(0.0) <= 0.05


def test_a_gain_that_is_too_small_is_found_to_be_below_the_margin() -> None:
    """An equal method is told to be worse than half the paper's 0.006 nearly always; a better one by 0.003 seldom."""
    below = [[estimate(planted(gain, i)).below(0.003) < LEVEL for i in range(SIMULATIONS)] for gain in (0.0, 0.003)]
    assert np.mean(below[0]) >= 0.95
    assert np.mean(below[1]) <= 0.05


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    intervals = [estimate(planted(0.002, i)).interval for i in range(SIMULATIONS)]
    assert 0.92 <= np.mean([low <= 0.002 <= high for low, high in intervals]) <= 0.99


def test_what_it_says_could_be_found_is_found_four_times_in_five() -> None:
    least = float(np.mean([estimate(planted(0.0, i)).detectable for i in range(SIMULATIONS)]))
    assert 0.70 <= found(least) <= 0.90


def test_the_error_has_two_parts() -> None:
    """Seeds' means 0.001, 0.003, 0.005 and photographs' deviations of +-0.01, worked out by hand."""
    seeds, photographs = np.array([0.001, 0.003, 0.005]), np.tile([0.01, -0.01], 50)
    answer = estimate(seeds[:, None] + photographs)
    by_seeds, by_photographs = (
        0.002 / 3**0.5,
        0.01 / 99**0.5,
    )  # s / sqrt(n), s of 100 values of +-0.01 is 0.01 (100/99)^.5
    assert answer.over_seeds == pytest.approx(by_seeds, rel=0.03)
    assert answer.over_photographs == pytest.approx(by_photographs, rel=0.03)
    assert answer.error == pytest.approx(np.hypot(by_seeds, by_photographs), rel=0.03)
    reach = 4.3027 * by_seeds  # Student's t of two degrees of freedom, 97.5 %
    assert answer.on_these == pytest.approx((0.003 - reach, 0.003 + reach), abs=0.03 * reach)
    assert answer.detectable_ever == pytest.approx((1.9842 + 0.8453) * by_photographs, rel=0.03)
    assert answer.detectable_ever < answer.detectable


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_seeds_alone_have_students_tails(seeds: int) -> None:
    """Where only the seed moves the gain, the interval is that of a t-test of the seeds' means."""
    means = np.random.default_rng(seeds).normal(0.001, 0.002, seeds)
    answer = estimate(np.repeat(means[:, None], 100, axis=1))
    assert answer.mean == pytest.approx(means.mean())
    assert answer.error == pytest.approx(means.std(ddof=1) / np.sqrt(seeds), rel=0.05)
    assert answer.freedom == pytest.approx(seeds - 1)


def test_photographs_alone_count_as_a_paired_test_over_them() -> None:
    each = np.random.default_rng(1).normal(0.001, 0.01, 100)
    answer = estimate(np.repeat(each[None], 5, axis=0))
    assert answer.error == pytest.approx(each.std(ddof=1) / 10, rel=0.05)
    assert answer.freedom == pytest.approx(99)
    assert answer.effect == pytest.approx(each.mean() / each.std(ddof=0), rel=0.01)


def test_p_values_and_interval_by_the_tables_of_student() -> None:
    """t = 2.776 leaves 2.5 % above it at four degrees of freedom."""
    answer = Estimate(
        mean=2.776445,
        error=1.0,
        freedom=4.0,
        effect=0.0,
        over_seeds=1.0,
        over_photographs=0.0,
        seeds=5,
        photographs=100,
    )
    assert answer.above(0.0) == pytest.approx(0.025, abs=1e-6)
    assert answer.below(2 * 2.776445) == pytest.approx(0.025, abs=1e-6)
    assert answer.interval == pytest.approx((0.0, 5.55289), abs=1e-5)
    assert answer.detectable == pytest.approx(2.776445 + 0.940965, abs=1e-5)


def test_gains_without_any_spread_are_no_error() -> None:
    assert estimate(np.zeros((3, 10))).above(0) == pytest.approx(0.5)


def test_holm_by_hand() -> None:
    """Three tests: 0.01 x 3, 0.02 x 2, and 0.05 x 1 held up to at least 0.05."""
    assert holm({"b": 0.02, "a": 0.01, "c": 0.05}) == pytest.approx({"a": 0.03, "b": 0.04, "c": 0.05})
    assert holm({"a": 0.04, "b": 0.03}) == pytest.approx({"b": 0.06, "a": 0.06})
    assert holm({"a": 0.9, "b": 0.8}) == {"b": 1.0, "a": 1.0}


def test_pooled_spread_by_hand() -> None:
    """Squares 2 and 8 about the means, over 2 + 1 degrees of freedom."""
    assert pooled_spread([np.array([1.0, 2.0, 3.0]), np.array([0.0, 4.0])]) == pytest.approx(np.sqrt(10 / 3))
