"""The forest plot: every claim's gain with its interval, the paper's as a cross, the margin as a tick."""

import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from components.study.verdicts import FEWEST, Answer

COLOURS = {"holds": "#1a7f37", "does not hold": "#cf222e", "cannot be told": "#57606a", "not run": "#57606a"}
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "dbdflow",
    "svg.fonttype": "none",
    "font.size": 9.0,
    "font.family": "DejaVu Sans",
}
WIDTH, LINE = 9.6, 0.36
"""Inches: of the plot, and of a claim's height."""
AXES = {
    "maps": "gain in MAE; right: the second row is better; x the paper's gain; | what it is held against",
    "texture": "the gain in MAE in homogeneous pixels in focus, less that in textured ones",
}
"""What is measured, and what stands below its axis: the second is of another size than the first."""


def forest(answers: Sequence[Answer]) -> bytes:
    """SVG; the same answers give the same bytes."""
    parts = {of: found for of in AXES if (found := [each for each in answers if each.claim.of == of])}
    heights = [len(found) for found in parts.values()]
    with mpl.rc_context(STYLE):
        figure = Figure((WIDTH, LINE * sum(heights) + 0.75 * len(parts)), layout="constrained")
        axes = figure.subplots(len(parts), squeeze=False, height_ratios=heights)[:, 0]
        for each, (of, found) in zip(axes, parts.items(), strict=True):
            draw(each, found, AXES[of])
        file = io.BytesIO()
        figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()


def draw(axes: Axes, answers: Sequence[Answer], label: str) -> None:
    """Claims that share an axis: what they say at the left, their verdicts at the right."""
    axes.axvline(0, color="#57606a", linewidth=0.8)
    for place, answer in enumerate(answers):
        draw_line(axes, place, answer)
        colour = COLOURS[answer.word]
        axes.text(1.02, place, answer.word, color=colour, va="center", transform=axes.get_yaxis_transform())
    axes.set_yticks(range(len(answers)), [f"{each.claim.name}  {each.claim.says}" for each in answers])
    axes.tick_params(axis="y", length=0)
    axes.locator_params(axis="x", nbins=6)
    axes.set_ylim(len(answers) - 0.5, -0.5)
    axes.set_xlabel(label)
    axes.spines[["top", "right", "left"]].set_visible(False)


def draw_line(axes: Axes, place: int, answer: Answer) -> None:
    """A claim's line."""
    colour = COLOURS[answer.word]
    if answer.gain is not None:
        sure = len(answer.seeds) >= FEWEST  # the interval of two seeds would be all that is to be seen
        if sure:
            axes.plot(answer.gain.interval, [place, place], color=colour, linewidth=1.6, solid_capstyle="butt")
        axes.plot([answer.gain.mean], [place], "o", color=colour, markersize=5, fillstyle="full" if sure else "none")
        bounds = [answer.bound, -answer.bound] if answer.claim.test == "within_seed" else [answer.bound]
        axes.plot(bounds, [place] * len(bounds), "|", color="#0969da", markersize=11)
    if answer.claim.paper is not None:
        axes.plot([answer.claim.paper], [place], "x", color="black", markersize=7, markeredgewidth=1.8)
