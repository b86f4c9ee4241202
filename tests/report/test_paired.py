"""Paired differences and their bootstrap interval."""

import numpy as np
import pandas as pd
import pytest

from components.report.paired import Difference, change, compare_pairs, difference, gains, pairs_of
from components.report.records import RunRecord
from components.scoring.intervals import mean_interval


def record(run, maes, card=None):
    per_image = {"EBD": pd.DataFrame({"mae": maes, "iou": 0.5}, index=[f"i{i}" for i in range(len(maes))])}
    summary = {"EBD": {"mae": float(np.mean(maes)), "f_beta": 0.9, "iou": 0.5}}
    return RunRecord(run, summary=summary, per_image=per_image, card=card or {})


def test_interval_of_equal_differences_is_a_point():
    assert mean_interval(np.full(5, -0.25)) == (-0.25, -0.25)


def test_interval_of_two_images_spans_both():
    """The mean of two draws from {0, 1} is 0, 1/2 or 1 with probability 1/4, 1/2, 1/4: the tails hold 0 and 1."""
    assert mean_interval(np.array([0.0, 1.0])) == (0.0, 1.0)


def test_interval_of_four_images():
    """Four draws from {0, 0, 0, 1}: mean k/4, k ~ B(4, 1/4); P(k = 0) = 0.32, P(k >= 3) = 0.051, P(4) = 0.004."""
    assert mean_interval(np.array([0.0, 0.0, 0.0, 1.0])) == (0.0, 0.75)


def test_interval_of_many_images_is_the_normal_one():
    values = np.random.default_rng(3).normal(0.02, 0.1, 900)
    half = 1.96 * values.std() / 30
    assert mean_interval(values) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.05 * half)


def test_interval_is_the_same_every_time():
    values = np.random.default_rng(0).normal(size=50)
    assert mean_interval(values) == mean_interval(values)


def test_change_is_after_less_before_on_shared_images():
    before, after = record("dffnet", [0.5, 0.3, 0.9]), record("d_dffnet", [0.4, 0.2])
    found = change(before, after, "EBD")
    assert found.whole.images == 2
    assert found.whole.mean == pytest.approx(-0.1)
    assert (found.whole.fewer, found.whole.more, found.whole.verdict) == (2, 0, "lower")
    assert found.regions == {}
    assert found.metrics["F_beta"] == (0.9, 0.9)
    assert change(before, after, "CTCUG") is None


@pytest.mark.parametrize(("maes", "verdict"), [([0.6, 0.4], "higher"), ([0.4, 0.6], "unclear")])
def test_verdict(maes, verdict):
    before = [0.5, 0.3] if verdict == "higher" else [0.5, 0.5]
    assert change(record("a", before), record("b", maes), "EBD").whole.verdict == verdict


def test_pairs_among_the_runs_and_of_new_students():
    runs = [record(run, [0.1]) for run in ("pdnet", "d_pdnet", "dffnet")]
    mine = record("mine", [0.1], card={"teacher": "dffnet"})
    assert [pair[:2] for pair in pairs_of([*runs, mine])] == [("pdnet", "d_pdnet"), ("dffnet", "mine")]


def test_a_listed_pair_comes_once_although_its_card_names_the_teacher():
    runs = [record("dffnet", [0.2]), record("d_dffnet", [0.1], card={"teacher": "dffnet"})]
    assert [(pair.before, pair.after) for pair in compare_pairs(runs, ["EBD"])] == [("dffnet", "d_dffnet")]


@pytest.mark.parametrize(
    ("fewer", "more", "p"),
    [(0, 0, 1), (1, 0, 1), (5, 5, 1), (5, 0, 2 / 32), (0, 5, 2 / 32), (8, 1, 20 / 512), (1500, 1500, 1)],
)
def test_sign_test_by_hand(fewer, more, p):
    """9 tosses, 1 or fewer on a side: (1 + 9) / 512, twice."""
    assert Difference(0, 0, 0, 0, fewer, more).p == pytest.approx(p)


def test_a_region_is_compared_on_the_images_that_have_it():
    before = {"a": {"mae_edge": 0.5}, "b": {"mae_edge": 0.5}, "c": {"mae_edge": float("nan")}, "d": {"mae_edge": 0.5}}
    after = {"a": {"mae_edge": 0.4}, "b": {"mae_edge": 0.5}, "c": {"mae_edge": 0.1}, "e": {"mae_edge": 0.1}}
    before, after = (pd.DataFrame.from_dict(each, "index") for each in (before, after))
    found = difference(before, after, "mae_edge")
    assert (found.images, found.fewer, found.more) == (2, 1, 0)  # a tie counts for neither side
    assert found.mean == pytest.approx(-0.05)
    assert difference(before, after, "mae_textured") is None


def test_gains_in_f_beta_and_in_the_pooled_iou():
    """Pooled: (2 + 6) / (4 + 8) before, (4 + 6) / (4 + 8) after; of one image alone a gain of 1/2, of the other 0."""
    before = {
        "a": {"f_beta": 0.5, "iou": 0.5, "iou_intersection": 2, "iou_union": 4},
        "b": {"f_beta": 0.5, "iou": 0.75, "iou_intersection": 6, "iou_union": 8},
    }
    after = {"a": before["a"] | {"f_beta": 0.7, "iou": 1.0, "iou_intersection": 4}, "b": before["b"] | {"f_beta": 0.6}}
    before, after = (pd.DataFrame.from_dict(each, "index") for each in (before, after))
    found = gains(before, after)
    assert list(found) == ["F_beta", "IoU"]
    assert (found["F_beta"].mean, found["F_beta"].verdict) == (pytest.approx(0.15), "higher")
    assert (found["IoU"].mean, found["IoU"].verdict) == (pytest.approx(2 / 12), "unclear")
    assert (found["IoU"].low, found["IoU"].high) == (0, 0.5)
    assert (found["IoU"].fewer, found["IoU"].more) == (0, 1)
    assert gains(before, pd.DataFrame()) == {}
