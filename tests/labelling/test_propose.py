"""Proposals from small pairs: known labels, and nothing decided where nothing can be told."""

import numpy as np
import pytest

from components.labelling.align import AlignmentError
from components.labelling.blur import make_bank, residuals
from components.labelling.propose import (
    COC_LIMIT_PX,
    IN_FOCUS,
    MIN_AGREEMENT,
    OUT_OF_FOCUS,
    UNDECIDED,
    Scene,
    clipped,
    fill_holes,
    judge,
    limit_px,
    propose,
)
from components.render.optics import to_linear
from tests.labelling.test_align import SETTINGS, SIZE, textured
from tests.labelling.test_exposure import ev

ALL = np.ones(SIZE, dtype=bool)


def scene(shallow: np.ndarray, wide: np.ndarray) -> Scene:
    """Two photographs (h, w, 3) uint8 that are aligned and equally exposed, limit 3 px."""
    shallow, wide = (to_linear(each.astype(np.float32) / np.float32(255)) for each in (shallow, wide))
    return Scene(shallow, wide, ALL, make_bank(3.0))


def test_the_limit_grows_with_the_width() -> None:
    assert limit_px(COC_LIMIT_PX, 1600) == 6.0
    assert limit_px(COC_LIMIT_PX, 800) == 3.0


def judged(found: Scene) -> tuple[np.ndarray, ...]:
    return judge(found, residuals(found.shallow, found.wide, found.bank))


def test_two_sharp_photographs_are_all_in_focus_and_one_twice_is_refused() -> None:
    photograph = textured(SIZE)
    with pytest.raises(AlignmentError, match=r"^both are one photograph; "):
        propose(photograph, photograph)
    grain = np.random.default_rng(1).normal(0, 5, (2, *SIZE, 3))
    shallow, wide = (np.clip(np.rint(photograph + each), 0, 255).astype(np.uint8) for each in grain)
    proposal = propose(shallow, wide)
    assert set(np.unique(proposal.label)) <= {IN_FOCUS, UNDECIDED}
    assert proposal.decided > 0.9
    assert proposal.blur_px == 0
    assert ev(proposal.exposure) == pytest.approx(0, abs=0.01)
    assert ((proposal.confidence > 0) == (proposal.label != UNDECIDED)).all()
    assert proposal.confidence.max() <= 1


def test_a_flat_scene_is_all_undecided() -> None:
    noise = np.random.default_rng(0)
    shallow, wide = (np.rint(noise.normal(120, 0.6, (*SIZE, 3))).astype(np.uint8) for _ in range(2))
    agreement, _, _ = judged(scene(shallow, wide))
    assert (np.abs(agreement) <= MIN_AGREEMENT).all()


def test_what_is_clipped_in_both_is_undecided() -> None:
    shallow = textured(SIZE)
    shallow[100:200, 100:300] = 255
    found = scene(shallow, shallow)
    assert clipped(found).sum() == 100 * 200
    agreement, _, _ = judged(found)
    assert (agreement[110:190, 110:290] == 0).all()


def test_the_same_pair_gives_the_same_proposal() -> None:
    from benchmarks.rendered_pairs import render_pair

    pair = render_pair(SETTINGS, 11, height=SIZE[0], width=SIZE[1])
    first, again = (propose(pair.shallow, pair.wide) for _ in range(2))
    np.testing.assert_array_equal(first.label, again.label)
    np.testing.assert_array_equal(first.confidence, again.confidence)
    decided = first.label != UNDECIDED
    for level, truth in ((IN_FOCUS, pair.in_focus), (OUT_OF_FOCUS, ~pair.in_focus)):
        ours = first.label == level
        assert (ours & truth).sum() / ((ours | truth) & decided).sum() > 0.9
    assert decided.mean() > 0.8


def test_a_limit_above_every_blur_puts_all_in_focus() -> None:
    from benchmarks.rendered_pairs import render_pair

    pair = render_pair(SETTINGS, 20, height=SIZE[0], width=SIZE[1])
    assert pair.coc_px.max() < 20
    label = propose(pair.shallow, pair.wide, 50.0).label
    assert (label[label != UNDECIDED] == IN_FOCUS).mean() > 0.98


def test_holes_are_filled_only_where_all_around_agree() -> None:
    agreement = np.ones(SIZE, dtype=np.float32)
    agreement[20:30, 20:30] = 0
    agreement[:, 300:] = -1
    agreement[200:210, 295:305] = 0
    filled = fill_holes(agreement, ALL)
    assert (filled[20:30, 20:30] > MIN_AGREEMENT).all()
    assert (filled[200:210, 295:305] == 0).all()
