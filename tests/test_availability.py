"""What is not at hand, handed on from folder to folder."""

from pathlib import Path

import pytest

from components.common.availability import Gap, NotAvailableError, gap_of, mark, require
from components.common.errors import InputError

GAP = Gap("CTCUG", "no public link is known", "ask its authors")


def test_a_marked_folder_holds_the_reason_alone(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old.npy").write_text("of an earlier run")
    mark(tmp_path / "out", GAP)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["not_available.json"]
    assert gap_of(tmp_path / "out") == GAP


def test_what_needs_a_marked_folder_is_not_available_for_the_same_reason(tmp_path: Path) -> None:
    mark(tmp_path / "out", GAP)
    with pytest.raises(NotAvailableError) as caught:
        require(tmp_path / "out")
    assert str(caught.value) == "CTCUG: not at hand (no public link is known); ask its authors"
    assert caught.value.gap == GAP


def test_a_folder_without_a_mark_is_available(tmp_path: Path) -> None:
    require(tmp_path)
    assert gap_of(tmp_path) is None
    assert gap_of(tmp_path / "none") is None


def test_a_mark_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "not_available.json").write_text("{")
    with pytest.raises(InputError, match=r"not_available\.json: not valid JSON"):
        require(tmp_path)
