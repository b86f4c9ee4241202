"""Facts of the paper's data sets (section IV.A, Table VII)."""

import re
from typing import get_args

import pytest

from components.catalog.sets import PACKAGED_LISTS, SETS, find_set
from components.common.errors import InputError
from components.recipe import TrainingSplit, training_splits


def test_counts_of_the_paper():
    assert {name: sum(part.expected for part in s.parts) for name, s in SETS.items()} == {
        "cuhk": 704,
        "dut": 1100,
        "ctcug": 150,
        "ebd": 1605,
    }
    assert find_set("ebd").shallow.count == 1305


def test_cuhk_te_1_is_a_hundred_different_stems_and_the_validation_list_sixty_others():
    lines = (PACKAGED_LISTS / "cuhk_te1.txt").read_text(encoding="utf-8").splitlines()
    assert len(set(lines)) == len(lines) == 100
    assert lines == sorted(lines)
    assert all(re.fullmatch(r"out_of_focus\d{4}", line) for line in lines)
    assert "out_of_focus0142" in lines
    assert "out_of_focus0011" not in lines
    held_out = (PACKAGED_LISTS / "cuhk_validation.txt").read_text(encoding="utf-8").splitlines()
    assert len(set(held_out) - set(lines)) == len(held_out) == 60
    assert held_out == sorted(held_out)


def test_every_test_set_of_the_tables_has_its_home_and_no_name_has_a_space():
    homes = {split: name for name, dataset in SETS.items() for split in dataset.splits}
    tests = ("CUHK-TE-1", "CUHK-TE-2", "DUT-TE", "CTCUG", "EBD", "EBD(1305)")
    assert [homes[split] for split in tests] == ["cuhk", "cuhk", "dut", "ctcug", "ebd", "ebd"]
    assert not [split for split in homes if " " in split or ";" in split]


def test_the_sets_of_a_training_split_are_where_its_parts_are():
    for train in get_args(TrainingSplit):
        assert all(split in SETS[name].splits for name, split in training_splits(train))


def test_an_unknown_set_is_an_error_with_the_nearest_one():
    with pytest.raises(InputError, match=r"'cuhkk'.*did you mean 'cuhk'"):
        find_set("cuhkk")
