"""What a checkout remembers of its executions; a stage that leaves one is in flows/test_artifacts.py."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipelines.repo import executions


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    (tmp_path / ".dbdflow").mkdir()
    return tmp_path


def test_the_last_execution_is_kept_and_stands_last() -> None:
    for digest, seconds in (("a", 1.0), ("b", 2.0), ("a", 3.0)):
        executions.keep(digest, {"stage": "predict@x", "seconds": seconds})
    found = executions.known()
    assert found == {
        "b": {"stage": "predict@x", "seconds": 2.0},
        "a": {"stage": "predict@x", "seconds": 3.0},
    }
    assert list(found) == ["b", "a"]
    assert executions.path().read_text().startswith("var dbdflowExecutions = {")


def test_many_at_once_are_all_kept() -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: executions.keep(str(number), {}), range(20)))
    assert set(executions.known()) == set(map(str, range(20)))


def test_a_damaged_file_is_begun_anew_and_one_that_cannot_be_written_is_told(caplog: pytest.LogCaptureFixture) -> None:
    executions.path().write_text("var dbdflowExecutions = {")
    executions.keep("a", {})
    assert list(executions.known()) == ["a"]
    executions.path().unlink()
    executions.path().mkdir()
    executions.keep("b", {})
    assert "is not kept" in caplog.text


def test_no_more_than_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executions, "KEPT", 2)
    for digest in "abc":
        executions.keep(digest, {})
    assert list(executions.known()) == ["b", "c"]
