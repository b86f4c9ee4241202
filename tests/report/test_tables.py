"""Scores beside the paper's: whose, differences, tolerance, what may be compared, best, reasons."""

from dataclasses import replace

import pytest

from components.common.availability import Gap
from components.report.records import RunRecord
from components.report.tables import Filling, Ground, best_of, compare, count_within, fill, runs_table
from components.scoring.paper_tables import paper_tables

MAE, F_BETA = ("CUHK-TE-1", "MAE"), ("CUHK-TE-1", "F_beta")
TABLE_I = paper_tables()[0]
PAPER = Ground(settings=True)


def record(run, mae, *, f_beta=0.9, iou=0.8, test_set="CUHK-TE-1", images=100):
    scores = {"mae": mae, "f_beta": f_beta, "f_beta_published": f_beta, "iou": iou, "images": images}
    return RunRecord(run, summary={test_set: scores})


def ours(*records):
    return [Filling("ours", each.run, each) for each in records]


def by_run(table):
    return {row.paper.run: row for row in table.rows}


def first_cell(fillings, run, ground=PAPER):
    """The first cell of the last line of a row of Table I."""
    return by_run(fill(TABLE_I, fillings, ground))[run].lines[-1].cells[0]


@pytest.mark.parametrize(
    ("key", "paper", "value", "difference", "within"),
    [
        (MAE, 0.039, 0.0424, 0.003, True),  # printed as 0.042
        (MAE, 0.039, 0.0426, 0.004, False),
        (MAE, 0.039, 0.036, -0.003, True),
        (F_BETA, 0.971, 0.966, -0.005, True),
        (F_BETA, 0.971, 0.977, 0.006, False),
    ],
)
def test_tolerance_is_inclusive_at_three_decimals(key, paper, value, difference, within):
    cell = compare(key, paper, value, None, comparable=True)
    assert (cell.difference, cell.within) == (difference, within)


def test_nothing_is_judged_where_it_cannot_be_compared():
    assert compare(MAE, 0.039, 0.039, None, comparable=False).within is None
    assert compare(MAE, None, 0.039, None, comparable=True).difference is None
    assert compare(MAE, 0.039, None, None, comparable=True).within is None


@pytest.mark.parametrize(
    ("source", "ground", "images", "within", "count"),
    [
        ("ours", PAPER, 100, True, None),
        ("ours", PAPER, 99, None, (99, 100)),
        ("ours", Ground(settings=False), 100, None, None),
        ("ours", Ground(settings=True, rendered=frozenset({"CUHK-TE-1"})), 100, None, None),
        ("ours", Ground(settings=True, rendered=frozenset({"CUHK-TE-1"})), 24, None, None),
        ("authors_weights", PAPER, 100, True, None),
        ("authors_weights", Ground(settings=False), 100, None, None),
        ("published_maps", PAPER, 100, True, None),
        ("published_maps", Ground(settings=False), 100, True, None),  # no setting of ours went into them
        ("published_maps", Ground(settings=False), 7, None, (7, 100)),
        ("published_maps", Ground(settings=False, rendered=frozenset({"CUHK-TE-1"})), 100, None, None),
    ],
)
def test_only_all_of_the_same_photographs_are_judged(source, ground, images, within, count):
    cell = first_cell([Filling(source, "dffnet", record("x", 0.039, images=images))], "dffnet", ground)
    assert (cell.difference, cell.within, cell.count) == (0.0, within, count)


@pytest.mark.parametrize(
    ("test_set", "images"), [("CUHK-TE-1", 100), ("DUT-TE", 500), ("CTCUG", 150), ("EBD", 1605), ("EBD(1305)", 1305)]
)
def test_how_many_photographs_are_all(test_set, images):
    filling = Filling("ours", "dffnet", record("dffnet", 0.1, test_set=test_set, images=images))
    assert PAPER.compares(filling, test_set)
    filling = Filling("ours", "dffnet", record("dffnet", 0.1, test_set=test_set, images=images - 1))
    assert not PAPER.compares(filling, test_set)


def test_a_test_set_that_the_paper_does_not_have_is_never_judged():
    filling = Filling("ours", "dffnet", record("dffnet", 0.1, test_set="MINE"))
    assert not PAPER.compares(filling, "MINE")
    assert not PAPER.compares(filling, "EBD")


def test_a_row_shows_ours_then_the_authors_weights_then_published_maps():
    fillings = [
        Filling("published_maps", "d_dffnet", record("external/theirs", 0.036)),
        Filling("authors_weights", "d_dffnet", record("published_d_dffnet_cuhk1", 0.037)),
        *ours(record("d_dffnet", 0.05), record("dffnet", 0.06)),
        Filling("published_maps", "d_dffnet", record("external/others", 0.03)),
    ]
    lines = by_run(fill(TABLE_I, fillings, PAPER))["d_dffnet"].lines
    assert [(line.source, line.run, line.cells[0].difference, line.cells[0].within) for line in lines] == [
        ("ours", "d_dffnet", 0.014, False),
        ("authors_weights", "published_d_dffnet_cuhk1", 0.001, True),
        ("published_maps", "external/theirs", 0.0, True),
        ("published_maps", "external/others", -0.006, False),
    ]
    assert [line.cells[0].best for line in lines] == [True, False, False, False]  # of ours, which are two


def test_tables_that_ablate_show_ours_alone():
    fillings = [
        *ours(record("d_dffnet", 0.05)),
        Filling("authors_weights", "d_dffnet", record("published_d_dffnet_cuhk1", 0.037)),
        Filling("published_maps", "d_dffnet", record("external/theirs", 0.036)),
    ]
    shown = {table.number: by_run(fill(table, fillings, PAPER)).get("d_dffnet") for table in paper_tables()}
    assert {number: len(row.lines) for number, row in shown.items() if row} == {"I": 3, "IV": 1, "V": 1, "VI": 1}


