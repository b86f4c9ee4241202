"""Photograph and map made into one picture."""

import numpy as np

from components.views import compose
from components.views.compose import STRENGTH, TINT, background_blurred, cut_out, on_white, overlay

PHOTO = np.full((40, 40, 3), (200, 100, 50), np.uint8)
HALF = np.repeat(np.repeat(np.uint8([[255, 0]]), 40, axis=0), 20, axis=1)
"""In focus on the left."""


def test_an_overlay_keeps_what_is_in_focus_and_tints_the_rest():
    made = overlay(PHOTO, HALF)
    assert (made[:, :20] == PHOTO[:, :20]).all()
    grey = round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)
    assert made[0, -1].tolist() == [round(grey * (1 - STRENGTH) + tint * STRENGTH) for tint in TINT]


def test_on_white_is_as_opaque_as_the_map():
    made = on_white(PHOTO, np.full((40, 40), 51, np.uint8))  # a fifth
    assert made[0, 0].tolist() == [255 - 11, 255 - 31, 255 - 41]


def test_a_cut_out_has_the_map_as_its_opacity():
    made = cut_out(PHOTO, HALF)
    assert made.shape == (40, 40, 4)
    assert (made[..., 3] == HALF).all()
    assert (made[..., :3] == PHOTO).all()


def test_nothing_in_focus_bleeds_into_a_blurred_background():
    photo = np.where(HALF[..., None] > 0, np.uint8([255, 255, 255]), np.uint8([10, 20, 30]))
    made = background_blurred(photo, HALF, sigma=5)
    assert (made == photo).all()


def test_a_blurred_background_is_blurred():
    photo = PHOTO.copy()
    photo[:, 30] = 255
    made = background_blurred(photo, np.zeros((40, 40), np.uint8), sigma=4)
    assert made[20, 30, 2] < 100
    assert made[20, 27, 2] > 55


def test_strips_and_a_reduced_background_are_as_the_whole(monkeypatch):
    """Made of strips of 7 rows as of one; blurred at a third of the size nearly as at the full one."""
    rng = np.random.default_rng(0)
    photo = np.kron(rng.integers(0, 256, (12, 10, 3)), np.ones((20, 20, 1))).astype(np.uint8)
    levels = np.kron(rng.integers(0, 2, (6, 5)) * 255, np.ones((40, 40))).astype(np.uint8)
    whole = overlay(photo, levels), background_blurred(photo, levels, sigma=24)
    monkeypatch.setattr(compose, "ROWS", 7)
    assert np.array_equal(overlay(photo, levels), whole[0])
    assert np.array_equal(background_blurred(photo, levels, sigma=24), whole[1])
    monkeypatch.setattr(compose, "WIDE", 1000)
    full = background_blurred(photo, levels, sigma=24)
    assert np.abs(whole[1].astype(int) - full).mean() < 1
    assert np.abs(whole[1].astype(int) - photo).mean() > 10
