"""Gradient magnitude and variance of the Laplacian: values by hand, and which half is in focus."""

import numpy as np
import pytest

from components.baselines.sharpness import (
    GRADIENT_LIMIT,
    LAPLACIAN_LIMIT,
    beyond,
    gradient,
    laplacian,
    mean,
)


def test_the_limit_is_the_middle() -> None:
    np.testing.assert_allclose(beyond(np.array([0.0, 8.0, 16.0, 32.0], np.float32), 16.0), [0, 1 / 17, 0.5, 16 / 17])


def test_the_mean_of_a_window() -> None:
    one = np.zeros((9, 9), np.float32)
    one[4, 4] = 9
    expected = np.zeros((9, 9))
    expected[3:6, 3:6] = 1
    np.testing.assert_allclose(mean(one, 3), expected, atol=1e-6)


def test_a_ramp_has_its_slope() -> None:
    """Grey levels that rise by 4 a pixel: diagonal differences 4 and 4, magnitude sqrt(32); no second derivative."""
    ramp = np.broadcast_to((4 * np.arange(60, dtype=np.uint8))[None, :, None], (60, 60, 3))
    ratio = (32**0.5 / GRADIENT_LIMIT) ** 4
    assert gradient(np.ascontiguousarray(ramp))[30, 30] == pytest.approx(ratio / (1 + ratio), rel=1e-4)
    assert laplacian(np.ascontiguousarray(ramp))[30, 30] == pytest.approx(0, abs=1e-4)


def test_a_checkerboard_has_its_variance() -> None:
    """Levels 100 and 104, each pixel's four neighbours of the other kind: the Laplacian is 16 or -16, its mean 0."""
    board = 100 + 4 * (np.indices((120, 120)).sum(0) % 2).astype(np.uint8)
    ratio = (256 / LAPLACIAN_LIMIT) ** 4
    found = laplacian(np.repeat(board[..., None], 3, axis=2))[60, 60]
    assert found == pytest.approx(ratio / (1 + ratio), rel=0.01)  # 45 x 45 pixels: one more of one kind


@pytest.mark.parametrize("method", [gradient, laplacian])
def test_noise_is_in_focus_beside_a_plain_half(method) -> None:
    image = np.full((200, 300, 3), 128, np.uint8)
    image[:, 150:] = np.random.default_rng(0).integers(0, 256, (200, 150, 3))
    found = method(image)
    assert (found.shape, found.dtype) == ((200, 300), np.float32)
    assert found[:, :100].max() < 0.01
    assert found[:, 200:].min() > 0.9
    assert 0 <= found.min() <= found.max() <= 1
    assert method(image[:1, :1]).shape == (1, 1)
