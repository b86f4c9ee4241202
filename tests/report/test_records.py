"""Reading what the stages left of a run."""

import numpy as np
import pytest

from components.errors import InputError
from components.report.records import RunRecord, read_run, scored_test_sets
from tests.report.synthetic import write_csv


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
