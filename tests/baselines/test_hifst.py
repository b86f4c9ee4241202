import cv2
import numpy as np
import pytest

from components.baselines.grid import at_full_size
from components.baselines.hifst import (
    LAYERS,
    PATCH_SIZES,
    STRIDE,
    dct_basis,
    gradient_magnitude,
    hifst,
    local_entropy,
    max_pooled,
    sorted_layers,
    unit_range,
)
from components.scoring.metrics import count
from pipelines.harness.pool import pool
from tests.baselines.photographs import NAMES, real, texture
from tests.conftest import SHARED


def test_dct_basis_by_hand():
    half = np.sqrt(0.5)
    np.testing.assert_allclose(dct_basis(2), [[half, half], [half, -half]], atol=1e-7)
    third = np.sqrt(1 / 3)
    rows = [[third] * 3, [half, 0, -half], [np.sqrt(1 / 6), -np.sqrt(2 / 3), np.sqrt(1 / 6)]]
    np.testing.assert_allclose(dct_basis(3), rows, atol=1e-7)


@pytest.mark.parametrize("size", PATCH_SIZES)
def test_dct_basis_is_orthonormal(size):
    basis = dct_basis(size)
    np.testing.assert_allclose(basis @ basis.T, np.eye(size), atol=1e-6)


def test_dct_basis_agrees_with_opencv():
    patch = np.random.default_rng(0).random((8, 8), dtype=np.float32)
    np.testing.assert_allclose(dct_basis(8) @ patch @ dct_basis(8).T, cv2.dct(patch), atol=1e-6)


def test_gradient_magnitude_of_a_ramp():
    # both diagonal differences of a ramp of 10 levels a pixel are 10
    ramp = np.tile(np.arange(0, 250, 10, dtype=np.uint8), (20, 1))
    np.testing.assert_allclose(gradient_magnitude(ramp)[4:-4, 4:-4], np.sqrt(200), rtol=1e-5)


def test_gradient_magnitude_of_a_dot():
    # a dot smoothed by exp(-r^2 / 0.5): weights w = e^-2, 1, e^-2 (and e^-8) over their sum, times each other
    dot = np.zeros((9, 9), np.uint8)
    dot[4, 4] = 100
    weight = np.exp(-2 * np.arange(-2.0, 3.0) ** 2)
    smooth = 100 * np.outer(weight, weight) / weight.sum() ** 2
    falling, rising = smooth[1, 1] - smooth[2, 2], smooth[1, 2] - smooth[2, 1]
    assert gradient_magnitude(dot)[4, 4] == pytest.approx(np.hypot(falling, rising), rel=1e-4)


