"""What the page leads with: cells of a synthetic summary, words that an interval allows, order of pictures."""

import csv
import io
import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from components.datasets.prepared import PreparedSet
from components.report.charts import scatter, span
from components.report.depth_sheet import copy_sheet, read_depth_teacher
from components.report.encoders import encoder_of, row_of, training_of
from components.report.lead import Lead
from components.report.measured import measured, real_test_sets
from components.report.measured_text import measured_csv, measured_markdown
from components.report.records import RunRecord
from components.report.sheets import Photographs
from components.report.strips import compared, most_different, worst_and_best
from components.report.tables import Filling, Ground, Line
from components.report.tables_text import whose
from components.scoring.intervals import INTERVAL
from tests.report import synthetic

SET = "CUHK-TE-1"
CARD = {"backbone": "mobilenetv2_100", "stage": 1, "loss": "bce&el", "params": {"training": {"epochs": 75}}}
BEST = CARD | {"loss": "bce&iou"}


def record(run, errors, card=None, **more):
    """A run with these MAEs on photographs p0, p1, ... and an interval of 0.01 to both sides."""
    mae = float(np.mean(errors))
    scores = {"mae": mae, "f_beta": 0.9, "f_beta_published": 0.95, "iou": 0.8}
    ends = {key: [value - 0.01, value + 0.01] for key, value in scores.items()}
    summary = {SET: scores | {"images": len(errors), INTERVAL: ends}}
    per_image = {SET: pd.DataFrame({"mae": errors}, index=[f"p{i}" for i in range(len(errors))])}
    return RunRecord(run, summary=summary, per_image=per_image, card=card or {}, **more)


def found(*records, source="ours"):
    return measured(SET, [Filling(source, row_of(each), each) for each in records])


LEVEL = [0.1] * 8


@pytest.mark.parametrize(
    ("errors", "word"),
    [
        ([0.08] * 8, "better"),
        ([0.12] * 8, "worse"),
        ([0.05, 0.15, 0.04, 0.16, 0.05, 0.15, 0.05, 0.14], "not distinguishable"),  # a lower mean, but not always
        ([0.08] * 5, "too few photographs"),
    ],
)
def test_better_only_where_the_interval_leaves_zero_out(errors, word):
    method = found(record("dffnet", LEVEL, CARD), record("d_dffnet", errors, CARD)).groups[0].methods[1]
    assert method.verdict == word
    assert (word in ("better", "worse")) == (method.against.low * method.against.high > 0 and len(errors) > 5)


def test_cells_of_the_leading_table():
    groups = found(
        record("all_blurred", [0.5] * 8),
        record("dffnet", LEVEL, CARD),
        record("d_dffnet", [0.08] * 8, CARD | {"stage": 2, "teachers": "online"}),
        record("dffnet_best", [0.06] * 8, BEST),
        record("d_dffnet_best", [0.04] * 8, BEST),
    ).groups
    assert [(each.key, each.reference) for each in groups] == [
        ("best", "dffnet_best"),
        ("paper", "dffnet"),
        ("functions", "dffnet"),
    ]
    teacher, student = groups[1].methods
    assert (teacher.against, teacher.verdict) == (None, "")
    assert student.against.mean == pytest.approx(-0.02)
    assert [each.value for each in student.scores] == pytest.approx([0.08, 0.9, 0.95, 0.8])
    assert student.scores[0].interval == pytest.approx((0.07, 0.09))
    assert (student.encoder, student.papers_encoder) == ("MobileNetV2", "ResNeSt101")
    assert student.training == "two stages · bce&el · 75 epochs · teachers online"
    ours, constant = groups[0].methods[1], groups[2].methods[0]
    assert ours.printed == student.printed == (0.036, 0.973, 0.951)
    assert (constant.encoder, constant.training, constant.printed) == ("", "", (None, None, None))
    assert [each.scores[0].best for group in groups for each in group.methods] == [False, True, False, False, False]


def test_the_network_of_the_lowest_mae_is_one_of_ours():
    here = found(record("dbdf", [0.01] * 8), record("dffnet", LEVEL, CARD), record("d_dffnet", [0.09] * 8, CARD))
    assert here.lowest.run == "d_dffnet"
    assert found(record("dbdf", LEVEL)).lowest is None


def test_seeds_stand_beside_the_runs_own_score():
    seeds = tuple({SET: {"mae": value}} for value in (0.12, 0.14))
    score = found(record("dffnet", LEVEL, CARD, seeds=seeds)).groups[0].methods[0].scores[0]
    assert (score.value, score.mean) == pytest.approx((0.1, 0.12))
    assert score.spread == pytest.approx((0.02, 3))


def test_rendered_and_foreign_test_sets_do_not_lead():
    ground = Ground(False, frozenset({"DUT-TE"}))
    assert real_test_sets([SET, "DUT-TE", "mine"], ground) == [SET]


def test_a_run_of_our_recipe_stands_beside_the_papers_row_and_says_so():
    ours = record("d_dffnet_best", LEVEL, BEST)
    assert (row_of(ours), row_of(record("mine_best", LEVEL, CARD))) == ("d_dffnet", "mine_best")
    assert whose(Line("ours", ours.run, "", ())) == "ours, recipe best"
    assert whose(Line("ours", "d_dffnet", "", ())) == "ours"
    assert (encoder_of({"backbone": "new_net"}), encoder_of({}), training_of({})) == ("new_net", "", "")


