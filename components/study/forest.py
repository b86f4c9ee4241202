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
WIDTH, LINE = 8.0, 0.42
"""Inches: of the plot, and of a claim's height."""


def forest(answers: Sequence[Answer]) -> bytes:
    """SVG; the same answers give the same bytes."""
    style: dict[Any, Any] = {
        "svg.hashsalt": "dbdflow",
        "svg.fonttype": "none",
        "font.size": 9.0,
        "font.family": "DejaVu Sans",
    }
    with mpl.rc_context(style):
        figure = Figure((WIDTH, LINE * len(answers) + 1.1), layout="constrained")
        axes = figure.add_subplot()
        axes.axvline(0, color="#57606a", linewidth=0.8)
        for place, answer in enumerate(answers):
            draw(axes, place, answer)
        axes.set_yticks(range(len(answers)), [f"{each.claim.name}  {each.word}" for each in answers])
        for label, each in zip(axes.get_yticklabels(), answers, strict=True):
            label.set_color(COLOURS[each.word])
        axes.set_ylim(len(answers) - 0.5, -0.5)
        axes.set_xlabel("gain in MAE (right: as the paper has it); x the paper's gain; | what it is held against")
        axes.spines[["top", "right", "left"]].set_visible(False)
        file = io.BytesIO()
        figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()


def draw(axes: Axes, place: int, answer: Answer) -> None:
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
