"""Learning rate and distillation weight, by epoch."""

import json

import pytest

from components.train.schedules import distillation_weight, epochs_to_run, poly_learning_rate

PAPER = {"epochs": 75, "beta": 3.0, "hold": 15}


def test_the_paper_starts_at_the_initial_rate_and_still_learns_in_the_last_epoch() -> None:
    rates = [poly_learning_rate(e, epochs=75, initial=1e-4, power=0.9, rule="paper") for e in range(1, 76)]
    assert rates[0] == 1e-4
    assert rates[-1] == pytest.approx(1e-4 * (1 / 75) ** 0.9)
    assert rates == sorted(rates, reverse=True)


def test_equation_9_as_printed() -> None:
    weights = {e: distillation_weight(e, rule="paper", **PAPER) for e in (1, 15, 16, 75)}
    assert weights == {1: 3, 15: 3, 16: pytest.approx(3 / 75), 75: pytest.approx(3 * 60 / 75)}


def test_published_schedules(shared) -> None:
    golden = json.loads((shared / "parity" / "losses_schedules_metrics.json").read_text())
    for epoch in range(1, 75):
        rate = poly_learning_rate(epoch, epochs=75, initial=1e-4, power=0.9, rule="published_code")
        assert rate == pytest.approx(golden["official_lr"][str(epoch)], rel=1e-6)
        weight = distillation_weight(epoch, rule="published_code", **PAPER)
        assert weight == pytest.approx(golden["official_distill_weight"][str(epoch)], rel=1e-6)


def test_the_published_loop_runs_one_epoch_fewer() -> None:
    assert epochs_to_run(75, "paper") == 75
    assert epochs_to_run(75, "published_code") == 74
