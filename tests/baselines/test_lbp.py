"""LBP: codes by hand, and what the paper says of its sharpness."""

import itertools

import cv2
import numpy as np
import pytest

from components.baselines.lbp import T_LBP, codes, lbp, on_circle, opacity, sharpness
from tests.baselines.photographs import real, scored_on_real, texture


def code_at_centre(*rows):
    """Code of the middle pixel: `.` as the centre, `#` brighter, `o` darker, `-` brighter by too little."""
    step = {".": 0.0, "#": 0.3, "o": -0.3, "-": 0.9 * T_LBP}
    return codes(np.array([[0.5 + step[mark] for mark in row] for row in rows], np.float32))[1, 1]


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        (("...", "...", "..."), 0),
        (("---", "-.-", "---"), 0),
        (("...", "..#", "..."), 3),  # between pixels the diagonal points see it too
        (("###", "#.#", "###"), 8),
        (("ooo", "o.o", "ooo"), 0),
        (("###", "...", "..."), 3),
        (("###", "#.#", "..."), 7),
        (("#..", "...", "..#"), 9),
        ((".#.", "...", ".#."), 9),
    ],
)
def test_codes_by_hand(rows, code):
    assert code_at_centre(*rows) == code


def test_a_turned_patch_has_the_same_code():
    patches = np.random.default_rng(0).random((50, 3, 3), dtype=np.float32)
    for patch in patches:
        assert len({codes(np.ascontiguousarray(np.rot90(patch, turn)))[1, 1] for turn in range(4)}) == 1


def test_a_point_on_the_circle_is_bilinear():
    padded = np.array([[1, 2, 9], [3, 4, 9], [9, 9, 9]], np.float32)
    far, near = np.sqrt(0.5), 1 - np.sqrt(0.5)
    by_hand = far * far * 1 + far * near * (2 + 3) + near * near * 4
    assert on_circle(padded, -1, -1)[0, 0] == pytest.approx(by_hand, rel=1e-6)
    assert on_circle(padded, -1, 0)[0, 0] == 2


def test_sharpness_is_the_share_of_codes_from_6_to_9():
    of_codes = np.zeros((30, 30), np.uint8)
    of_codes[10, 10:14] = (5, 6, 8, 9)
    assert sharpness(of_codes, 11)[10, 11] == pytest.approx(3 / 121)
    assert sharpness(of_codes, 11)[25, 25] == 0


def test_opacity_has_two_thresholds():
    share = np.array([[0, 0.009, 0.02, 0.029, 0.031, 1]], np.float32)
    np.testing.assert_allclose(opacity(share), [[0, 0, 0.02, 0.029, 1, 1]])


def test_sharpness_falls_with_blur():
    gray = texture(200, 200, blur=0.3)[..., 0].astype(np.float32) / 255
    means = [sharpness(codes(cv2.GaussianBlur(gray, (0, 0), s)), 21).mean() for s in (0.1, 0.5, 0.7, 1, 1.5, 2)]
    assert means[0] > 0.5
    assert all(before > after for before, after in itertools.pairwise(means))
    assert means[-1] < 0.01


def test_flat_and_faint_noise_are_blurred_and_texture_is_sharp():
    noise = np.random.default_rng(0).normal(120, 1, (90, 90, 3)).round().astype(np.uint8)
    assert lbp(np.full((90, 90, 3), 120, np.uint8)).max() == 0
    assert lbp(noise).max() < 0.1
    assert lbp(texture(90, 90, blur=0.4)).min() > 0.9


@pytest.mark.parametrize("turn", [0, 1])
def test_sharp_half_is_separated_from_blurred_half(turn):
    image = texture(160, 200, blur=0.4)
    image[:, 100:] = cv2.GaussianBlur(image, (0, 0), 4)[:, 100:]
    before = image.copy()
    focus = np.rot90(lbp(np.ascontiguousarray(np.rot90(image, turn))), -turn)
    assert focus.shape == (160, 200)
    assert focus.dtype == np.float32
    assert focus[:, :80].min() > 0.9
    assert focus[:, 115:].max() < 0.5  # the largest window reaches 10 pixels over the edge
    assert focus[:, 145:].max() < 0.1
    np.testing.assert_array_equal(image, before)


def test_on_photographs_it_is_far_better_than_what_is_trivial():
    scores, trivial = scored_on_real(lbp, real()[2:5])
    assert scores["mae"] < trivial
