"""Every chart of the report as inline SVG: matplotlib says where things are, the page's style sheet how they look.

So dark mode and print hold for charts too. All that the page knows an artist by is its gid: its classes (`s0`..`s9` is
a run's colour, `solid`, `dashed` or `dotted` its line), the run that the page's script hides and points out, and what
it is called. Small bars in a cell of a table are written by hand: they need no axes.
"""

import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any
from xml.etree.ElementTree import Element, fromstring

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from components.report.paired import Difference
from components.report.records import RunRecord

Values = NDArray[np.float64]
Range = tuple[float, float]

SIZE, SQUARE = (360, 270), (332, 326)
"""Pixels of a chart, and of one with a square plot."""
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 12, 38
"""Pixels around the plot."""
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "dbdflow",
    "text.parse_math": False,  # a name may hold dollars
    "font.family": "DejaVu Sans",  # comes with matplotlib: text lands alike on every machine
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.xmargin": 0,
    "axes.ymargin": 0,
    "axes.autolimit_mode": "round_numbers",
    "axes.formatter.limits": (-3, 5),
    "axes.formatter.useoffset": False,
    "xtick.major.pad": 3,
    "ytick.major.pad": 2.5,
}
LEAST = 1e-3
"""Errors below are drawn here."""
TICKS = np.array((0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0))


@dataclass(frozen=True)
class Drawn:
    """A run as charts show it: `classes` are those of its line."""

    record: RunRecord
    name: str
    classes: str


Line = tuple[Drawn, Values, Values]
"""One run's line: x, y float (n,), NaN where there is no value."""


def gid(classes: str, run: str = "", names: Sequence[str] = ("",)) -> str:
    """What the page knows an artist by; `names`: its own, or of markers one each."""
    return json.dumps([classes, run, *names])


def chart(draw: Callable[[Axes], None], described: str, size: tuple[int, int] = SIZE) -> str:
    """What `draw` draws, as SVG that is the same every time; `described` is what a screen reader says."""
    width, height = size
    file = io.StringIO()
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        figure = Figure((width / 72, height / 72))
        inner = (width - LEFT - RIGHT) / width, (height - TOP - BOTTOM) / height
        axes = figure.add_axes((LEFT / width, BOTTOM / height, *inner))
        draw(axes)
        for each in (*axes.get_xgridlines(), *axes.get_ygridlines()):
            each.set_gid(gid("grid"))
        axes.yaxis.label.set_rotation_mode("anchor")
        figure.savefig(file, format="svg", metadata={"Date": None})
    head = f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(described)}">'
    return "".join([head, *parts(fromstring(file.getvalue())), "</svg>"])


def parts(svg: Element) -> Iterator[str]:
    """All text, and the artists that have a gid, without what the style sheet decides."""
    for each in svg.iter():
        if each.tag.endswith("}text"):
            anchor = "".join(re.findall(r"text-anchor: \w+", each.get("style", "")))
            where = f'x="{each.get("x")}" y="{each.get("y")}" transform="{each.get("transform")}"'
            yield f'<text style="{anchor}" {tenths(where)}>{escape(each.text or "")}</text>'
        elif each.get("id", "").startswith("["):
            classes, run, *names = json.loads(each.get("id", ""))
            whose = f'class="{classes}" data-run="{escape(run)}"' if run else f'class="{classes}"'
            shapes = [*map(circle, each.findall(".//{*}use"))] or [*map(path, each.findall("{*}path"))]
            for shape, name in zip(shapes, names, strict=True):
                title = f"<title>{escape(name)}</title>" if name else ""
                yield f"<{shape} {whose}>{title}</{shape.split()[0]}>"


def tenths(text: str) -> str:
    """Numbers of pixels, rounded."""
    return re.sub(r"\d+\.\d+", lambda found: f"{float(found[0]):.1f}", text)


def circle(marker: Element) -> str:
    return tenths(f'circle cx="{marker.get("x")}" cy="{marker.get("y")}" r="3"')


def path(shape: Element) -> str:
    """A line or an area; a line of a single point becomes a dot."""
    commands = shape.get("d", "").split()
    return tenths(f'path d="{" ".join(commands)}{" h 0.1" if len(commands) == 3 else ""}"')


