"""Charts: where a value lands, axes, colours, and which columns of a history are drawn."""

import re

import matplotlib as mpl
import numpy as np
import pytest

from components.report.charts import Drawn, interval, line_chart
from components.report.curves import fig7_bars, precision_recall, styled, training_figures
from components.report.paired import Difference
from components.report.records import RunRecord


def points(svg, run):
    data = re.search(rf'<path d="([^"]*)" class="[^"]*" data-run="{run}"', svg)[1]
    return [tuple(map(float, pair)) for pair in re.findall(r"[ML] ([\d.]+) ([\d.]+)", data)]


def drawn(*values, name="R"):
    return Drawn(RunRecord("r"), name, "s0 solid"), np.arange(len(values), dtype=float), np.array(values)


def test_a_line_breaks_at_a_missing_value_and_a_single_point_is_a_dot():
    """The plot reaches from 46 to 350 and from 232 up to 12 pixels."""
    svg = line_chart([drawn(0.0, 1.0, np.nan, 0.5, 0.0)], described="", x_label="", y_range=(0, 1))
    assert 'd="M 46 232 L 122 12 M 274 122 L 350 232" class="line s0 solid"' in svg
    svg = line_chart([drawn(0.5)], described="", x_label="", x_range=(-1, 1), y_range=(0, 1))
    assert 'd="M 198 122 h 0.1"' in svg


@pytest.mark.parametrize("values", [(np.nan, np.nan), (np.inf, 1.0), (5e-324, 1e-320), (-1e300, 1e300)])
def test_any_values_make_a_chart(values):
    svg = line_chart([drawn(0.0, 1.0), drawn(*values)], described="", x_label="")
    assert svg.count('class="line s0 solid" data-run="r"><title>R</title></path>') == 2


def test_a_label_is_text_whatever_it_holds():
    assert ">MAE of $a_b$ &amp; $</text>" in line_chart([drawn(0.0, 1.0)], described="", x_label="MAE of $a_b$ & $")


def test_names_are_escaped():
    line = (Drawn(RunRecord('a"b'), "<b>", ""), np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    svg = line_chart([line], described="x & y", x_label="<x>")
    assert "<b>" not in svg
    assert "<title>&lt;b&gt;</title>" in svg
    assert 'data-run="a&quot;b"' in svg
    assert 'aria-label="x &amp; y"' in svg


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((0.03, 0.97), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        ((0.0, 0.0001), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0", "1e−4"]),
        ((-0.5, 0.5), ["−0.50", "−0.25", "0.00", "0.25", "0.50"]),
    ],
)
def test_an_axis_reaches_over_whole_ticks(values, expected):
    svg = line_chart([drawn(*values)], described="", x_label="", x_range=(0, 1))
    texts = re.findall(r"<text [^>]*>([^<]+)</text>", svg)
    assert texts[texts.index("1.0") + 1 :] == expected


def test_a_flat_line_is_drawn_inside_its_axis():
    svg = line_chart([drawn(3.0, 3.0)], described="", x_label="")
    assert {12 < y < 232 for _, y in points(svg, "r")} == {True}


def test_charts_are_the_same_whatever_matplotlib_was_told(monkeypatch):
    first = line_chart([drawn(0.0, 1.0)], described="", x_label="x")
    monkeypatch.setitem(mpl.rcParams, "xtick.labelsize", 30)
    assert line_chart([drawn(0.0, 1.0)], described="", x_label="x") == first
    assert mpl.rcParams["xtick.labelsize"] == 30


def test_interval_is_symmetric_about_zero():
    svg = interval(Difference(3, 0.0, -0.5, 1.0, 1, 2), 1.0)
    assert 'x1="47.0" x2="176.0"' in svg
    assert 'cx="90.0"' in svg


def test_a_student_has_its_teachers_colour():
    runs = [RunRecord("hifst"), RunRecord("dffnet"), RunRecord("d_dffnet", card={"teacher": "dffnet"})]
    assert [each.classes for each in styled(runs)] == ["s0 solid", "s1 dashed", "s1 solid"]


def test_precision_over_recall():
    """Recall runs along x from 46 to 350 pixels, precision up from the lowest tenth (0.5) to 1 at 12 pixels."""
    curve = np.array([[1.0, 0.5], [0.5, 1.0], [0.0, 1.0]])
    figures = precision_recall(styled([RunRecord("dffnet", curves={"EBD": curve})]), ["CTCUG", "EBD"])
    assert [figure.title for figure in figures] == ["EBD"]
    assert points(figures[0].svg, "dffnet") == [(350.0, 232.0), (198.0, 12.0), (46.0, 12.0)]


def test_training_figures_by_stage_and_column():
    first = RunRecord(
        "dffnet", history={"epoch": np.array([1.0, 2.0]), "loss": np.array([2.0, 1.0])}, card={"stage": 1}
    )
    history = {name: np.array([1.0, 2.0]) for name in ("epoch", "loss", "distill_weight", "learning_rate", "seconds")}
    second = RunRecord("d_dffnet", history=history, card={"stage": "distill_stage2"})
    figures = training_figures(styled([first, second, RunRecord("hifst")]))
    assert {stage: [figure.title for figure in each] for stage, each in figures.items()} == {
        1: ["Loss"],
        2: ["Loss", "Distillation weight β", "Learning rate"],
    }
    assert points(figures[1][0].svg, "dffnet")[0][0] == 46.0


def test_bars_are_precision_and_recall_at_a_half_and_f_beta():
    """Full height is 220 pixels: 1 at 12, 0 at 232."""
    curve = np.zeros((256, 2))
    curve[128] = [0.5, 0.25]  # recall, precision where 255 - map >= 128
    scored = RunRecord("dffnet", curves={"EBD": curve}, summary={"EBD": {"f_beta": 0.75}})
    other = RunRecord("x", curves={"EBD": curve[:3]}, summary={"EBD": {"f_beta": 0.75}})
    (figure,) = fig7_bars(styled([scored, other]), ["CTCUG", "EBD"])
    bars = re.findall(r'd="([^"]*z)" class="column s0 solid"', figure.svg)
    tops = [min(float(y) for y in re.findall(r"[ML] [\d.]+ ([\d.]+)", bar)) for bar in bars]
    assert tops == [177, 122, 67]
    assert re.findall(r"<title>(.*?)</title>", figure.svg) == ["DFFNet: 0.250", "DFFNet: 0.500", "DFFNet: 0.750"]


def test_a_bar_without_a_value_is_not_drawn():
    (figure,) = fig7_bars(styled([RunRecord("dffnet", curves={"EBD": np.ones((256, 2))})]), ["EBD"])
    assert figure.svg.count("column") == 2
