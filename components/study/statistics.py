"""Intervals and p-values of a gain that is measured for several seeds and photographs, and Holm's correction.

Legend: S seeds, P photographs; gains (S, P): of every seed and photograph, the two rows compared in pairs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

DRAWS = 4000
LEVEL = 0.025
"""One-sided, of every test and for the family; two-sided 5 %."""
POWER = 0.8
Gains = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A mean gain and how far it may be off.

    Attributes:
        mean: over seeds and photographs.
        error: its standard error.
        freedom: degrees of freedom of Student's t that go with it.
        effect: the mean over the standard deviation of the gain of a seed and a photograph (Cohen's d for pairs).
        over_seeds, over_photographs: the two parts of the error, whose squares add up to its own.
        seeds, photographs: how many there are.
    """

    mean: float
    error: float
    freedom: float
    effect: float
    over_seeds: float
    over_photographs: float
    seeds: int
    photographs: int

    @property
    def interval(self) -> tuple[float, float]:
        """95 %, two-sided."""
        return around(self.mean, self.error, self.freedom)

    @property
    def on_these(self) -> tuple[float, float]:
        """The same where the photographs are all that there are: only other seeds could have been drawn."""
        return around(self.mean, self.over_seeds, self.seeds - 1)

    @property
    def detectable(self) -> float:
        """The gain that a single test at `LEVEL` would have found with probability `POWER`."""
        return found(self.error, self.freedom)

    @property
    def detectable_ever(self) -> float:
        """The same with any number of seeds: what the photographs set."""
        return found(self.over_photographs, self.photographs - 1)

    def above(self, bound: float) -> float:
        """p-value against a true gain of at most `bound`: small where the gain is above it."""
        return float(stdtr(self.freedom, (bound - self.mean) / self.error))

    def below(self, bound: float) -> float:
        """p-value against a true gain of at least `bound`: small where the gain is below it."""
        return float(stdtr(self.freedom, (self.mean - bound) / self.error))


def around(mean: float, error: float, freedom: float) -> tuple[float, float]:
    """95 %, two-sided."""
    reach = float(stdtrit(freedom, 1 - LEVEL)) * error
    return mean - reach, mean + reach


def found(error: float, freedom: float) -> float:
    """What a single test at `LEVEL` finds with probability `POWER`."""
    return float(stdtrit(freedom, 1 - LEVEL) + stdtrit(freedom, POWER)) * error


@cache
def drawn(count: int, seed: int) -> NDArray[np.float64]:
    """How often each of `count` is drawn with replacement, as a share, (`DRAWS`, count)."""
    chosen = np.random.default_rng(seed).integers(count, size=(DRAWS, count)) + count * np.arange(DRAWS)[:, None]
    return np.bincount(chosen.ravel(), minlength=DRAWS * count).reshape(DRAWS, count) / count


def estimate(gains: Gains) -> Estimate:
    """Hierarchical bootstrap: the variance over drawn seeds and that over drawn photographs, each times n / (n - 1).

    Seeds and photographs are crossed: every seed has the same photographs. Few seeds have Student's tails, not the
    bootstrap's, so that it gives the variances, and Satterthwaite's rule the degrees of freedom.

    Args:
        gains: (S, P), S >= 2 and P >= 2.
    """
    seeds, photographs = gains.shape
    by_seed, by_photograph = gains.mean(1), gains.mean(0)
    over_seeds = float((drawn(seeds, 0) @ by_seed).var()) * seeds / (seeds - 1)
    over_photographs = float((drawn(photographs, 1) @ by_photograph).var()) * photographs / (photographs - 1)
    variance = max(over_seeds + over_photographs, np.finfo(float).tiny)
    parts = over_seeds**2 / (seeds - 1) + over_photographs**2 / (photographs - 1)
    freedom = variance**2 / max(parts, np.finfo(float).tiny)
    spread = float(gains.std(ddof=1))
    mean = float(gains.mean())
    return Estimate(
        mean,
        float(np.sqrt(variance)),
        max(freedom, 1.0),
        mean / spread if spread else 0.0,
        float(np.sqrt(over_seeds)),
        float(np.sqrt(over_photographs)),
        seeds,
        photographs,
    )


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's adjusted p-values: each is to be held against the level of the whole family."""
    adjusted, least = {}, 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda each: p_values[each])):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[name]))
        adjusted[name] = least
    return adjusted


def pooled_spread(rows: Sequence[NDArray[np.float64]]) -> float:
    """Standard deviation over the seeds within a row, pooled over rows of one value a seed, (S,) each, S >= 2."""
    squares = sum(float(((row - row.mean()) ** 2).sum()) for row in rows)
    return float(np.sqrt(squares / sum(len(row) - 1 for row in rows)))
