"""Facts of the paper's data sets (section IV.A, Table VII)."""

import re

import pytest

from components.data.catalog import PACKAGED_LISTS, SETS, TEST_SPLITS, find_set, set_of_split
from components.errors import InputError


def test_counts_of_the_paper():
    assert {name: sum(part.expected for part in s.parts) for name, s in SETS.items()} == {
        "cuhk": 704,
        "dut": 1100,
        "ctcug": 150,
        "ebd": 1605,
    }
    assert find_set("ebd").shallow.count == 1305


def test_cuhk_te_1_is_a_hundred_different_stems():
    lines = (PACKAGED_LISTS / "cuhk_te1.txt").read_text(encoding="utf-8").splitlines()
    assert len(set(lines)) == len(lines) == 100
    assert lines == sorted(lines)
    assert all(re.fullmatch(r"out_of_focus\d{4}", line) for line in lines)
    assert "out_of_focus0142" in lines
    assert "out_of_focus0011" not in lines


@pytest.mark.parametrize(
    ("split", "name"),
    [("CUHK-TR-2", "cuhk"), ("DUT-TR", "dut"), ("DUT-TE", "dut"), ("CTCUG", "ctcug"), ("EBD(1305)", "ebd")],
)
def test_set_of_split(split, name):
    assert set_of_split(split).name == name


def test_every_test_set_of_the_tables_has_a_home_and_no_name_has_a_space():
    assert [set_of_split(split).name for split in TEST_SPLITS] == ["cuhk", "cuhk", "dut", "ctcug", "ebd", "ebd"]
    assert not [split for s in SETS.values() for split in s.splits if " " in split or ";" in split]


def test_unknown_names_are_errors_with_the_nearest_one():
    with pytest.raises(InputError, match=r"'cuhkk'.*did you mean 'cuhk'"):
        find_set("cuhkk")
    with pytest.raises(InputError, match="did you mean 'CUHK-TE-1'"):
        set_of_split("CUHK-TE1")