def test_layers_are_the_smallest_magnitudes_of_all_scales():
    magnitude = np.random.default_rng(1).random((90, 100), dtype=np.float32)
    y, x = 40, 50
    fused = []
    for size in PATCH_SIZES:
        half = size // 2
        patch = magnitude[y - half : y + half + 1, x - half : x + half + 1]
        coefficients = dct_basis(size) @ patch @ dct_basis(size).T
        fused += [abs(coefficients[u, v]) for u in range(size) for v in range(size) if u + v >= size - 1]
    assert len(fused) == sum((size**2 + size) // 2 for size in PATCH_SIZES) == 2660
    layers = sorted_layers(magnitude)
    assert layers.shape == (45, 50, LAYERS)
    np.testing.assert_allclose(layers[y // STRIDE, x // STRIDE], sorted(fused)[:LAYERS], atol=1e-5)


def test_max_pooling_scales_each_layer_and_leaves_a_constant_one_out():
    layers = np.array([[[1, 5, 10], [3, 5, 20]], [[2, 5, 18], [5, 5, 10]]], np.float32)
    np.testing.assert_allclose(max_pooled(layers), [[0, 1], [0.8, 1]])


def test_unit_range():
    np.testing.assert_allclose(unit_range(np.array([[1, 3], [2, 5]], np.float32)), [[0, 0.5], [0.25, 1]])
    np.testing.assert_array_equal(unit_range(np.full((2, 3), 7, np.float32)), 0)


def test_full_size_keeps_the_samples():
    pooled = np.random.default_rng(0).random((20, 31), dtype=np.float32)
    full = at_full_size(pooled, STRIDE, 39, 61)
    assert full.shape == (39, 61)
    np.testing.assert_allclose(full[::STRIDE, ::STRIDE], pooled, atol=1e-6)


def test_entropy_by_hand():
    stripes = np.tile((np.arange(40) % 7 / 10).astype(np.float32), (30, 1))
    np.testing.assert_allclose(local_entropy(stripes)[:, 3:-3], np.log2(7), rtol=1e-6)
    np.testing.assert_array_equal(local_entropy(np.full((20, 20), 0.4, np.float32)), 0)
    dot = np.zeros((20, 20), np.float32)
    dot[10, 10] = 1
    entropy = local_entropy(dot)
    assert entropy[10, 10] == pytest.approx(-(np.log2(1 / 49) + 48 * np.log2(48 / 49)) / 49, rel=1e-6)
    assert np.count_nonzero(entropy) == 49


@pytest.mark.parametrize("level", [0, 77, 255])
@pytest.mark.parametrize("size", [(64, 64), (128, 128), (65, 97)])
def test_a_photograph_of_one_colour_has_nothing_in_focus(size, level):
    np.testing.assert_array_equal(hifst(np.full((*size, 3), level, np.uint8)), 0)


@pytest.mark.parametrize("size", [(128, 128), (64, 64), (65, 97), (40, 201)])
def test_small_photographs(size):
    focus = hifst(texture(*size))
    assert focus.shape == size
    assert focus.dtype == np.float32
    assert focus.min() == 0
    assert focus.max() == 1


@pytest.mark.parametrize("turn", [0, 1, 2, 3])
def test_sharp_half_is_separated_from_blurred_half(turn):
    image = texture(160, 200)
    image[:, 100:] = cv2.GaussianBlur(image, (0, 0), 3)[:, 100:]
    focus = np.rot90(hifst(np.ascontiguousarray(np.rot90(image, turn))), -turn)
    assert focus[:, :84].min() > 0.3
    assert focus[:, 100 + max(PATCH_SIZES) // 2 :].max() < 0.1


def test_more_blur_is_less_in_focus():
    image = texture(128, 320)
    for column, sigma in ((80, 0.5), (160, 1), (240, 2)):
        image[:, column:] = cv2.GaussianBlur(image, (0, 0), sigma)[:, column:]
    focus = hifst(image)
    means = [focus[:, column + 30 : column + 50].mean() for column in (0, 80, 160, 240)]
    assert means[0] > 1.2 * means[1] > 1.2**2 * means[2] > 1.2**3 * means[3]


def test_the_map_moves_with_the_photograph():
    image = np.full((240, 280, 3), 120, np.uint8)
    image[90:140, 90:150] = texture(50, 60)
    dy, dx = 7 * STRIDE, -6 * STRIDE
    moved = hifst(np.roll(image, (dy, dx), axis=(0, 1)))
    np.testing.assert_allclose(moved, np.roll(hifst(image), (dy, dx), axis=(0, 1)), atol=2e-3)


def test_a_grey_photograph_and_its_colours_have_one_map():
    image = texture(96, 128)
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    np.testing.assert_array_equal(hifst(np.stack([gray] * 3, axis=-1)), hifst(image))


def test_the_same_photograph_gives_the_same_map_and_is_left_alone():
    image = texture(96, 128)
    before = image.copy()
    np.testing.assert_array_equal(hifst(image), hifst(image))
    np.testing.assert_array_equal(image, before)


def published(name):
    """The authors' map of a photograph, in [0, 1]."""
    return cv2.imread(str(SHARED / "real/hifst_cuhk_photos" / f"{name}.png"), cv2.IMREAD_GRAYSCALE) / 255


@pytest.fixture(scope="module")
def ours():
    """Map of each photograph, computed once, in processes of one thread as the stage does."""
    with pool(2) as processes:
        return dict(zip(NAMES, processes.map(hifst, [image for image, _ in real()]), strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_agrees_with_the_published_map(ours, name):
    assert np.corrcoef(ours[name].ravel(), published(name).ravel())[0, 1] > 0.98
    assert np.abs(ours[name] - published(name)).mean() < 0.03


def test_scores_as_the_published_maps_do(ours):
    """Means over the seven photographs."""
    labels = {name: label for name, (_, label) in zip(NAMES, real(), strict=True)}
    for metric, tolerance in (("mae", 0.005), ("f_beta", 0.01), ("f_beta_max", 0.005)):
        own = [getattr(count(ours[name], labels[name]), metric) for name in NAMES]
        theirs = [getattr(count(published(name), labels[name]), metric) for name in NAMES]
        assert np.mean(own) == pytest.approx(np.mean(theirs), abs=tolerance), metric