def line_chart(
    lines: Sequence[Line],
    *,
    described: str,
    x_label: str,
    y_label: str = "",
    x_range: Range | None = None,
    y_range: Range | None = None,
) -> str:
    """Lines over common axes; ranges default to whole ticks around the data."""

    def draw(axes: Axes) -> None:
        axes.locator_params(nbins=5)
        for each, x, y in lines:
            axes.plot(x, y, clip_on=False, gid=gid(f"line {each.classes}", each.record.run, [each.name]))
        axes.set(xlabel=x_label, ylabel=y_label, xlim=x_range, ylim=y_range)

    return chart(draw, described)


def bar_chart(bars: Sequence[tuple[Drawn, Sequence[float]]], groups: Sequence[str], *, described: str) -> str:
    """Each run's value in [0, 1] for each group, beside each other; no bar where it is NaN."""
    width = 0.86 / len(bars)

    def draw(axes: Axes) -> None:
        for i, (each, values) in enumerate(bars):
            for group, value in enumerate(values):
                if np.isfinite(value):
                    known = gid(f"column {each.classes}", each.record.run, [f"{each.name}: {value:.3f}"])
                    axes.bar(group + (i + 0.5) * width - 0.43, value, width * 0.9, gid=known)
        axes.grid(visible=False, axis="x")
        axes.set(xlim=(-0.5, len(groups) - 0.5), ylim=(0, 1), xticks=range(len(groups)), xticklabels=groups)

    return chart(draw, described)


def scatter(names: Sequence[str], x: Values, y: Values, *, described: str, x_label: str, y_label: str) -> str:
    """Errors of two runs, (n,) each, n >= 1, on logarithmic axes with the diagonal; green where y is the smaller."""
    low, high = span(np.concatenate([x, y]))

    def draw(axes: Axes) -> None:
        axes.plot([low, high], [low, high], gid=gid("diagonal"))
        for side, chosen in {"lower": y < x, "higher": y > x, "unclear": y == x}.items():
            named = [f"{names[i]}: {x[i]:.3f} → {y[i]:.3f}" for i in np.flatnonzero(chosen).tolist()]
            places = (np.maximum(each[chosen], LEAST) for each in (x, y))
            axes.plot(*places, "o", clip_on=False, gid=gid(f"dot {side}", names=named))
        axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high), xlabel=x_label, ylabel=y_label)
        shown = [tick for tick in TICKS if low <= tick <= high]
        axes.set(
            xticks=shown, yticks=shown, xticklabels=map("{:g}".format, shown), yticklabels=map("{:g}".format, shown)
        )
        axes.minorticks_off()

    return chart(draw, described, SQUARE)


def span(values: Values) -> Range:
    """The ticks around all values, of which those below `LEAST` count as it."""
    low = TICKS[np.clip(np.searchsorted(TICKS, max(values.min(), LEAST), "right") - 1, 0, None)]
    high = TICKS[np.clip(np.searchsorted(TICKS, values.max()), None, len(TICKS) - 1)]
    return (float(low), float(high)) if low < high else (float(low) / 2, float(high) * 2)


def interval(found: Difference, reach: float) -> str:
    """A mean and its interval on an axis from -`reach` to `reach`, with a line at zero."""
    left, dot, right = (90 + 86 * value / (reach or 1) for value in (found.low, found.mean, found.high))
    return (
        '<svg class="interval" viewBox="0 0 180 18" aria-hidden="true">'
        '<line class="zero" x1="90" x2="90" y1="0" y2="18"/>'
        f'<line class="bar {found.verdict}" x1="{left:.1f}" x2="{right:.1f}" y1="9" y2="9"/>'
        f'<circle class="dot {found.verdict}" cx="{dot:.1f}" cy="9" r="3.6"/></svg>'
    )


def histogram(counts: Sequence[int]) -> str:
    """Counts as bars beside each other, the highest of full height; `counts` holds one positive number at least."""
    highest, width = max(counts), 12
    bars = "".join(
        f'<rect x="{i * width}" y="{28 * (1 - count / highest):.1f}" width="{width - 2}" '
        f'height="{28 * count / highest:.1f}"><title>{count}</title></rect>'
        for i, count in enumerate(counts)
    )
    label = ", ".join(map(str, counts))
    size = f"0 0 {width * len(counts)} 29"
    return f'<svg class="histogram" viewBox="{size}" role="img" aria-label="{label}">{bars}</svg>'
