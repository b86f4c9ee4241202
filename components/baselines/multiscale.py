"""Maps of several scales brought together, as DBDF and LBP do (equations in dbdf.py and lbp.py).

    E(h) = sum |h_i^s - m_i^s| + beta (sum |h_i^s - h_j^s| + sum |h_i^s - h_i^(s+1)|),

m^s the map of scale s; i and j neighbours (four of each pixel), each pair once.

E is convex; it is minimised by the primal-dual algorithm (Chambolle & Pock, JMIV 2011, algorithm 1) on the stack of
maps: with K the differences along rows, columns and scales, |K|^2 <= 12, and step sizes tau and sigma,

    p <- clip(p + sigma K h', -beta, beta),    h+ <- prox(h - tau K^T p),    h' <- 2 h+ - h.

The papers use loopy belief propagation or graph cuts on a few levels; here values are continuous.
"""

import numpy as np
from numpy.typing import NDArray

Stack = NDArray[np.float32]
AXES = (0, 1, 2)
TAU, SIGMA = 0.25, 0.33
"""Their product is below 1 / |K|^2."""


def bring_together(maps: Stack, *, beta: float, steps: int) -> Stack:
    """The minimum of E, nearly.

    Args:
        maps: (scales, H, W).
        beta: weight of the differences.
        steps: of the algorithm.

    Returns:
        (scales, H, W), within the range of `maps`.
    """
    h, ahead = maps.copy(), maps.copy()
    duals = [np.zeros_like(difference(maps, axis)) for axis in AXES]
    for _ in range(steps):
        pull = np.zeros_like(h)
        for axis, dual in zip(AXES, duals, strict=True):
            np.clip(dual + np.float32(SIGMA) * difference(ahead, axis), -beta, beta, out=dual)
            before, after = sides(pull, axis)
            before -= dual
            after += dual
        moved = h - np.float32(TAU) * pull
        new = nearer(moved, maps)
        ahead = 2 * new - h
        h = new
    return np.clip(h, maps.min(), maps.max())


def sides(stack: Stack, axis: int) -> tuple[Stack, Stack]:
    """Views of all but the last, and of all but the first along an axis."""
    first, last = [slice(None)] * 3, [slice(None)] * 3
    first[axis], last[axis] = slice(None, -1), slice(1, None)
    return stack[tuple(first)], stack[tuple(last)]


def difference(stack: Stack, axis: int) -> Stack:
    """What each element's next one along an axis is above it."""
    before, after = sides(stack, axis)
    return after - before


def nearer(moved: Stack, maps: Stack) -> Stack:
    """`moved`, brought nearer to `maps` by at most TAU: the proximal map of |h - m|."""
    away = moved - maps
    return np.asarray(maps + np.sign(away) * np.maximum(np.abs(away) - np.float32(TAU), 0), np.float32)
