"""Metrics against counts by hand, against slow definitions, and against the published implementation's values."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.common.errors import InputError
from components.scoring.metrics import count, mean_curve, set_intervals, set_iou, set_scores


def test_by_hand() -> None:
    # blurred is positive: map 0.2 and 0.4 are called blurred; labels: out, in, in, out of focus
    counts = count(np.array([[0.2, 0.4, 0.9, 0.8]]), np.array([[0, 1, 1, 0]]))
    assert (counts.true_blur, counts.false_blur, counts.missed_blur) == (1, 1, 1)
    assert counts.mae == pytest.approx((0.2 + 0.6 + 0.1 + 0.8) / 4)
    assert counts.f_beta == pytest.approx(0.5)
    assert counts.iou == pytest.approx(1 / 3)


def test_f_beta_weighs_precision() -> None:
    # precision 1/2, recall 1: (1.3 * 0.5) / (0.3 * 0.5 + 1)
    counts = count(np.array([[0, 0]], np.uint8), np.array([[0, 1]]))
    assert counts.f_beta == pytest.approx(0.65 / 1.15)


def test_a_map_of_8_bits_is_blurred_below_one_half() -> None:
    counts = count(np.array([[127, 128]], np.uint8), np.array([[0, 0]]))
    assert (counts.true_blur, counts.missed_blur) == (1, 1)


def test_images_without_blur_and_without_focus() -> None:
    sharp = count(np.full((2, 2), 255, np.uint8), np.ones((2, 2)))
    assert (sharp.mae, sharp.f_beta, sharp.iou) == (0, 0, 1)
    blurred = count(np.zeros((2, 2), np.uint8), np.zeros((2, 2)))
    assert (blurred.mae, blurred.f_beta, blurred.iou) == (0, 1, 1)


def test_the_two_polarities_of_error_are_one() -> None:
    rng = np.random.default_rng(0)
    grey, label = rng.integers(0, 256, (8, 9), np.uint8), rng.integers(0, 2, (8, 9))
    assert count(grey, label).mae == pytest.approx(count(255 - grey, 1 - label).mae)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_one_pass_equals_256_passes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    grey, label = rng.integers(0, 256, (6, 7), np.uint8), rng.integers(0, 2, (6, 7))
    counts = count(grey, label)
    precision, recall = counts.curve()
    best = 0.0
    for threshold in range(256):
        found, blurred = 255 - grey.astype(int) >= threshold, label == 0
        true = (found & blurred).sum()
        p = true / found.sum() if found.any() else 1.0
        r = true / blurred.sum() if blurred.any() else 1.0
        assert (precision[threshold], recall[threshold]) == (pytest.approx(p), pytest.approx(r))
        best = max(best, 1.3 * p * r / (0.3 * p + r) if p + r > 0 and blurred.any() else 0.0)
    assert counts.f_beta_max == pytest.approx(best)
    assert counts.mae == pytest.approx(np.abs(grey / 255 - label).mean())


def test_the_published_rule_calls_everything_blurred_where_that_is_more() -> None:
    """Eight pixels of ten are blurred, p = .8; of those four in ten are found, recall .4, and nothing else."""
    label = np.array([[0] * 8 + [1] * 2] * 5)
    found = np.where(np.arange(40) < 16, 0.0, 1.0).reshape(5, 8)  # 16 of 40
    counts = count(np.hstack([found, np.ones((5, 2))]), label)
    assert counts.f_beta == pytest.approx(1.3 * 0.4 / (0.3 + 0.4))
    assert counts.f_beta_published == pytest.approx(1.3 * 0.8 / (0.3 * 0.8 + 1))
    assert (round(counts.f_beta, 3), round(counts.f_beta_published, 3)) == (0.743, 0.839)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1), st.sampled_from([np.uint8, np.float16, np.float32]))
def test_the_published_rule_is_the_maximum_over_its_255_thresholds(seed: int, kind: type) -> None:
    rng = np.random.default_rng(seed)
    label = rng.uniform(size=(6, 7)) < rng.choice([0, 0.2, 0.5, 0.9])
    prediction = rng.integers(0, 256, (6, 7), np.uint8) if kind is np.uint8 else rng.random((6, 7)).astype(kind)
    binarised = prediction < (127.5 if kind is np.uint8 else 0.5)  # 1 = blurred
    best = 0.0
    for threshold in np.linspace(0, 1, 255):
        called = binarised >= threshold
        true, p, r = (called & ~label).sum(), called.sum(), (~label).sum()
        best = max(best, 1.3 * true / (0.3 * r + p) if true else 0.0)
    assert count(prediction, label).f_beta_published == pytest.approx(best)


def test_half_floats_are_counted_exactly() -> None:
    rng = np.random.default_rng(3)
    half, label = rng.random((31, 17)).astype(np.float16), rng.integers(0, 2, (31, 17))
    exact, found = count(half.astype(np.float64), label), count(half, label)
    assert found.mae == pytest.approx(np.abs(half.astype(np.float64) - label).mean(), abs=1e-12)
    assert (found.overlap, found.f_beta) == (exact.overlap, exact.f_beta)
    assert (found.blur.tolist(), found.focus.tolist()) == (exact.blur.tolist(), exact.focus.tolist())
    assert (
        np.histogram(np.rint(half.astype(float) * 255), np.arange(257))[0].tolist()
        == (found.blur + found.focus).tolist()
    )
    with pytest.raises(InputError, match=r"from -0\.5 to 0\.5"):
        count(np.array([[-0.5, 0.5]], np.float16), np.array([[0, 1]]))


def test_intervals_of_a_set_hold_its_scores() -> None:
    """Two photographs: a draw holds one twice or both, so that the ends are the two photographs' own scores."""
    counts = [
        count(np.array([[0, 0, 0, 0]], np.uint8), np.array([[0, 0, 0, 1]])),
        count(np.array([[0, 255]], np.uint8), np.array([[0, 0]])),
    ]
    found = set_intervals(counts, counts, "pooled")
    assert found["mae"] == pytest.approx((1 / 4, 1 / 2))
    assert found["iou"] == pytest.approx((1 / 2, 3 / 4))
    assert found["f_beta"] == pytest.approx(tuple(sorted(each.f_beta for each in counts)))
    assert set_intervals(counts, counts[:1] * 2, "per_image")["iou"] == pytest.approx((3 / 4, 3 / 4))
    assert found.keys() == set_scores(counts, counts, "pooled").keys() - {"images"}


