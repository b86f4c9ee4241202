"""Alignment of a pair: a known move is found again, and what is no pair is refused with a reason."""

import cv2
import numpy as np
import pytest

from benchmarks.rendered_pairs import render_pair, rigid
from components.labelling.align import AlignmentError, Pixels, align, corners, scaled, turn_of, warp
from components.render.miniature import RenderSettings

SETTINGS = RenderSettings(seed=7, size=640, focal_length_mm=50.0, sensor_width_mm=22.3, coc_limit_px=2.4)
SIZE = (410, 640)


def textured(size: tuple[int, int], seed: int = 0) -> Pixels:
    """Noise of several scales, (h, w, 3)."""
    rng, total = np.random.default_rng(seed), np.zeros((*size, 3), dtype=np.float32)
    for cells in (8, 32, 128):
        total += cv2.resize(rng.uniform(0, 85, (cells, cells, 3)).astype(np.float32), size[::-1])
    return total.astype(np.uint8)


def apart(found: np.ndarray, truth: np.ndarray) -> float:
    """Largest distance between where two maps put the corners of a picture, pixels."""
    return float(np.linalg.norm(corners(found, SIZE) - corners(truth, SIZE), axis=1).max())


@pytest.mark.parametrize("index", [1, 11, 20])
def test_the_known_move_of_a_rendered_pair_is_found(index: int) -> None:
    pair = render_pair(SETTINGS, index, height=SIZE[0], width=SIZE[1])
    found = align(pair.shallow, pair.wide)
    assert apart(found.to_wide, pair.to_wide) < 0.4
    assert found.turn_deg == pytest.approx(turn_of(pair.to_wide), abs=0.05)
    assert found.correlation > 0.95


def test_photographs_of_two_sizes_are_aligned() -> None:
    wide = textured(SIZE)
    half = cv2.resize(wide, (320, 205), interpolation=cv2.INTER_AREA)
    found = align(half, wide)
    assert corners(found.to_wide, (205, 320)) == pytest.approx(corners(scaled(np.eye(3), 0.5, 1), (205, 320)), abs=0.3)
    assert found.shift_px == pytest.approx(0.5, abs=0.3)  # between the centres of corner pixels of the two sizes


def test_scaled_keeps_pixel_centres() -> None:
    """Pixel (0, 0) of a picture halved covers pixels 0 and 1: its centre lies at 0.5."""
    halved = scaled(np.eye(3), 0.5, 1.0)
    assert halved @ [0, 0, 1] == pytest.approx([0.5, 0.5, 1])
    assert halved @ [3, 1, 1] == pytest.approx([6.5, 2.5, 1])


def test_turn_is_about_the_centre() -> None:
    turned = rigid((101, 201), 90.0, (3.0, -2.0))
    assert turned @ [100, 50, 1] == pytest.approx([103, 48, 1])
    assert turn_of(turned) == pytest.approx(90.0)


def test_warp_says_what_it_covers() -> None:
    picture = np.arange(5 * 6, dtype=np.float32).reshape(5, 6, 1).repeat(3, axis=2)
    moved, covered = warp(picture, rigid((5, 6), 0.0, (2.0, 1.0)), (5, 6))
    assert covered.sum() == 4 * 4
    assert moved[:4, :4] == pytest.approx(picture[1:, 2:], abs=1e-3)


@pytest.mark.parametrize(
    ("wide", "message"),
    [
        (textured(SIZE, seed=1), r"\d+ features .*, expected at least 8"),
        (np.full((*SIZE, 3), 90, dtype=np.uint8), r"0 features found in both photographs"),
        (textured((410, 400)), r"the wide photograph has 400x410 pixels, the shallow one 640x410"),
        (textured((90, 140)), r"has 140x90 pixels.*at most 2 times the size"),
        (textured(SIZE)[:, ::-1].copy(), r"features"),
    ],
)
def test_what_is_no_pair_is_refused(wide: Pixels, message: str) -> None:
    with pytest.raises(AlignmentError, match=message):
        align(textured(SIZE), wide)


def test_a_move_that_no_tripod_makes_is_refused() -> None:
    shallow = textured(SIZE)
    wide = cv2.warpPerspective(shallow, rigid(SIZE, 25.0, (0.0, 0.0)), SIZE[::-1])
    with pytest.raises(AlignmentError, match=r"implausible: .* 25\.\d degrees"):
        align(shallow, wide)
