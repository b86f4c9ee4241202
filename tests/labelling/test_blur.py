"""The bank of disks: the one that was applied is found, on whichever side of the limit; what is flat tells nothing."""

import numpy as np
import pytest

from components.labelling.blur import Bank, evidence, make_bank, predicted, residuals, shows, spread
from components.render.optics import blur

LIMIT = 4.0
SIZE = (96, 128)


def light(seed: int = 0) -> np.ndarray:
    """Noise in linear light (h, w, 3), 0.1 to 0.6."""
    return np.random.default_rng(seed).uniform(0.1, 0.6, (*SIZE, 3)).astype(np.float32)


def test_bank_leaves_a_gap_around_the_limit() -> None:
    bank = make_bank(LIMIT)
    assert bank.below == pytest.approx((0, 1.8, 2.48, 3.2))
    assert bank.above[0] == 5.0
    assert list(bank.all) == sorted(bank.all)


@pytest.mark.parametrize("diameter", [0.0, 2.48, 5.0, 8.4, 20.8])
def test_the_disk_that_was_applied_is_found(diameter: float) -> None:
    wide, bank = light(), make_bank(LIMIT)
    residual = residuals(blur(wide, diameter), wide, bank)
    inner = np.s_[20:-20, 20:-20]
    best = np.array(bank.all)[residual.argmin(axis=0)][inner]
    assert np.mean(np.isclose(best, diameter)) > 0.95
    assert ((evidence(residual, bank)[inner] > 0) == (diameter < LIMIT)).all()


def test_evidence_by_hand() -> None:
    """Best below 3, best above 27: (27 - 3) / (1 + 3 / 12) = 19.2."""
    bank = Bank((0.0, 1.0), (5.0,))
    residual = np.array([4.0, 3.0, 27.0], dtype=np.float32).reshape(3, 1, 1)
    assert evidence(residual, bank)[0, 0] == pytest.approx(19.2)
    assert evidence(residual[::-1], Bank((0.0,), (5.0, 6.0)))[0, 0] == pytest.approx(-19.2)


def test_flat_surfaces_give_no_evidence() -> None:
    flat, bank = np.full((*SIZE, 3), 0.3, dtype=np.float32), make_bank(LIMIT)
    assert np.abs(evidence(residuals(flat, flat, bank), bank)).max() == 0
    assert shows(flat, 5.0).max() < 1e-6
    assert shows(light(), 5.0).min() > 0.02


def test_a_large_disk_on_a_halved_picture_is_nearly_the_disk() -> None:
    smooth = blur(light(), 6.0)
    error = np.abs(spread(smooth, 30.0) - blur(smooth, 30.0))[20:-20, 20:-20]
    assert error.max() < 0.003


def test_what_is_in_focus_does_not_spread() -> None:
    """A white thing in focus before a grey wall: beside it, the blurred wall stays grey."""
    wide = np.full((*SIZE, 3), 0.2, dtype=np.float32)
    wide[:, 64:] = 0.9
    spreads = np.ones(SIZE, dtype=np.float32)
    spreads[:, 64:] = 0
    beside = np.s_[20:-20, 50:64]
    assert predicted(wide, 12.0, spreads)[beside] == pytest.approx(0.2, abs=1e-4)
    assert predicted(wide, 12.0, None)[beside].max() > 0.4
