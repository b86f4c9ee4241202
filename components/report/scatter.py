"""One run against another, photograph by photograph, as inline SVG: both axes logarithmic, with the diagonal."""

import math
from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from components.report.svg import BOTTOM, LEFT, TOP, Axis, vertical_label

SIDE = 276
"""Pixels of the square that the points lie in."""
WIDTH, HEIGHT = LEFT + SIDE + 10, TOP + SIDE + BOTTOM
LEAST = 1e-3
"""Errors below are drawn here."""
TICKS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


def span(values: NDArray[np.float64]) -> tuple[float, float]:
    """The ticks around all values."""
    low = max((tick for tick in TICKS if tick <= values.min()), default=LEAST)
    high = min((tick for tick in TICKS if tick >= values.max()), default=TICKS[-1])
    return (low, high) if low < high else (low / 2, high * 2)


def placed(axis: Axis, value: float) -> float:
    """The pixel of a value on a logarithmic axis."""
    return float(axis.place(math.log10(max(value, LEAST))))


def lines(x_axis: Axis, y_axis: Axis, low: float, high: float) -> list[str]:
    """Grid, tick labels and the diagonal."""
    parts = []
    for tick in (each for each in TICKS if low <= each <= high):
        x, y = placed(x_axis, tick), placed(y_axis, tick)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{y_axis.end:.1f}" y2="{y_axis.start:.1f}"/>')
        parts.append(f'<line class="grid" x1="{x_axis.start:.1f}" x2="{x_axis.end:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick mid" x="{x:.1f}" y="{y_axis.start + 15:.1f}">{tick:g}</text>')
        parts.append(f'<text class="tick end" x="{x_axis.start - 6:.1f}" y="{y + 3.5:.1f}">{tick:g}</text>')
    ends = f'x1="{x_axis.start:.1f}" x2="{x_axis.end:.1f}" y1="{y_axis.start:.1f}" y2="{y_axis.end:.1f}"'
    return [*parts, f'<line class="diagonal" {ends}/>']


def point(name: str, x: float, y: float, x_axis: Axis, y_axis: Axis) -> str:
    """One photograph; green where y is the smaller."""
    side = "lower" if y < x else "higher" if y > x else "unclear"
    place = f'cx="{placed(x_axis, x):.1f}" cy="{placed(y_axis, y):.1f}" r="3"'
    return f'<circle class="dot {side}" {place}><title>{escape(name)}: {x:.3f} → {y:.3f}</title></circle>'


def scatter(
    names: Sequence[str], x: NDArray[np.float64], y: NDArray[np.float64], *, described: str, x_label: str, y_label: str
) -> str:
    """Errors of two runs, (n,) each, n >= 1; the second is better below the diagonal. `described`: in words."""
    low, high = span(np.maximum(np.concatenate([x, y]), LEAST))
    ends = math.log10(low), math.log10(high)
    x_axis, y_axis = Axis(*ends, LEFT, LEFT + SIDE), Axis(*ends, TOP + SIDE, TOP)
    points = [point(name, a, b, x_axis, y_axis) for name, a, b in zip(names, x, y, strict=True)]
    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(described)}">',
        *lines(x_axis, y_axis, low, high),
        f'<text class="axis mid" x="{LEFT + SIDE / 2:.1f}" y="{HEIGHT - 6}">{escape(x_label)}</text>',
        vertical_label(y_label),
        *points,
        "</svg>",
    ]
    return "".join(parts)
