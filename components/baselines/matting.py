"""Closed-form matting (Levin, Lischinski, Weiss, TPAMI 2008) without its matrix.

    h = argmin 1/|w| h^T L h + hold sum (h_i - m_i)^2,

L the matting Laplacian of the photograph: h^T L h is small where h is nearly a linear function of the colours in every
window w. A product with L is a guided filter G of the same windows, 1/|w| L h = h - G h (He, Sun, Tang, CVPR 2010), so
that the system (1 + hold) h - G h = hold m is solved by conjugate gradients without a matrix. G is symmetric, also at
the borders, as windows see the photograph reflected there.
"""

from components.maps.guided import Floats, Guide

TOLERANCE = 0.1
"""Of the residual, relative to hold m; on photographs maps are then within 0.001 of the solution on average."""
MOST_STEPS = 400


def matte(guide: Guide, given: Floats, hold: float) -> Floats:
    """The map that keeps to the photograph's edges and stays near the given one.

    Args:
        guide: the photograph; its `smooth` is the epsilon of the matting Laplacian.
        given: m, (h, w) in [0, 1].
        hold: weight of staying near, above 0.

    Returns:
        (h, w), nearly within [0, 1].
    """
    h = given.copy()
    residual = guide.smooth(given) - given
    direction, size = residual.copy(), squared(residual)
    enough = TOLERANCE**2 * squared(hold * given)
    for _ in range(MOST_STEPS):
        if size <= enough:
            break
        product = (1 + hold) * direction - guide.smooth(direction)
        step = size / float((direction * product).sum())
        h += step * direction
        residual -= step * product
        before, size = size, squared(residual)
        direction = residual + size / before * direction
    return h


def squared(values: Floats) -> float:
    """The sum of squares."""
    return float((values * values).sum())
