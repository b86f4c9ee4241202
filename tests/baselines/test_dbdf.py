"""DBDF: features of distributions and patches known by hand, naive Bayes by hand, what blur does to each."""

import itertools

import cv2
import numpy as np
import pytest

from components.baselines import naive_bayes
from components.baselines.dbdf import SIZES, dbdf, fit, sample
from components.baselines.dbdf_features import (
    ROUNDING,
    features,
    filtered,
    heavy_tail,
    learned_filters,
    moments,
    peakedness,
    rings,
    spectrum,
)
from components.common.errors import InputError
from tests.baselines.photographs import real, scored_on_real, texture


def drawn(values):
    """Moments of one patch of these gradients, large against rounding."""
    return moments(np.asarray(values, np.float32)[None, None])


def half_and_half(seed=0, size=101):
    """A photograph, its left half sharp, its right half blurred, and the label."""
    image = texture(size, 2 * size, seed)
    image[:, size:] = cv2.GaussianBlur(image, (0, 0), 3)[:, size:]
    label = np.zeros(image.shape[:2], np.uint8)
    label[:, :size] = 1
    return image, label


@pytest.fixture(scope="module")
def fitted():
    return fit([half_and_half(seed) for seed in range(3)])


def test_moments_by_hand():
    v = 2 * ROUNDING
    second, fourth, sixth = moments(np.array([[[1, -1, 2, 0]]], np.float32))[:, 0]
    assert second == pytest.approx(6 / 4 + v)
    assert fourth == pytest.approx(18 / 4 + 6 * v * 6 / 4 + 3 * v**2)
    assert sixth == pytest.approx(66 / 4 + 15 * v * 18 / 4, rel=1e-6)


def test_kurtosis_of_known_distributions():
    random = np.random.default_rng(0)
    kurtosis = {
        "two values": (np.resize([-0.3, 0.3], 1000), 1.0),
        "uniform": (np.linspace(-0.5, 0.5, 10001), 1.8),
        "normal": (random.normal(0, 0.1, 400_000), 3.0),
        "Laplace": (random.laplace(0, 0.1, 400_000), 6.0),
    }
    for name, (values, expected) in kurtosis.items():
        assert np.exp(peakedness(drawn(values)))[0] == pytest.approx(expected, rel=0.03), name


def test_a_flat_patch_has_the_values_of_rounding_noise():
    flat = moments(np.zeros((1, 5, 4), np.float32))
    assert np.exp(peakedness(flat))[0] == pytest.approx(3)
    assert np.exp(heavy_tail(flat))[0] == pytest.approx(np.sqrt(2 * ROUNDING), rel=1e-2)


@pytest.mark.parametrize(("share", "small", "large"), [(0.5, 0.1, 0.3), (0.2, 0.05, 0.4), (0.8, 0.02, 0.2)])
def test_the_mixture_of_known_moments_is_found(share, small, large):
    """`share` of the larger one; the moments of a mixture are those of its parts, mixed."""
    parts = [np.array([[s**2], [3 * s**4], [15 * s**6]]) for s in (large, small)]
    mixed = share * parts[0] + (1 - share) * parts[1]
    assert np.exp(heavy_tail(mixed))[0] == pytest.approx(large, rel=1e-6)


def test_one_gaussian_has_its_own_tail():
    one = np.array([[0.2**2], [3 * 0.2**4], [15 * 0.2**6]])
    assert np.exp(heavy_tail(one))[0] == pytest.approx(0.2, rel=1e-3)


@pytest.mark.parametrize("size", SIZES)
def test_a_wave_has_its_power_at_its_frequency_whatever_its_direction(size):
    y, x = np.mgrid[:size, :size]
    for wave in (x, y):
        patch = 0.5 + 0.25 * np.sin(2 * np.pi * 3 * wave / size).astype(np.float32)
        power = spectrum(patch[None])[0]
        assert power.argmax() == 2  # frequency 3
        inside = (np.rint(np.hypot(np.fft.fftfreq(size, 1 / size)[:, None], np.fft.fftfreq(size, 1 / size))) == 3).sum()
        by_hand = 2 * (0.25 * size**2 / 2) ** 2 / inside / size**2
        assert power[2] == pytest.approx(by_hand, rel=1e-3)


@pytest.mark.parametrize("size", SIZES)
def test_rings_take_means(size):
    np.testing.assert_allclose(rings(size).sum(axis=0), 1, rtol=1e-6)
    white = spectrum(np.random.default_rng(0).normal(0, 0.1, (4000, size, size)).astype(np.float32)).mean(axis=0)
    np.testing.assert_allclose(white, 0.01, rtol=0.1)


def test_blur_makes_the_spectrum_steeper():
    image = texture(400, 400)[..., 0].astype(np.float32) / 255
    slopes = []
    for sigma in (0.5, 1, 2, 3):
        blurred = cv2.GaussianBlur(image, (0, 0), sigma)
        patches = np.lib.stride_tricks.sliding_window_view(blurred, (21, 21))[::40, ::40].reshape(-1, 21, 21)
        power = np.log(spectrum(np.ascontiguousarray(patches))).mean(axis=0)
        slopes.append(np.polyfit(np.log(np.arange(1, 6)), power[:5], 1)[0])
    assert all(after < before - 0.1 for before, after in itertools.pairwise(slopes))


