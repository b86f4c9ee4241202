"""What a checkout remembers of its executions; the whole way through a courier is in flows/test_showing.py."""

from pathlib import Path

import pytest
from pipelines.tracking.parcels import Parcel

from pipelines.tracking import executions


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    return tmp_path


def parcel(folder: Path, digest: str, stage: str | None = "predict@x") -> Parcel:
    start = {"time": 1000, "deps_hash": digest, "dvc_stage": stage, "git_commit": "c0", "git_dirty": False}
    made = Parcel(folder / "a.jsonl", start)
    made.run, made.experiment = "r1", "7"
    return made


def end(status: str = "FINISHED", time: int = 4500) -> dict[str, object]:
    return {"event": "end", "status": status, "time": time}


def test_the_last_execution_that_finished_is_kept(here: Path) -> None:
    executions.keep(parcel(here, "a"), end())
    executions.keep(parcel(here, "b"), end("KILLED"))
    executions.keep(parcel(here, "c", stage=None), end())  # started by hand, and no stage of dvc.yaml
    executions.keep(parcel(here, "a"), end(time=2000))
    assert executions.known() == {
        "a": {
            "stage": "predict@x", "began": 1000, "seconds": 1.0, "commit": "c0", "dirty": False,
            "mlflow_run": "r1", "mlflow": None, "prefect": None,
        }
    }  # fmt: skip
    assert executions.path().read_text().startswith("var dbdflowExecutions = {")


def test_a_damaged_file_is_begun_anew_and_one_that_cannot_be_written_is_told(here: Path, caplog) -> None:
    executions.path().parent.mkdir()
    executions.path().write_text("var dbdflowExecutions = {")
    executions.keep(parcel(here, "a"), end())
    assert list(executions.known()) == ["a"]
    executions.path().unlink()
    executions.path().mkdir()
    executions.keep(parcel(here, "b"), end())
    assert "is not kept" in caplog.text


def test_no_more_than_a_limit(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executions, "KEPT", 2)
    for digest in "abc":
        executions.keep(parcel(here, digest), end())
    assert list(executions.known()) == ["b", "c"]
