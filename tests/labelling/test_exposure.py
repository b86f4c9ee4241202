"""Exposure between two photographs: known gains, contrast and fall-off are found again, and blur does not matter."""

import cv2
import numpy as np
import pytest

from components.labelling.exposure import UNCHANGED, Exposure, from_centre, match

SIZE = (256, 400)
ALL = np.ones(SIZE, dtype=bool)


def ev(found: Exposure) -> float:
    """Stops by which the shallow photograph is the brighter one at mid grey, 0.18, mean of the channels."""
    return float(np.log2(np.array(found.gain) * 0.18 ** (np.array(found.gamma) - 1)).mean())


def light() -> np.ndarray:
    """A scene in linear light (h, w, 3), 0.02 to 0.6, coarse and fine."""
    rng = np.random.default_rng(0)
    coarse = cv2.resize(rng.uniform(0.05, 0.5, (8, 12, 3)).astype(np.float32), SIZE[::-1])
    return np.clip(coarse + rng.uniform(-0.03, 0.03, (*SIZE, 3)), 0.02, 0.6).astype(np.float32)


def test_gain_gamma_and_falloff_are_found() -> None:
    wide = light()
    truth = Exposure((1.2, 0.9, 1.05), (1.0, 1.1, 0.95), -0.2)
    found = match(wide, truth.apply(wide), ALL)
    assert found.gain == pytest.approx(truth.gain, rel=0.03)
    assert found.gamma == pytest.approx(truth.gamma, abs=0.03)
    assert found.falloff == pytest.approx(-0.2, abs=0.03)


def test_blur_of_half_of_the_picture_does_not_change_it() -> None:
    wide = light()
    shallow = 1.25 * wide
    shallow[:, 200:] = cv2.GaussianBlur(shallow, (0, 0), 6)[:, 200:]
    found = match(wide, shallow, ALL)
    assert ev(found) == pytest.approx(np.log2(1.25), abs=0.03)
    assert found.apply(wide)[:, :190] == pytest.approx(shallow[:, :190], rel=0.05)


def test_what_is_not_covered_does_not_count() -> None:
    wide = light()
    shallow, covered = 0.8 * wide, ALL.copy()
    shallow[:, :80], covered[:, :80] = 0.5, False
    assert ev(match(wide, shallow, covered)) == pytest.approx(np.log2(0.8), abs=0.02)


def test_where_nothing_can_be_told_nothing_is_changed() -> None:
    assert match(np.zeros((*SIZE, 3), np.float32), light(), ALL) == UNCHANGED
    assert match(light(), light(), ~ALL) == UNCHANGED


def test_from_centre_is_one_in_the_corners() -> None:
    found = from_centre((5, 9))
    assert found[2, 4] == 0
    assert found[0, 0] == found[-1, -1] == found[0, -1] == 1
    assert found[0, 4] == 0.5
