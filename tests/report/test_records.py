"""Reading what the stages left of a run."""

import numpy as np
import pytest

from components.common.availability import Gap, mark
from components.common.errors import InputError
from components.report.records import RunRecord, read_published_maps, read_run, scored_test_sets
from tests.report.synthetic import write_csv, write_method


def test_curves_are_recall_then_precision(tmp_path):
    rows = [["EBD", 0, 0.25, 1.0], ["EBD", 1, 0.5, 0.75], ["CTCUG", 0, 0.125, 1.0]]
    write_csv(tmp_path / "a/curves.csv", ["test_set", "threshold", "precision", "recall"], rows)
    curves = read_run("a", tmp_path, tmp_path).curves
    assert np.array_equal(curves["EBD"], [[1.0, 0.25], [0.75, 0.5]])
    assert np.array_equal(curves["CTCUG"], [[1.0, 0.125]])


def test_history_keeps_columns_of_numbers_and_gaps(tmp_path):
    write_csv(tmp_path / "a/history.csv", ["epoch", "loss", "note"], [[1, 0.5, "warm"], [2, "", ""]])
    history = read_run("a", tmp_path, tmp_path).history
    assert list(history) == ["epoch", "loss"]
    assert np.array_equal(history["loss"], [0.5, np.nan], equal_nan=True)


def test_a_run_without_files_is_empty(tmp_path):
    assert read_run("a", tmp_path, tmp_path) == RunRecord("a")


def test_a_damaged_summary_is_named(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/summary.json").write_text("{")
    with pytest.raises(InputError, match=r"summary\.json: not valid JSON"):
        read_run("a", tmp_path, tmp_path)


def test_test_sets_come_in_the_papers_order():
    records = [RunRecord("a", summary={"ZOO": {}, "EBD": {}}), RunRecord("b", summary={"CTCUG": {}, "EBD": {}})]
    assert scored_test_sets(records) == ["CTCUG", "EBD", "ZOO"]


def test_a_run_that_was_not_trained_here_has_no_history(tmp_path):
    write_csv(tmp_path / "a/history.csv", ["epoch"], [])
    assert read_run("a", tmp_path, tmp_path).history == {}


def test_the_reason_of_a_run_is_that_of_its_weights_or_of_its_scores(tmp_path):
    first, second = Gap("weights", "gone", "find them"), Gap("photographs", "gone too", "find them")
    mark(tmp_path / "scores/a", second)
    assert read_run("a", tmp_path / "scores", tmp_path / "models") == RunRecord("a", gap=second)
    mark(tmp_path / "models/a", first)
    assert read_run("a", tmp_path / "scores", tmp_path / "models").gap == first


def test_published_maps_say_what_is_scored_and_what_is_not(tmp_path):
    gap = Gap("X on EBD", "1 map (3) missing", "add it")
    scores = {"DUT-TE": (0.1, 0.9, 0.8, 500)}
    write_method(tmp_path, "x", "cenet", scores, gaps={"EBD": gap}, resized=4, surplus=2)
    write_method(tmp_path, "empty", "none", {})
    method, empty = read_published_maps(tmp_path / "scores/external")
    assert (method.record.run, method.record.title, method.row) == ("external/x", "X", "cenet")
    assert method.record.value("DUT-TE", "MAE") == 0.1
    assert (method.gaps, method.record.gap) == ({"EBD": gap}, None)
    assert (method.resized, method.surplus) == ({"DUT-TE": 4}, {"DUT-TE": 2})
    assert empty.record.gap.reason == "data/external/empty has no folder of maps"


def test_no_published_maps_are_none(tmp_path):
    assert read_published_maps(tmp_path) == []


def test_scores_of_other_seeds_are_read_beside_the_runs_own(tmp_path):
    for folder, mae in (("a", 0.3), ("seeds/1/a", 0.1), ("seeds/2/a", 0.2), ("seeds/1/b", 0.9)):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "summary.json").write_text(f'{{"EBD": {{"mae": {mae}}}}}')
    found = read_run("a", tmp_path, tmp_path)
    assert found.values("EBD", "MAE") == [0.3, 0.1, 0.2]
    assert found.value("EBD", "MAE") == pytest.approx(0.2)
    assert found.spread("EBD", "MAE") == (pytest.approx(0.1), 3)
    assert read_run("c", tmp_path, tmp_path).value("EBD", "MAE") is None
