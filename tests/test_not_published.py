"""Where it is told that a run began with a file that is not the published one: its title, the provenance, MLflow."""

from pathlib import Path

from pipelines.harness.stage import Stage
from pipelines.tracking.journal import Journal

from components.common.storage import write_json
from components.report.page import stand_ins
from components.report.records import read_run

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


class Kept(Journal):
    """A journal in memory, of tags alone."""

    def __init__(self) -> None:
        self.tags: dict[str, str] = {}

    def keep(self, *_: object) -> None:
        """Keep nothing."""

    def write(self, event: str, **facts: object) -> None:
        """Keep tags."""
        assert event == "tags"
        assert isinstance(facts["values"], dict)
        self.tags |= facts["values"]


def test_mlflow_has_it_as_a_tag(tmp_path: Path) -> None:
    for name, facts, told in (
        ("theirs", NOTE, {"dbdflow.not_published": NOTE["not_published"]}),
        ("ours", {}, {}),
    ):
        stage = Stage.__new__(Stage)
        stage.journal = kept = Kept()
        stage.model(card(tmp_path / name, **facts) / "model.safetensors", name="run")
        assert kept.tags == {"dbdflow.model": "run"} | told
