"""Small line charts and interval bars as inline SVG: text in, text out, the same bytes every time.

Colours, fonts and dark mode come from the page's style sheet through classes: `s0`..`s9` is a run's colour,
`solid`, `dashed` or `dotted` its line.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 360, 270
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 12, 38


@dataclass(frozen=True)
class Line:
    """One run's line: `x`, `y` float (n,), NaN where there is no value."""

    run: str
    name: str
    classes: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]


@dataclass(frozen=True)
class Axis:
    """A linear axis from `low` to `high`, drawn between the pixels `start` and `end`."""

    low: float
    high: float
    start: float
    end: float

    def place(self, values: NDArray[np.float64] | float) -> NDArray[np.float64]:
        """Pixels of values."""
        share = (np.asarray(values, np.float64) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def tick_step(span: float, wanted: int = 5) -> float:
    """A step of 1, 2, 2.5 or 5 times a power of ten that cuts `span` into about `wanted` parts."""
    raw = span / wanted
    power = 10.0 ** math.floor(math.log10(raw))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * 0.999)


def ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Round values from `low` to `high`."""
    step = tick_step(high - low, wanted)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [i * step for i in range(first, last + 1)]


def padded(values: NDArray[np.float64]) -> tuple[float, float]:
    """A range of whole ticks around the finite values; a flat line gets room on both sides."""
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if high - low < 1e-12:
        low, high = low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2
    step = tick_step(high - low)
    return math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step


def tick_text(value: float) -> str:
    """A tick's label, without trailing zeros; with a power of ten below 0.001."""
    if abs(value) < 1e-12:
        return "0"
    power = math.floor(math.log10(abs(value)) + 1e-9)
    text = f"{value / 10.0**power:.3g}e{power}" if power < -3 else f"{value:.4g}"
    return text.replace("-", "−")


def path(line: Line, x_axis: Axis, y_axis: Axis) -> str:
    """A line as an SVG path, broken at missing values; a single point becomes a dot."""
    pixels = np.stack([x_axis.place(line.x), y_axis.place(line.y)], axis=1)
    commands, pen = [], "M"
    for x, y in pixels:
        if not (math.isfinite(x) and math.isfinite(y)):
            pen = "M"
            continue
        commands.append(f"{pen}{x:.1f} {y:.1f}")
        pen = "L"
    if len(commands) == 1:
        commands.append("h0.01")
    data, run = "".join(commands), escape(line.run)
    return f'<path class="line {line.classes}" data-run="{run}" d="{data}"><title>{escape(line.name)}</title></path>'


def y_grid(y_axis: Axis) -> list[str]:
    """Horizontal grid lines and their labels."""
    parts = []
    for value in ticks(y_axis.low, y_axis.high):
        y = float(y_axis.place(value))
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick end" x="{LEFT - 6}" y="{y + 3.5:.1f}">{tick_text(value)}</text>')
    return parts


def grid(x_axis: Axis, y_axis: Axis) -> list[str]:
    """Grid lines and tick labels."""
    parts = y_grid(y_axis)
    for value in ticks(x_axis.low, x_axis.high):
        x = float(x_axis.place(value))
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
        parts.append(f'<text class="tick mid" x="{x:.1f}" y="{HEIGHT - BOTTOM + 15}">{tick_text(value)}</text>')
    return parts


def vertical_label(text: str) -> str:
    """The label of the y axis, read from below."""
    middle = (TOP + HEIGHT - BOTTOM) / 2
    return f'<text class="axis mid" transform="translate(11 {middle:.1f}) rotate(-90)">{escape(text)}</text>'


def line_chart(
    lines: list[Line],
    *,
    described: str,
    x_label: str,
    y_label: str = "",
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = None,
) -> str:
    """Lines over common axes; `described` is what a screen reader says. Ranges default to the data's."""
    x_low, x_high = x_range or padded(np.concatenate([line.x for line in lines]))
    y_low, y_high = y_range or padded(np.concatenate([line.y for line in lines]))
    x_axis = Axis(x_low, x_high, LEFT, WIDTH - RIGHT)
    y_axis = Axis(y_low, y_high, HEIGHT - BOTTOM, TOP)
    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(described)}">',
        *grid(x_axis, y_axis),
        f'<text class="axis mid" x="{(LEFT + WIDTH - RIGHT) / 2:.1f}" y="{HEIGHT - 6}">{escape(x_label)}</text>',
        vertical_label(y_label) if y_label else "",
        *(path(line, x_axis, y_axis) for line in lines),
        "</svg>",
    ]
    return "".join(parts)


@dataclass(frozen=True)
class Bars:
    """One run's bars: a value in [0, 1] for each group, NaN where there is none."""

    run: str
    name: str
    classes: str
    values: tuple[float, ...]


def bar_chart(bars: list[Bars], groups: Sequence[str], *, described: str) -> str:
    """Bars beside each other in groups, on an axis from 0 to 1."""
    y_axis = Axis(0, 1, HEIGHT - BOTTOM, TOP)
    across = (WIDTH - LEFT - RIGHT) / len(groups)
    width = across * 0.86 / len(bars)
    parts = [f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(described)}">']
    parts += y_grid(y_axis)
    for i, group in enumerate(groups):
        left = LEFT + across * (i + 0.07)
        parts += [bar(each, i, left + j * width, width, y_axis) for j, each in enumerate(bars)]
        middle = LEFT + across * (i + 0.5)
        parts.append(f'<text class="axis mid" x="{middle:.1f}" y="{HEIGHT - BOTTOM + 18}">{escape(group)}</text>')
    return "".join([*parts, "</svg>"])


def bar(bars: Bars, group: int, x: float, width: float, y_axis: Axis) -> str:
    """One bar with its value as its title; nothing where there is no value."""
    value = bars.values[group]
    if not math.isfinite(value):
        return ""
    top, gap = float(y_axis.place(value)), min(1.0, width * 0.2)
    place = f'x="{x:.1f}" y="{top:.1f}" width="{width - gap:.1f}" height="{y_axis.start - top:.1f}"'
    title = f"<title>{escape(bars.name)}: {value:.3f}</title>"
    return f'<rect class="column {bars.classes}" data-run="{escape(bars.run)}" {place}>{title}</rect>'


def interval(mean: float, low: float, high: float, reach: float, verdict: str) -> str:
    """A mean and its interval on an axis from -`reach` to `reach`, with a line at zero."""
    axis = Axis(-reach, reach, 4, 176)
    left, dot, right = (float(axis.place(value)) for value in (low, mean, high))
    return (
        '<svg class="interval" viewBox="0 0 180 18" aria-hidden="true">'
        '<line class="zero" x1="90" x2="90" y1="0" y2="18"/>'
        f'<line class="bar {verdict}" x1="{left:.1f}" x2="{right:.1f}" y1="9" y2="9"/>'
        f'<circle class="dot {verdict}" cx="{dot:.1f}" cy="9" r="3.6"/></svg>'
    )


def histogram(counts: list[int]) -> str:
    """Counts as bars beside each other, the highest of full height; `counts` holds one positive number at least."""
    highest, width = max(counts), 12
    bars = "".join(
        f'<rect x="{i * width}" y="{28 * (1 - count / highest):.1f}" width="{width - 2}" '
        f'height="{28 * count / highest:.1f}"><title>{count}</title></rect>'
        for i, count in enumerate(counts)
    )
    told = ", ".join(str(count) for count in counts)
    size = f"0 0 {width * len(counts)} 29"
    return f'<svg class="histogram" viewBox="{size}" role="img" aria-label="{told}">{bars}</svg>'