def test_learned_filters_answer_what_sharp_patches_alone_have():
    random = np.random.default_rng(0)
    y, x = np.mgrid[:5, :5]
    fine, coarse = (-1.0) ** (x + y), (x - 2) / 4
    blurred = random.normal(0, 0.1, (5000, 1, 1)) * coarse + random.normal(0, 0.003, (5000, 5, 5))
    sharp = blurred + random.normal(0, 0.1, (5000, 1, 1)) * fine
    filters = learned_filters(sharp.astype(np.float32), blurred.astype(np.float32), 2)
    assert filters.shape == (2, 25)
    np.testing.assert_allclose(filters.sum(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(filters, axis=1), 1, rtol=1e-5)
    shape = (fine - fine.mean()).ravel()
    assert abs(filters[0] @ shape) / np.linalg.norm(shape) > 0.98
    patch = (0.5 + 0.1 * fine).astype(np.float32)[None]
    energy = ((filters @ patch.ravel()) ** 2).sum() + ROUNDING * 2
    assert filtered(patch, filters)[0] == pytest.approx(np.log(energy), rel=1e-4)


def test_naive_bayes_by_hand():
    """Two features, two bins each. Of the first, 3 of 4 sharp samples lie above; of the second all lie alike."""
    sharp = np.array([[1, 0], [5, 9], [6, 0], [7, 9]], np.float32)
    blurred = np.array([[0, 0], [1, 9], [2, 0], [6, 9]], np.float32)
    edges, ratios = naive_bayes.learn(sharp, blurred, 2)
    np.testing.assert_allclose(edges[0], [np.median([1, 5, 6, 7, 0, 1, 2, 6])])
    np.testing.assert_allclose(ratios, [np.log([2 / 4, 4 / 2]), [0, 0]], atol=1e-6)  # one sample added to each bin
    posterior = naive_bayes.posterior(np.array([[9, 0], [0, 9]], np.float32), edges, ratios)
    np.testing.assert_allclose(posterior, [2 / 3, 1 / 3], rtol=1e-6)


def test_evidence_of_features_adds_up():
    edges, ratios = np.array([[0.0], [0.0]], np.float32), np.log(np.array([[1, 3], [1, 2]], np.float32))
    np.testing.assert_allclose(naive_bayes.posterior(np.ones((1, 2), np.float32), edges, ratios), [6 / 7], rtol=1e-6)


def test_each_feature_tells_sharp_from_blurred(fitted):
    image, label = half_and_half(9)
    blurred, sharp = sample(image, label)
    for scale, size in enumerate(SIZES):
        filters = fitted[f"filters_{size}"]
        two = [features(each[scale], filters).mean(axis=0) for each in (sharp, blurred)]
        assert (two[0] > two[1])[1:].all()  # tails, power, filters; a texture of noise has no peak


def test_samples_lie_wholly_in_one_class():
    image, label = half_and_half()
    painted = np.where(label[..., None] == 1, np.uint8(200), np.uint8(50)).repeat(3, axis=2)
    blurred, sharp = sample(painted, label)
    for patches in blurred:
        np.testing.assert_allclose(patches, 50 / 255, rtol=1e-6)
    for patches in sharp:
        np.testing.assert_allclose(patches, 200 / 255, rtol=1e-6)
    assert len(sample(image, np.ones_like(label))[0][0]) == 0


def test_learning_is_the_same_every_time_and_needs_both_classes(fitted):
    again = fit([half_and_half(seed) for seed in range(3)])
    assert fitted.keys() == again.keys()
    assert all((fitted[key] == again[key]).all() for key in fitted)
    image, label = half_and_half()
    with pytest.raises(InputError, match=r"1 training photographs have 200 patches in focus and 0 out of focus"):
        fit([(image, np.ones_like(label))])


@pytest.mark.parametrize("turn", [0, 1])
def test_sharp_half_is_separated_from_blurred_half(fitted, turn):
    image, _ = half_and_half(7)
    turned = np.ascontiguousarray(np.rot90(image, turn))
    before = turned.copy()
    focus = np.rot90(dbdf(turned, fitted), -turn)
    assert focus.shape == image.shape[:2]
    assert focus.dtype == np.float32
    assert focus[:, :85].min() > 0.9
    assert focus[:, 118:].max() < 0.1
    np.testing.assert_array_equal(turned, before)


@pytest.mark.parametrize("size", [(32, 40), (65, 33)])
def test_small_photographs(fitted, size):
    focus = dbdf(texture(*size), fitted)
    assert focus.shape == size
    assert 0 <= focus.min() <= focus.max() <= 1


def test_on_photographs_it_is_far_better_than_what_is_trivial():
    """Two of the seven, with what the other five taught."""
    pairs = real()
    learned = fit(pairs[:3] + pairs[5:])
    scores, trivial = scored_on_real(lambda image: dbdf(image, learned), pairs[3:5])
    assert scores["mae"] < 0.8 * trivial