def test_best_is_lowest_mae_and_highest_else_and_needs_a_rival():
    assert best_of([0.1002, 0.0998, None], "MAE") == 0.1
    assert best_of([0.3, 0.5], "IoU") == 0.5
    assert best_of([0.3, None], "IoU") is None


def test_best_marks_every_run_that_shows_it():
    fillings = ours(record("dffnet", 0.0402), record("d_dffnet", 0.0398), record("hifst", 0.2))
    assert [first_cell(fillings, run).best for run in ("dffnet", "d_dffnet", "hifst")] == [True, True, False]


def test_why_a_row_is_not_run():
    gap = Gap("EBD", "its disk is full", "buy another")
    maps = [Filling("published_maps", "rdffnet", record("external/x", 0.04))]
    fillings = [*ours(record("dffnet", 0.04), RunRecord("d_dffnet"), RunRecord("hifst", gap=gap)), *maps]
    fillings.append(Filling("published_maps", "dd", RunRecord("external/dd", gap=gap)))
    absent = {run: row.absent for run, row in by_run(fill(TABLE_I, fillings, PAPER)).items()}
    assert absent["dffnet"] == ""
    assert absent["d_dffnet"] == "in this parameter file, but not scored yet"
    assert absent["hifst"] == absent["dd"] == "its disk is full"
    assert absent["rdffnet"] == "not in this parameter file"  # ours is not run, whatever maps there are
    assert absent["dbdf"] == "not in this parameter file"
    assert absent["cenet"] == "needs maps in data/external/cenet (data/external/README.md)"


def test_a_published_methods_row_is_filled_by_its_maps():
    row = by_run(fill(TABLE_I, [Filling("published_maps", "cenet", record("external/x", 0.06))], PAPER))["cenet"]
    assert row.absent == ""
    assert row.lines[0].cells[0].difference == -0.001
    assert row.height == 3


def test_a_line_of_a_part_of_the_photographs_takes_a_line_more():
    row = by_run(fill(TABLE_I, ours(record("dffnet", 0.06, images=7)), PAPER))["dffnet"]
    assert row.height == 4
    assert row.lines[0].counts["CUHK-TE-1"] == (7, 100)
    assert row.lines[0].counts["EBD"] is None
    assert row.lines[0].is_partial(["CUHK-TE-1", "EBD"])
    assert not row.lines[0].is_partial(["EBD"])


def test_each_number_is_counted_once_and_by_source():
    """D-DFFNet fills rows of Tables I, IV, V and VI with the same numbers."""
    fillings = ours(record("d_dffnet", 0.036, f_beta=0.973, iou=0.9))
    fillings.append(Filling("published_maps", "cenet", record("external/x", 0.061, f_beta=0.945, iou=0.932)))
    tables = [fill(table, fillings, PAPER) for table in paper_tables()]
    assert count_within(tables, "ours") == (2, 3)
    assert count_within(tables, "published_maps") == (3, 3)
    assert count_within(tables, "authors_weights") == (0, 0)


def test_everything_that_is_scored_is_shown_with_or_without_a_row_in_the_paper():
    fillings = ours(record("dffnet_dut", 0.1), record("mine", 0.2, test_set="MINE"), RunRecord("empty"))
    fillings.append(Filling("published_maps", "none", record("external/x", 0.3, test_set="MINE")))
    table = runs_table(fillings, ["MINE"], PAPER)
    lines = [row.lines[0] for row in table.rows]
    assert [(line.run, line.cells[0].value, line.cells[0].best) for line in lines] == [
        ("dffnet_dut", None, False),
        ("mine", 0.2, True),
        ("external/x", 0.3, False),
    ]
    assert table.groups == [("MINE", 4)]


def test_several_seeds_are_their_mean_and_spread_and_the_mean_is_judged():
    seeds = ({"CUHK-TE-1": {"mae": 0.038, "f_beta_published": 0.97}}, {"CUHK-TE-1": {"mae": 0.042}})
    filled = by_run(fill(TABLE_I, ours(replace(record("dffnet", 0.046, f_beta=0.96), seeds=seeds)), PAPER))["dffnet"]
    mae, f_beta, iou = filled.lines[0].cells[:3]
    assert (mae.value, mae.difference, mae.within) == (pytest.approx(0.042), 0.003, True)
    assert mae.spread == (pytest.approx(0.004), 3)
    assert f_beta.spread == (pytest.approx(0.01 / 2**0.5), 2)
    assert iou.spread is None  # of one seed alone
    assert (filled.lines[0].seeds, filled.height) == (3, 4)


@pytest.mark.parametrize(("rule", "network"), [("published_code", 0.97), ("paper", 0.96)])
def test_f_beta_of_networks_follows_the_rule_and_that_of_other_methods_is_taken_at_a_half(rule, network):
    scores = {"CUHK-TE-1": {"mae": 0.1, "f_beta": 0.96, "f_beta_published": 0.97}}
    fillings = ours(*(RunRecord(run, summary=scores) for run in ("dffnet", "hifst")))
    fillings.append(Filling("published_maps", "d_dffnet", RunRecord("external/x", summary=scores)))
    filled = by_run(fill(TABLE_I, fillings, Ground(settings=True, f_beta=rule)))
    found = {run: filled[run].lines[0].cells[1].value for run in ("dffnet", "hifst", "d_dffnet")}
    assert found == {"dffnet": network, "hifst": 0.96, "d_dffnet": network}
    (every,) = runs_table(fillings[:1], ["CUHK-TE-1"], Ground(settings=True, f_beta=rule)).rows
    assert [cell.value for cell in every.lines[0].cells] == [0.1, 0.96, 0.97, None]
