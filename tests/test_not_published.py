"""Where it is told that a run began with a file that is not the published one: its title, the provenance, MLflow."""

from pathlib import Path
from unittest.mock import Mock, call

from components.common.storage import write_json
from components.report.page import stand_ins
from components.report.records import read_run
from pipelines.harness.context import Stage
from pipelines.repo.fingerprint import Fingerprint

RUN = "published_dffnet_cuhk1"
NOTE = {"not_published": "w.pth is not the published file (its sha256 starts with abababab)"}


def card(folder: Path, **facts: object) -> Path:
    folder.mkdir(parents=True)
    write_json(folder / "card.json", {"run": folder.name, **facts})
    return folder


def test_the_report_tells_it_in_the_title_of_the_run_and_in_the_provenance(tmp_path: Path) -> None:
    models, scores = tmp_path / "models", tmp_path / "scores"
    card(models / RUN, published=True, **NOTE)
    card(models / "dffnet", **NOTE)
    card(models / "pdnet", published=True)
    records = [read_run(run, scores, models) for run in (RUN, "dffnet", "pdnet")]
    assert records[0].title == "DFFNet, authors’ weights (not the published file)"
    assert "not the published file" not in records[1].title + records[2].title
    told = f"{RUN}: {NOTE['not_published']}; dffnet: {NOTE['not_published']}"
    assert stand_ins(tmp_path / "none", records) == {"not_the_published_file": told}
    teacher = card(tmp_path / "teacher", **NOTE)
    assert stand_ins(teacher, []) == {"not_the_published_file": f"depth_teacher: {NOTE['not_published']}"}
    assert stand_ins(tmp_path / "none", records[2:]) == {}


def test_mlflow_has_it_as_a_tag(tmp_path: Path) -> None:
    for name, facts, known in (("theirs", NOTE, NOTE), ("ours", {}, {})):
        stage, store = Stage("toy", [], Fingerprint(None, "d")), Mock()
        stage.run.store, stage.run.id = store, "f00"
        stage.model(card(tmp_path / name, **facts) / "model.safetensors", name="run")
        tags = {"dbdflow.model": "run"} | {f"dbdflow.{key}": value for key, value in known.items()}
        assert store.log.call_args_list == [call("f00", tags=tags)]
