"""Schedules by epoch, counted from 1: the poly learning rate and the distillation weight beta (equation 9)."""

from typing import Literal

Rule = Literal["paper", "published_code"]


def poly_learning_rate(epoch: int, *, epochs: int, initial: float, power: float, rule: Rule) -> float:
    """Learning rate of a whole epoch under the 'poly' policy (paper, section IV.A).

    "paper", which gives no formula: initial * (1 - (epoch - 1) / epochs)^power, so that the first epoch has the initial
    rate and the last still learns. "published_code": initial * (1 - epoch / (epochs + 5))^power.
    """
    done = (epoch - 1) / epochs if rule == "paper" else epoch / (epochs + 5)
    return float(initial * (1 - done) ** power)


def distillation_weight(epoch: int, *, epochs: int, beta: float, hold: int, rule: Rule) -> float:
    """Weight of the feature loss (equation 9): high while the student's encoder settles, then rising again from 0.

    "paper": beta up to and including epoch `hold`, then beta * (epoch - hold) / epochs.
    "published_code": beta before epoch `hold`, 0 at it, then beta * (epoch - hold) / (epochs - hold).

    Args:
        epoch: from 1.
        epochs: the last epoch by the paper's count (75).
        beta: the weight at the start (3).
        hold: the epoch at which the weight drops (15).
        rule: which of the two.
    """
    if rule == "paper":
        return float(beta) if epoch <= hold else beta * ((epoch - hold) / epochs)
    return float(beta) if epoch < hold else beta * ((epoch - hold) / (epochs - hold))


def epochs_to_run(epochs: int, rule: Rule) -> int:
    """How many epochs are trained: all of them, or (published code) one fewer than its schedules count on."""
    return epochs if rule == "paper" else epochs - 1
