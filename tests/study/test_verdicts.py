"""Verdicts of made-up results: what was planted decides the word."""

from dataclasses import replace

import numpy as np
import pytest

from components.study.design import Claim
from components.study.verdicts import Answer, answers, gains_of
from tests.study.results_of import results

STEADY = (0.05, 0.0502, 0.0498, 0.0501, 0.0499)
GAIN = Claim("C", "says", "before", "after", paper=0.004)


def lower(by: float) -> tuple[float, ...]:
    return tuple(value - by for value in STEADY)


def of(claim: Claim, before: tuple[float, ...], after: tuple[float, ...]) -> Answer:
    (answer,) = answers([claim], results(before=before, after=after))
    return answer


@pytest.mark.parametrize(
    ("test", "gain", "word"),
    [
        ("gain", 0.004, "holds"),
        ("gain", 0.0, "does not hold"),  # it is told to be below half of the paper's
        ("gain", -0.004, "does not hold"),
        ("no_gain", 0.0, "holds"),
        ("no_gain", 0.004, "does not hold"),
        ("no_gain", -0.004, "holds"),
    ],
)
def test_a_steady_gain_decides(test: str, gain: float, word: str) -> None:
    answer = of(replace(GAIN, test=test), STEADY, lower(gain))  # type: ignore[arg-type]
    assert answer.word == word
    assert answer.gain is not None
    assert answer.gain.mean == pytest.approx(gain, abs=2e-4)
    assert answer.bound == 0.002


@pytest.mark.parametrize(("gain", "word"), [(0.0, "holds"), (0.004, "does not hold"), (-0.004, "does not hold")])
def test_a_difference_is_held_against_the_seeds(gain: float, word: str) -> None:
    claim = replace(GAIN, test="within_seed")
    wide = tuple(0.05 + 0.002 * each for each in (-1, 1, -0.5, 0.5, 0))
    answer = of(claim, wide, tuple(value - gain for value in wide))
    assert answer.word == word
    assert answer.bound == pytest.approx(np.std(wide, ddof=1), rel=0.2)


def test_seeds_that_disagree_tell_nothing() -> None:
    assert of(GAIN, STEADY, (0.04, 0.06, 0.045, 0.055, 0.05)).word == "cannot be told"


@pytest.mark.parametrize("seeds", [1, 2])
def test_fewer_than_three_seeds_tell_nothing(seeds: int) -> None:
    answer = of(GAIN, STEADY[:seeds], lower(0.02)[:seeds])
    assert answer.word == "cannot be told"
    assert (answer.p_holds, answer.p_fails) == (1.0, 1.0)
    assert (answer.gain is None) == (seeds == 1)


def test_seeds_that_only_one_row_has_do_not_count() -> None:
    assert list(of(GAIN, STEADY, lower(0.004)[:3]).seeds) == [1, 2, 3]


def test_a_row_that_was_not_run() -> None:
    (answer,) = answers([GAIN], results(before=STEADY))
    assert (answer.word, answer.gain, answer.photographs) == ("not run", None, 0)


def test_the_family_makes_it_harder() -> None:
    """Eleven claims of which one has run: its p-values are eleven times as large."""
    claims = [replace(GAIN, name="C"), *(replace(GAIN, name=f"D{i}", first="absent") for i in range(10))]
    found = results(before=STEADY, after=lower(0.0004))
    alone, among = answers(claims[:1], found)[0], answers(claims, found)[0]
    assert among.p_holds == pytest.approx(min(1, 11 * alone.p_holds))


def test_texture_is_the_gain_in_flat_regions_less_that_in_textured_ones() -> None:
    found = results(before=STEADY[:2], after=STEADY[:2])
    for seed in (1, 2):
        before, after = (found.runs[row, seed] for row in ("before", "after"))
        before["mae_homogeneous_in_focus"][:] = 0.5
        after["mae_homogeneous_in_focus"][:] = 0.2
        before["mae_textured"][:], after["mae_textured"][:] = 0.1, 0.08
    found.runs["before", 2]["mae_homogeneous_in_focus"][7] = np.nan
    gains = gains_of(replace(GAIN, of="texture"), found, [1, 2])
    assert gains.shape == (2, 39)  # the photograph without such a region is left out for all seeds
    np.testing.assert_allclose(gains, 0.28)
