"""Each claim's gain, interval and verdict, as docs/study.md fixes them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from components.study.design import Claim
from components.study.results import Results, table
from components.study.statistics import LEVEL, Estimate, Gains, estimate, holm, pooled_spread

FEWEST = 3
"""Seeds of both rows without which nothing can be told."""
Word = Literal["holds", "does not hold", "cannot be told", "not run"]


@dataclass(frozen=True)
class Measured:
    """A claim's numbers before the family is looked at.

    Attributes:
        claim: it.
        seeds: that both rows have.
        photographs: that count.
        gain: of MAE; None with fewer than two seeds.
        others: gains of the second row over the first in F-beta and IoU, in that order; None likewise, and of texture.
        bound: that the gain is held against: the margin, or the seeds' spread.
    """

    claim: Claim
    seeds: Sequence[int]
    photographs: int
    gain: Estimate | None
    others: tuple[Estimate, Estimate] | None
    bound: float

    @property
    def told(self) -> bool:
        """Whether there are seeds enough."""
        return self.gain is not None and len(self.seeds) >= FEWEST

    def p_values(self) -> tuple[float, float]:
        """Against what it would be if the claim did not hold, and if it did not fail; 1 where nothing can be told."""
        if self.gain is None or not self.told:
            return 1.0, 1.0
        above, below, bound = self.gain.above, self.gain.below, self.bound
        if self.claim.test == "within_seed":
            return max(below(bound), above(-bound)), min(1.0, 2 * min(above(bound), below(-bound)))
        return (above(0), below(bound)) if self.claim.test == "gain" else (below(bound), above(0))


@dataclass(frozen=True)
class Answer(Measured):
    """What there is to say of a claim.

    Attributes:
        p_holds, p_fails: adjusted over the family; 1 where nothing can be told.
        word: the verdict.
    """

    p_holds: float
    p_fails: float
    word: Word


def gains_of(claim: Claim, results: Results, seeds: Sequence[int], measure: str = "mae") -> Gains:
    """The first row's scores less the second's, (S, P); of texture, photographs that lack a region are left out."""
    if claim.of == "maps":
        return results.stack(claim.first, measure, seeds) - results.stack(claim.second, measure, seeds)
    inside, outside = (
        results.stack(claim.first, name, seeds) - results.stack(claim.second, name, seeds)
        for name in ("mae_homogeneous_in_focus", "mae_textured")
    )
    found: Gains = inside - outside
    return found[:, ~np.isnan(found).any(0)]


def measured(claim: Claim, results: Results) -> Measured:
    """A claim's numbers."""
    seeds = results.seeds(claim.first, claim.second)
    if len(seeds) < 2:
        return Measured(claim, seeds, len(results.photographs) if seeds else 0, None, None, claim.margin)
    gains = gains_of(claim, results, seeds)
    f_beta, iou = (
        estimate(results.stack(claim.second, name, seeds) - results.stack(claim.first, name, seeds))
        for name in ("f_beta", "iou")
    )
    others = (f_beta, iou) if claim.of == "maps" else None
    bound = claim.margin
    if claim.test == "within_seed":
        bound = pooled_spread([results.stack(row, "mae", seeds).mean(1) for row in (claim.first, claim.second)])
    return Measured(claim, seeds, gains.shape[1], estimate(gains), others, bound)


def answers(claims: Sequence[Claim], results: Results) -> list[Answer]:
    """Of all claims; Holm counts those that were not run too."""
    found = [measured(claim, results) for claim in claims]
    holds, fails = (holm({each.claim.name: each.p_values()[i] for each in found}) for i in (0, 1))
    return [_answer(each, holds[each.claim.name], fails[each.claim.name]) for each in found]


def verdicts_table(answers: Sequence[Answer]) -> bytes:
    """CSV of the verdicts, which a change's comment in CI compares."""
    header = ("claim", "verdict", "seeds", "gain", "low", "high")
    lines = []
    for each in answers:
        numbers = [] if each.gain is None else [each.gain.mean, *each.gain.interval]
        told = [f"{number:.6f}" for number in numbers] or [""] * 3
        lines.append([each.claim.name, each.word, str(len(each.seeds)), *told])
    return table(header, lines)


def _answer(each: Measured, p_holds: float, p_fails: float) -> Answer:
    word: Word = "cannot be told" if each.seeds else "not run"
    if p_holds < LEVEL:
        word = "holds"
    elif p_fails < LEVEL:
        word = "does not hold"
    return Answer(**vars(each), p_holds=p_holds, p_fails=p_fails, word=word)
