"""`data/external` as a person leaves it: read as it stands, or refused with the file and the key."""

import re

import pytest

from components.common.errors import InputError
from components.scoring.external_methods import find_methods
from tests.external import data

ROWS = ["hifst", "cenet", "d_dffnet"]


def test_a_method_is_what_its_file_says(tmp_path):
    data.method(tmp_path, test_set="EBD", white="out_of_focus", resize="bilinear")
    data.method(tmp_path, test_set="CTCUG", folder="another", row="none", method="Ours, 2026")
    (tmp_path / "README.md").write_text("not a method")
    (tmp_path / ".cache").mkdir()
    another, mine = find_methods(tmp_path, ROWS)
    assert (mine.id, mine.method, mine.row) == ("mine", "Some method", "cenet")
    assert (mine.white, mine.resize, mine.source) == ("out_of_focus", "bilinear", "its authors' page")
    assert mine.folders == {"EBD": tmp_path / "mine/EBD"}
    assert (another.id, another.method, another.row) == ("another", "Ours, 2026", "none")


def test_folders_come_in_the_papers_order(tmp_path):
    data.method(tmp_path, test_set="CTCUG")
    for name in ("EBD", "CUHK-TE-2", "DUT-TE", "CUHK-TE-1"):
        (tmp_path / "mine" / name).mkdir()
    (method,) = find_methods(tmp_path, ROWS)
    assert list(method.folders) == ["CUHK-TE-1", "CUHK-TE-2", "DUT-TE", "CTCUG", "EBD"]


def test_no_folder_is_no_method(tmp_path):
    assert find_methods(tmp_path / "external", ROWS) == []
    assert find_methods(tmp_path, ROWS) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (data.YAML + "polarity: x\n", "unknown key `polarity`; the nearest valid key is `"),
        (data.YAML.replace("white", "whit"), "unknown key `whit`; the nearest valid key is `white`"),
        (data.YAML.replace("in_focus", "focus"), "`white` is 'focus', expected one of in_focus, out_of_focus; did you"),
        (data.YAML.replace("none", "cubic"), "`resize` is 'cubic', expected one of none, bilinear, nearest; did you"),
        (data.YAML.replace("cenet", "cnet"), "`row` is 'cnet', expected one of hifst, cenet, d_dffnet, none; did you"),
        (data.YAML.replace("Some method", "2.5"), "`method` is 2.5 (float), expected text; put it in quotes"),
        (data.YAML.replace("its authors' page", ""), "`source` is None (NoneType), expected text"),
        (data.YAML.replace("row: cenet\n", ""), "key `row` is missing; expected method, row, white, resize, source"),
        ("- a list\n", "found list, expected a mapping"),
        ("", "found NoneType, expected a mapping"),
        ("method: [\n", "not valid YAML"),
        ("row: cenet\n" * 2, "not valid YAML"),
    ],
)
def test_a_wrong_file_is_named_with_its_key(tmp_path, text, told):
    data.method(tmp_path)
    path = tmp_path / "mine/method.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"^{path}: {re.escape(told)}"):
        find_methods(tmp_path, ROWS)


def test_a_file_that_is_no_text_is_named(tmp_path):
    data.method(tmp_path)
    (tmp_path / "mine/method.yaml").write_bytes(b"method: \xff\xfe\n")
    with pytest.raises(InputError, match=r"mine/method\.yaml: not UTF-8"):
        find_methods(tmp_path, ROWS)


def test_a_folder_without_its_file_is_named(tmp_path):
    data.method(tmp_path)
    (tmp_path / "mine/method.yaml").unlink()
    with pytest.raises(InputError, match=r"mine/method\.yaml: no such file; say in it what the maps"):
        find_methods(tmp_path, ROWS)


def test_a_folder_of_no_test_set_is_named(tmp_path):
    data.method(tmp_path, test_set="CUHK-TE1")
    with pytest.raises(InputError, match=r"mine/CUHK-TE1: the name of no test set; did you mean 'CUHK-TE-1'\?"):
        find_methods(tmp_path, ROWS)


def test_every_row_of_the_paper_may_be_filled(tmp_path):
    from components.scoring.paper_tables import paper_tables

    rows = {row.run for table in paper_tables() for row in table.rows}
    data.method(tmp_path, row="ma_ganet")
    assert find_methods(tmp_path, sorted(rows))[0].row == "ma_ganet"
