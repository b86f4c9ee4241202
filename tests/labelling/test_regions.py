"""Flat regions by their rims: a thing in focus, something out of focus, ground, and what nobody can tell."""

import numpy as np

from components.labelling.regions import EVIDENT, decide, extend, large

SIZE = (120, 160)
ALL = np.ones(SIZE, dtype=bool)
SHARP, BLURRED = 2 * EVIDENT, -2 * EVIDENT


def scene(box: tuple[slice, slice]) -> tuple[np.ndarray, np.ndarray]:
    """Nothing seen anywhere, and a flat region all around it is not flat."""
    flat = np.zeros(SIZE, dtype=bool)
    flat[box] = True
    return np.zeros(SIZE, dtype=np.float32), flat


MIDDLE = np.s_[40:80, 50:110]


def test_a_sharp_rim_all_around_is_a_thing_in_focus() -> None:
    seen, flat = scene(MIDDLE)
    seen[:] = SHARP
    decided = decide(seen, np.zeros_like(seen), flat, ALL)
    assert (decided[MIDDLE] == 1).all()
    assert (decided[~flat] == 0).all()


def test_a_blurred_rim_is_out_of_focus_down_to_its_last_row() -> None:
    seen, flat = scene(MIDDLE)
    seen[:70] = BLURRED
    decided = decide(seen, np.full_like(seen, 3), flat, ALL)
    assert (decided[40:60, 50:110] == -1).all()
    assert (decided[72:80, 50:110] == 0).all()


def test_no_evidence_is_undecided() -> None:
    seen, flat = scene(MIDDLE)
    assert (decide(seen, np.zeros_like(seen), flat, ALL) == 0).all()


def test_a_mixed_rim_is_undecided_but_for_what_lies_behind() -> None:
    seen, flat = scene(MIDDLE)
    seen[:, :80], seen[:, 80:] = SHARP, BLURRED
    assert (decide(seen, np.full_like(seen, 3), flat, ALL) == 0).all()
    wall = np.s_[0:80, 0:110]
    seen, flat = scene(wall)
    seen[:, 110:], seen[80:] = SHARP, BLURRED
    assert (decide(seen, np.full_like(seen, 3), flat, ALL)[wall] == -1).all()


def test_ground_is_in_focus_where_things_stand_and_out_of_focus_farther_and_nearer() -> None:
    """Far rim from row 14 on, blurred by 8 limits, foot at row 60: 8 / 46 a row, so 0.6 are 3.4 rows, 1.5 are 8.6."""
    ground = np.s_[20:120, 0:160]
    seen, flat = scene(ground)
    seen[:20] = BLURRED
    flat[30:61, 70:80], seen[30:61, 70:80] = False, SHARP
    best = np.where(np.arange(120) < 20, np.float32(8), np.float32(0))[:, None].repeat(160, axis=1)
    column = decide(seen, best, flat, ALL)[:, 20]
    foot = int(np.flatnonzero(column == 1).mean())
    assert abs(foot - 60) <= 2
    assert (column == 1).sum() == 7
    assert (column[20 : foot - 8] == -1).all()
    assert (column[foot + 9 :] == -1).all()
    assert (column[foot - 8 : foot - 3] == 0).all()
    assert (column[foot + 4 : foot + 9] == 0).all()


def test_the_strip_is_undecided_where_what_stands_in_it_is_nearly_out_of_focus() -> None:
    seen, flat = scene(np.s_[20:120, 0:160])
    seen[:20] = BLURRED
    flat[30:61, 70:80], seen[30:61, 70:80] = False, SHARP
    best = np.where(np.arange(120) < 20, np.float32(8), np.float32(0.8))[:, None].repeat(160, axis=1)
    decided = decide(seen, best, flat, ALL)
    assert (decided[56:62, 20] == 0).all()
    assert (decided != 1).all()


def test_ground_without_things_in_focus_is_undecided_but_near_its_far_rim() -> None:
    ground = np.s_[20:120, 0:160]
    seen, flat = scene(ground)
    seen[:20] = BLURRED
    column = decide(seen, np.full_like(seen, 8), flat, ALL)[:, 20]
    assert (column[20:30] == -1).all()
    assert (column[45:] == 0).all()


def test_what_the_wide_photograph_does_not_cover_is_left_out() -> None:
    seen, flat = scene(MIDDLE)
    seen[:] = SHARP
    assert (decide(seen, np.zeros_like(seen), flat, ~ALL) == 0).all()


def test_small_spots_are_texture() -> None:
    flat = np.zeros(SIZE, dtype=bool)
    flat[10:20, 10:20], flat[40:60, 40:60] = True, True
    assert large(flat).sum() == 400


def test_a_decision_grows_to_the_edge_of_its_colour() -> None:
    """A dark region and a bright one that meet at column 80; 4 columns on either side were not flat."""
    colours = np.full((*SIZE, 3), 0.2, dtype=np.float32)
    colours[:, 80:] = 0.8
    flat = np.ones(SIZE, dtype=bool)
    flat[:, 76:84] = False
    decided = np.where(np.arange(160) < 80, 1, -1).astype(np.int8) * flat
    grown, by = extend(colours, flat, decided)
    assert grown.all()
    assert (by[:, :80] == 1).all()
    assert (by[:, 80:] == -1).all()