def test_pooled_and_mean_iou_differ() -> None:
    counts = [
        count(np.array([[0, 0, 0, 0]], np.uint8), np.array([[0, 0, 0, 1]])),
        count(np.array([[0, 255]], np.uint8), np.array([[0, 0]])),
    ]
    assert set_iou(counts, "pooled") == pytest.approx((3 + 1) / (4 + 2))
    assert set_iou(counts, "per_image") == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert set_scores(counts, counts[:1], "pooled")["iou"] == pytest.approx(3 / 4)
    assert set_scores(counts, counts, "pooled")["images"] == 2
    assert mean_curve(counts)[1][0] == 1


def test_sizes_that_differ_are_an_error_that_names_both() -> None:
    with pytest.raises(InputError, match=r"map of 3x2 and label of 4x2"):
        count(np.zeros((2, 3), np.uint8), np.zeros((2, 4)))


def test_a_float_map_outside_0_to_1_is_an_error() -> None:
    with pytest.raises(InputError, match="from 0 to 255"):
        count(np.array([[0.0, 255.0]]), np.array([[0, 1]]))
    with pytest.raises(InputError, match="nan"):
        count(np.array([[0.0, np.nan]]), np.array([[0, 1]]))


def test_published_values(shared) -> None:
    golden = json.loads((shared / "parity" / "losses_schedules_metrics.json").read_text())["metrics"]
    counts = []
    for i in range(6):
        random, height, width = np.random.RandomState(4000 + i), 96 + 8 * i, 128
        coarse = random.uniform(size=(height // 8, width // 8)) > 0.45
        label = np.kron(coarse, np.ones((8, 8))).astype(np.float32)
        noisy = 0.4 * label + 0.65 * random.uniform(size=(height, width))
        counts.append(count(np.clip(noisy, 0, 1).astype(np.float32), label))
    assert [each.mae for each in counts] == pytest.approx(golden["mae_each"], abs=1e-6)
    assert [each.f_beta_published for each in counts] == pytest.approx(golden["f_beta_each"], abs=1e-6)
    assert set_iou(counts, "pooled") == pytest.approx(golden["iou_pooled"], abs=1e-6)
