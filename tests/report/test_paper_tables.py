"""The paper's numbers and the mapping from its rows to our runs."""

import csv
from pathlib import Path

import pytest

from components.scoring.paper_tables import ABSENT, CAPTIONS, LABELS, label, paper_tables

REFERENCE = Path(__file__).parents[3] / "shared/paper/tables.csv"

FILLED_BY = {
    ("I", 1): "dbdf",
    ("I", 2): "lbp",
    ("I", 3): "hifst",
    ("I", 11): "dffnet",
    ("I", 12): "rdffnet",
    ("I", 13): "d_dffnet",
    ("II", 4): "d_dffnet_dut",
    ("III", 2): "d_dffnet_cuhk2_dut",
    ("IV", 1): "pdnet",
    ("IV", 2): "d_pdnet",
    ("IV", 3): "dffnet_bce",
    ("IV", 4): "d_dffnet_bce_bce",
    ("IV", 5): "d_dffnet_bce_el",
    ("IV", 6): "dffnet",
    ("IV", 7): "d_dffnet",
    ("V", 1): "d_dffnet_vgg16",
    ("V", 2): "d_dffnet",
    ("VI", 1): "dffnet_without_dffm",
    ("VI", 2): "d_dffnet_without_dffm",
    ("VI", 3): "dffnet",
    ("VI", 4): "d_dffnet",
}


def rows():
    return {(row.table, row.number): row for table in paper_tables() for row in table.rows}


def test_every_row_of_ours_has_its_run():
    ours = {place: row.run for place, row in rows().items() if row.kind in ("model", "baseline")}
    assert ours == FILLED_BY


def test_every_row_can_be_filled_or_says_why_not():
    for row in rows().values():
        assert row.kind in ABSENT
        assert row.run


def test_shape_of_the_tables():
    tables = {table.number: table for table in paper_tables()}
    assert list(tables) == list(CAPTIONS)
    assert {number: len(table.rows) for number, table in tables.items()} == dict(
        zip(CAPTIONS, (13, 4, 2, 7, 2, 4), strict=True)
    )
    assert {number: len(table.columns) for number, table in tables.items()} == dict(
        zip(CAPTIONS, (15, 15, 6, 12, 15, 12), strict=True)
    )
    assert tables["III"].columns[:3] == (("CUHK-TE-2", "MAE"), ("CUHK-TE-2", "IoU"), ("DUT-TE", "MAE"))
    assert all(tuple(row.values) == table.columns for table in tables.values() for row in table.rows)


def test_numbers_as_printed():
    table = rows()
    assert table["I", 13].values["CUHK-TE-1", "MAE"] == 0.036
    assert table["III", 2].values["CTCUG", "IoU"] == 0.883
    assert table["II", 3].values["CUHK-TE-1", "F_beta"] is None  # LOCAL: a dash


def test_same_rows_have_the_same_numbers():
    """Tables IV, V and VI repeat rows of Table I."""
    table = rows()
    first = table["I", 13].values
    for place in (("IV", 7), ("V", 2), ("VI", 4)):
        assert table[place].values == {key: first[key] for key in table[place].values}


@pytest.mark.skipif(not REFERENCE.is_file(), reason="../shared is not there")
def test_equal_to_the_reference():
    with REFERENCE.open(newline="", encoding="utf-8") as file:
        facts = ("method", "stage1_loss", "stage2_loss", "train", "test", "metric")
        reference = {
            (line["table"], int(line["row"]), *(line[name] for name in facts)): line["value"]
            for line in csv.DictReader(file)
        }
    reference = {place: float(text) if text else None for place, text in reference.items()}
    ours = {
        (row.table, row.number, row.method, row.stage1_loss, row.stage2_loss, row.train, *key): value
        for row in rows().values()
        for key, value in row.values.items()
    }
    assert ours == reference


def test_labels_are_distinct():
    assert len(set(LABELS.values())) == len(LABELS)
    assert label("my_method") == "my_method"
