"""Ours beside the paper's: differences, tolerance, best, reasons, CSV and Markdown."""

import csv
import io

import pytest

from components.report.paper_tables import paper_tables
from components.report.records import RunRecord
from components.report.tables import (
    as_csv,
    as_markdown,
    best_of,
    compare,
    count_within,
    fill,
    runs_table,
    show,
    show_difference,
)

MAE, F_BETA = ("CUHK-TE-1", "MAE"), ("CUHK-TE-1", "F_beta")
TABLE_I = paper_tables()[0]


def record(run, mae, f_beta=0.9, iou=0.8, test_set="CUHK-TE-1"):
    return RunRecord(run, summary={test_set: {"mae": mae, "f_beta": f_beta, "iou": iou, "images": 4}})


def by_run(table):
    return {row.paper.run: row for row in table.rows}


@pytest.mark.parametrize(
    ("key", "paper", "ours", "difference", "within"),
    [
        (MAE, 0.039, 0.0424, 0.003, True),  # printed as 0.042
        (MAE, 0.039, 0.0426, 0.004, False),
        (MAE, 0.039, 0.036, -0.003, True),
        (F_BETA, 0.971, 0.966, -0.005, True),
        (F_BETA, 0.971, 0.977, 0.006, False),
    ],
)
def test_tolerance_is_inclusive_at_three_decimals(key, paper, ours, difference, within):
    cell = compare(key, paper, ours, None, comparable=True)
    assert (cell.difference, cell.within) == (difference, within)


def test_nothing_is_judged_where_it_cannot_be_compared():
    assert compare(MAE, 0.039, 0.039, None, comparable=False).within is None
    assert compare(MAE, None, 0.039, None, comparable=True).difference is None
    assert compare(MAE, 0.039, None, None, comparable=True).within is None


def test_best_is_lowest_mae_and_highest_else_and_needs_a_rival():
    assert best_of([0.1002, 0.0998, None], "MAE") == 0.1
    assert best_of([0.3, 0.5], "IoU") == 0.5
    assert best_of([0.3, None], "IoU") is None


def test_best_marks_every_run_that_shows_it():
    table = by_run(fill(TABLE_I, [record("dffnet", 0.0402), record("d_dffnet", 0.0398), record("hifst", 0.2)], True))
    assert [table[run].cells[0].best for run in ("dffnet", "d_dffnet", "hifst")] == [True, True, False]


def test_why_a_row_is_not_run():
    table = by_run(fill(TABLE_I, [record("dffnet", 0.04), RunRecord("d_dffnet")], True))
    assert table["dffnet"].absent == ""
    assert table["d_dffnet"].absent == "in this parameter file, but not scored yet"
    assert table["rdffnet"].absent == "not in this parameter file"
    assert table["dbdf"].absent == "not implemented yet"
    assert table["cenet"].absent == "needs its authors’ maps"


def test_a_published_methods_row_is_filled_by_a_run_of_its_name():
    table = by_run(fill(TABLE_I, [record("cenet", 0.06)], True))
    assert table["cenet"].absent == ""
    assert table["cenet"].cells[0].difference == -0.001


def test_each_number_is_counted_once():
    """D-DFFNet fills rows of Tables I, IV, V and VI with the same numbers."""
    tables = [fill(table, [record("d_dffnet", 0.036, f_beta=0.973, iou=0.9)], True) for table in paper_tables()]
    assert count_within(tables) == (2, 3)


def test_every_run_is_shown_with_or_without_a_row_in_the_paper():
    table = runs_table([record("dffnet_dut", 0.1), record("mine", 0.2, test_set="MINE"), RunRecord("empty")], ["MINE"])
    assert [row.paper.run for row in table.rows] == ["dffnet_dut", "mine"]
    assert [row.cells[0].ours for row in table.rows] == [None, 0.2]
    assert table.groups == [("MINE", 3)]


def test_numbers_as_shown():
    assert [show(0.0395), show(None)] == ["0.040", "–"]
    assert [show_difference(value) for value in (0.0124, -0.0005001, -0.0004, None)] == [
        "+0.012",
        "−0.001",
        "0.000",
        "–",
    ]


def test_csv_holds_every_number_once_and_ours_in_full():
    table = fill(TABLE_I, [record("dffnet", 0.04049)], comparable=True)
    lines = list(csv.DictReader(io.StringIO(as_csv([table]))))
    assert len(lines) == 13 * 15
    line = next(each for each in lines if each["run"] == "dffnet" and each["metric"] == "MAE")
    assert (line["paper"], line["ours"], line["difference"], line["within_tolerance"]) == (
        "0.039",
        "0.04049",
        "0.001",
        "True",
    )
    assert {each["not_run"] for each in lines if each["run"] == "dffnet"} == {""}
    assert next(each for each in lines if each["run"] == "btbnet" and each["test_set"] == "EBD")["paper"] == ""


def test_markdown_shows_paper_ours_and_difference():
    table = fill(TABLE_I, [record("dffnet", 0.0404), record("d_dffnet", 0.05)], comparable=True)
    lines = as_markdown([table], "# Head").splitlines()
    row = next(line for line in lines if line.startswith("| DFFNet "))
    assert row.startswith("| DFFNet |  | `dffnet` | 0.039 / **0.040** (+0.001 ✓) | 0.971 / **0.900** (−0.071 ✗) |")
    cells = [line.count("|") for line in lines if line.startswith("|")]
    assert set(cells) == {19}
