"""Charts: where a value lands, ticks, colours, and which columns of a history are drawn."""

import re

import numpy as np
import pytest

from components.report.curves import fig7_bars, precision_recall, styles, training_figures
from components.report.records import RunRecord
from components.report.svg import Axis, Line, interval, line_chart, padded, path, tick_text, ticks


def points(svg, run):
    data = re.search(rf'data-run="{run}" d="([^"]*)"', svg)[1]
    return [tuple(map(float, pair.split())) for pair in re.findall(r"[ML]([\d.]+ [\d.]+)", data)]


def test_a_path_lands_on_its_axes():
    line = Line("r", "R", "s0 solid", np.array([0.0, 0.5, 1.0]), np.array([0.0, 1.0, 0.5]))
    svg = path(line, Axis(0, 1, 40, 140), Axis(0, 1, 200, 100))
    assert 'd="M40.0 200.0L90.0 100.0L140.0 150.0"' in svg


def test_a_path_breaks_at_a_missing_value_and_a_single_point_is_a_dot():
    x = np.array([0.0, 0.5, 1.0])
    broken = Line("r", "R", "", x, np.array([0.0, np.nan, 1.0]))
    axes = Axis(0, 1, 0, 100), Axis(0, 1, 100, 0)
    assert 'd="M0.0 100.0M100.0 0.0"' in path(broken, *axes)
    assert 'd="M50.0 50.0h0.01"' in path(Line("r", "R", "", x[1:2], np.array([0.5])), *axes)


def test_names_are_escaped():
    line = Line('a"b', "<b>", "", np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    svg = line_chart([line], described="x & y", x_label="<x>")
    assert "<b>" not in svg
    assert "&lt;b&gt;" in svg
    assert 'aria-label="x &amp; y"' in svg


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (1, 75, [20, 40, 60]), (0.7, 1, [0.7, 0.8, 0.9, 1.0]), (0, 0, None)],
)
def test_ticks(low, high, expected):
    if expected is None:
        low, high = padded(np.array([3.0, 3.0]))
        assert low < 3 < high
    else:
        assert ticks(low, high) == pytest.approx(expected)


def test_tick_text():
    assert [tick_text(value) for value in (0.0, 0.30000000000000004, 0.0001, 0.00025, 20.0, -0.5)] == [
        "0",
        "0.3",
        "1e−4",
        "2.5e−4",
        "20",
        "−0.5",
    ]


def test_interval_is_symmetric_about_zero():
    svg = interval(0.0, -0.5, 1.0, 1.0, "unclear")
    assert 'x1="47.0" x2="176.0"' in svg
    assert 'cx="90.0"' in svg


def test_a_student_has_its_teachers_colour():
    runs = [RunRecord("hifst"), RunRecord("dffnet"), RunRecord("d_dffnet", card={"teacher": "dffnet"})]
    assert styles(runs) == {"hifst": "s0 solid", "dffnet": "s1 dashed", "d_dffnet": "s1 solid"}


def test_precision_over_recall():
    """Recall runs along x from 46 to 350 pixels, precision up from the lowest tenth (0.5) to 1 at 12 pixels."""
    curve = np.array([[1.0, 0.5], [0.5, 1.0], [0.0, 1.0]])
    figures = precision_recall([RunRecord("dffnet", curves={"EBD": curve})], ["CTCUG", "EBD"])
    assert [figure.title for figure in figures] == ["EBD"]
    assert points(figures[0].svg, "dffnet") == [(350.0, 232.0), (198.0, 12.0), (46.0, 12.0)]


def test_training_figures_by_stage_and_column():
    first = RunRecord(
        "dffnet", history={"epoch": np.array([1.0, 2.0]), "loss": np.array([2.0, 1.0])}, card={"stage": 1}
    )
    history = {name: np.array([1.0, 2.0]) for name in ("epoch", "loss", "distill_weight", "learning_rate", "seconds")}
    second = RunRecord("d_dffnet", history=history, card={"stage": "distill_stage2"})
    figures = training_figures([first, second, RunRecord("hifst")])
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
    (figure,) = fig7_bars([scored, other], ["CTCUG", "EBD"])
    places = re.findall(r'data-run="(\w+)" x="[\d.]+" y="([\d.]+)" width="[\d.]+" height="([\d.]+)"', figure.svg)
    assert places == [("dffnet", "177.0", "55.0"), ("dffnet", "122.0", "110.0"), ("dffnet", "67.0", "165.0")]


def test_a_bar_without_a_value_is_not_drawn():
    (figure,) = fig7_bars([RunRecord("dffnet", curves={"EBD": np.ones((256, 2))})], ["EBD"])
    assert figure.svg.count("<rect") == 2