def test_markdown_and_csv_say_the_same():
    here = found(record("dffnet", LEVEL, CARD), record("d_dffnet", [0.08] * 8, CARD))
    lead = Lead(here, (), (), "", None, [])
    text, lines = measured_markdown([lead]), list(csv.DictReader(io.StringIO(measured_csv([lead]))))
    assert "## CUHK-TE-1, measured here: 8 of its 100 photographs" in text
    row = next(line for line in text.splitlines() if "`d_dffnet`" in line)
    assert "| MobileNetV2 | **0.080** [0.070, 0.090] |" in row
    assert "| −0.0200 [−0.0200, −0.0200] better | 0.036 / 0.973 / 0.951 (ResNeSt101) |" in row
    widths = {line.count(" |") for line in text.splitlines() if line.startswith("|")}
    assert widths == {8}
    cells = next(line for line in lines if (line["run"], line["metric"]) == ("d_dffnet", "MAE"))
    assert (cells["paper"], cells["reference"], cells["verdict"]) == ("0.036", "dffnet", "better")
    assert [line["verdict"] for line in lines if line["metric"] == "IoU"] == ["", ""]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Four flat photographs, in focus: the left quarter of the first, half, three quarters, and all of the last."""
    folder = tmp_path_factory.mktemp("prepared") / "cuhk"
    labels = np.zeros((4, 64, 64), np.uint8)
    for i in range(4):
        labels[i, :, : 16 * (i + 1)] = 1
    images = np.full((4, 64, 64, 3), 120, np.uint8)
    synthetic.write_prepared(
        folder, name="p", images=images, labels=labels, splits=[[SET]] * 4, dof=["shallow"] * 4, found={"set": "cuhk"}
    )
    return Photographs(PreparedSet.load(folder), (0, 1, 2, 3), ("all_blurred", "dffnet", "d_dffnet"))


def by_id(run, errors, card=CARD):
    made = record(run, errors, card)
    return replace(
        made, per_image={SET: pd.DataFrame({"mae": errors}, index=[f"p{i:03d}" for i in range(len(errors))])}
    )


def ids(strips):
    return [each.id for each in strips]


def test_worst_fall_and_best_rise(photographs):
    worst, best = worst_and_best(photographs, by_id("d_dffnet", [0.3, 0.1, 0.4, 0.2]), SET)
    assert (ids(worst), ids(best)) == (["p002", "p000"], ["p001", "p003"])
    label, shown = worst[0].tiles[1:]
    assert (shown.source, shown.place, shown.tiles, shown.mae) == ("gallery/cuhk/2.jpg", 4, 5, 0.4)
    assert (label.place, label.mae, label.shape) == (1, None, 1.0)


def test_fig_12_shows_what_gained_and_what_lost_most(photographs):
    before, after = by_id("dffnet", [0.3, 0.3, 0.3, 0.3]), by_id("d_dffnet", [0.2, 0.1, 0.4, 0.3])
    gained, lost = most_different(photographs, before, after, SET)
    assert (ids(gained), ids(lost)) == (["p001", "p000"], ["p002"])
    assert [tile.name for tile in gained[0].tiles] == ["Photograph", "Label", "DFFNet", "D-DFFNet"]


def test_fig_4_takes_the_flattest_in_focus_and_methods_of_table_one(photographs):
    runs = [by_id("d_dffnet", LEVEL), by_id("all_blurred", LEVEL, {}), by_id("dffnet", LEVEL)]
    strips = compared(photographs, runs, SET)
    assert ids(strips) == ["p002", "p001", "p000"]  # p003 is in focus all over
    assert [tile.name for tile in strips[0].tiles[2:]] == ["D-DFFNet", "DFFNet"]


def test_a_point_lies_where_its_errors_are():
    svg = scatter(
        ["a<b", "c", "d"],
        np.array([0.1, 0.01, 0.05]),
        np.array([0.01, 0.1, 0.05]),
        described="x",
        x_label="",
        y_label="",
    )
    places = re.findall(r'cx="([\d.]+)" cy="([\d.]+)" r="3" class="dot (\w+)"', svg)
    assert [place[2] for place in places] == ["lower", "higher", "unclear"]
    (right, low, _), (left, high, _), (x, y, _) = places
    assert (float(right), float(low), float(left), float(high)) == (322.0, 288.0, 46.0, 12.0)
    share = (np.log10(0.05) + 2) / 1  # of the way from 0.01 to 0.1
    assert (float(x), float(y)) == pytest.approx((46 + 276 * share, 288 - 276 * share), abs=0.06)
    assert "a&lt;b: 0.100 → 0.010" in svg


@pytest.mark.parametrize(
    ("errors", "ticks"),
    [((0.0123, 0.03), (0.01, 0.05)), ((0.0, 0.0012), (0.001, 0.002)), ((0.1, 0.1), (0.05, 0.2)), ((0.6, 2), (0.5, 1))],
)
def test_the_axes_of_points_end_at_the_ticks_around_them(errors, ticks):
    assert span(np.array(errors)) == ticks


def test_the_depth_teacher_and_its_sheet(tmp_path):
    assert read_depth_teacher(tmp_path, []) is None
    card = {"validation_error": 0.4, "validation_rank_correlation": 0.9, "params": CARD | {"epochs": 4}}
    (tmp_path / "card.json").write_text(json.dumps(card))
    (tmp_path / "sheet.png").write_bytes(b"picture")
    teacher = read_depth_teacher(tmp_path, [])
    assert (teacher.encoder, teacher.epochs, teacher.error, teacher.correlation) == ("MobileNetV2", 4, 0.4, 0.9)
    copy_sheet(teacher, tmp_path / "gallery")
    assert (tmp_path / "gallery/depth_teacher.png").read_bytes() == b"picture"
