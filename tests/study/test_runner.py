"""The order of the study's processes, what it says, and that nothing is made twice or lost."""

import re
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from components.common.errors import InputError
from components.study.design import design
from pipelines.cli import main
from pipelines.running.study import Clock, Study
from pipelines.running.study_plan import Task, places
from pipelines.system.locks import held
from pipelines.system.processes import start_tied
from pipelines.system.stopping import Stop

ROOT = Path(__file__).parent.parent.parent
SHARED = ["data", "depth_teacher", "probe"]


class Quick(Study):
    """A study whose processes make what they should at once, but for those that `fails` names."""

    started: list[str]
    fails: str = ""

    def check(self) -> None:
        self.started = []

    def _start(self, name: str) -> "subprocess.Popen[bytes]":
        self.started.append(name)
        self._log(name).parent.mkdir(parents=True, exist_ok=True)
        self._log(name).write_text(f"{name}: epoch 1/8, loss 0.5\nwhat went wrong\n")
        if name == "probe":
            self.places.probe.parent.mkdir(parents=True, exist_ok=True)
            self.places.probe.write_text('{"seconds_a_step": 0.6}')
        done = {task.name: task.done for task in self.tasks()}.get(name, self.folder / "probed")
        return start_tied(["false"] if name == self.fails else ["mkdir", "-p", str(done)])


def study(folder: Path, *rows: str, said: list[str] | None = None, jobs: int = 1, seeds: int = 1) -> Quick:
    wanted = [each for each in design().order(list(range(1, seeds + 1))) if each[0].name in rows]
    return Quick(folder, "quick", wanted, jobs, (said if said is not None else []).append)


@pytest.fixture(autouse=True)
def inbox(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Of a checkout without photographs."""
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    (inbox / "sources.yaml").write_text("imported: {cuhk: abc}\nbackbones: {mobilenetv2_100: def}\nsha256: {}\n")
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("pipelines.running.study.POLL", 0.02)
    monkeypatch.setattr("pipelines.running.study_plan.INBOX", inbox)
    return inbox


def test_what_rows_build_on_comes_first_and_once(tmp_path: Path) -> None:
    said: list[str] = []
    made = study(tmp_path, "d_dffnet", "shuffled", said=said, seeds=2)
    assert made.run(Stop()) == 0
    runs = ["dffnet-1", "d_dffnet-1", "shuffled-1", "dffnet-2", "d_dffnet-2", "shuffled-2"]
    assert made.started == [*SHARED, *runs]
    # 0.6 s x 100 steps x 8 epochs is 8 minutes; a second stage 1.2 of it
    assert "6 runs to go, about 9.1 minutes of a core each: 54 min 24 s with 1 at once on as many quiet cores" in said
    assert said[-1].startswith("6 of 6 runs are there, after ")
    assert made.run(Stop()) == 0
    assert made.started == []


def test_what_waits_for_a_run_does_not_hold_up_others(tmp_path: Path) -> None:
    made = study(tmp_path, "dffnet", "d_dffnet", "pdnet", jobs=2)
    assert made.run(Stop()) == 0
    assert set(made.started[3:5]) == {"dffnet-1", "pdnet-1"}
    assert made.started[5:] == ["d_dffnet-1"]


def test_a_run_that_fails_takes_along_what_builds_on_it_and_nothing_else(tmp_path: Path) -> None:
    said: list[str] = []
    made = study(tmp_path, "dffnet", "d_dffnet", "pdnet", said=said)
    made.fails = "dffnet-1"
    assert made.run(Stop()) == 1
    assert made.started == [*SHARED, "dffnet-1", "pdnet-1"]
    assert any(line.startswith("dffnet-1: failed (what went wrong); all of it in ") for line in said)
    made.fails = ""
    assert made.run(Stop()) == 0
    assert made.started == ["dffnet-1", "d_dffnet-1"]


def test_what_is_shared_must_be_made(tmp_path: Path) -> None:
    made = study(tmp_path, "dffnet")
    made.fails = "depth_teacher"
    with pytest.raises(InputError, match=r"depth_teacher: failed \(what went wrong\)"):
        made.run(Stop())


def test_stopped_it_begins_nothing_more(tmp_path: Path) -> None:
    stop = Stop()
    stop.set("stopped by SIGINT", 130)
    made = study(tmp_path, "dffnet")
    assert made.run(stop) == 130
    assert made.started == []


def test_two_at_once_in_a_folder_are_refused(tmp_path: Path) -> None:
    with held(tmp_path / "lock", "free"), pytest.raises(InputError, match="another study runs there"):
        study(tmp_path, "dffnet").run(Stop())


def test_times_of_runs_replace_the_probe(tmp_path: Path) -> None:
    """A run that took 10 minutes stands for all of its row, and by its row for others; what is begun counts."""
    made = study(tmp_path, "dffnet", "d_dffnet", "pdnet", seeds=2)
    runs = {task.name: task.done.parent for task in made.tasks()[2:]}
    for name, seconds in {"dffnet-1": [300, 300], "dffnet-2": [120]}.items():
        runs[name].mkdir(parents=True)
        (runs[name] / "time.json").write_text(f'{{"seconds": {seconds}}}')
    (runs["dffnet-1"] / "scores").mkdir()
    minutes = made.minutes(made.tasks()[2:])
    assert minutes is not None
    by_name = {task.name: each for task, each in minutes.items()}
    assert by_name == pytest.approx(
        {"dffnet-1": 0, "d_dffnet-1": 12, "dffnet-2": 8, "d_dffnet-2": 12, "pdnet-1": 10, "pdnet-2": 10}
    )
    assert made.quiet(minutes) == pytest.approx(52)
    made.jobs = 4
    assert made.quiet(minutes) == pytest.approx(20)  # dffnet-2, then d_dffnet-2
    made.jobs = 2
    assert made.quiet(minutes) == pytest.approx(26)


def test_the_time_left_on_busy_cores() -> None:
    """Two hours of processes for 20 minutes of a core: six times as long as on quiet ones, and never shorter."""
    clock = Clock(spent=5.0, had=120.0)
    assert clock.left(15.0, spent=25.0) == "about 1 h 30 min left"
    assert clock.left(15.0, spent=205.0) == "about 15 min 00 s left"
    assert clock.left(15.0, spent=5.0) == "the time left is not known: others have the cores"
    assert Clock(spent=5.0, had=2.0).left(15.0, spent=5.0) == "about 15 min 00 s left"


def test_other_values_of_the_preset_are_other_runs(tmp_path: Path) -> None:
    made = study(tmp_path, "dffnet", "beta_0")
    folders = {made.out(row, seed).name for row, seed in made.rows}
    made.preset["stage1"]["learning_rate"] = 0.5
    assert folders.isdisjoint({made.out(row, seed).name for row, seed in made.rows})
    assert all(re.fullmatch(r"(dffnet|beta_0)-1-[0-9a-f]{8}", name) for name in folders)


def test_the_command_names_rows_and_what_is_lacking(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["study", "--rows", "dffnet,dfnet", "--folder", str(tmp_path)])
    assert done.exit_code == 2
    assert "--rows: no row 'dfnet'; rows: dffnet, d_dffnet," in done.output
    done = CliRunner().invoke(main, ["study", "--folder", str(tmp_path / "new")])
    assert done.exit_code == 2
    assert "say `dbdflow import cuhk FOLDER` first" in done.output
    assert not (tmp_path / "new").exists()


def test_tasks_are_told_apart_by_where_they_end(tmp_path: Path) -> None:
    made = study(tmp_path, *design().rows, seeds=2)
    places = [task.done for task in made.tasks()]
    assert len(places) == len(set(places)) == 2 + 26
    assert made.left() == made.tasks()
    assert Task("a", Path("b")).needs == ()


def test_photographs_of_another_size_are_never_taken(tmp_path: Path) -> None:
    made = study(tmp_path, "dffnet")
    assert places(tmp_path, made.preset | {"image_size": 320}).prepared != made.places.prepared
    assert places(tmp_path, made.preset | {"seed": 7}) == made.places


@pytest.mark.parametrize("old", ["abc", "def"])
def test_nothing_of_another_import_is_ever_taken(tmp_path: Path, inbox: Path, old: str) -> None:
    """Other photographs, depth maps or weights of the encoder: all is made anew, and what was made stays."""
    made = study(tmp_path, "d_dffnet")
    before = [task.done for task in made.tasks()]
    ledger = inbox / "sources.yaml"
    ledger.write_text(ledger.read_text().replace(old, "other"))
    assert {task.done for task in study(tmp_path, "d_dffnet").tasks()}.isdisjoint(before)
    ledger.write_text(ledger.read_text().replace("other", old))
    assert [task.done for task in study(tmp_path, "d_dffnet").tasks()] == before


def test_photographs_without_depth_maps_are_told_before_anything_is_made(tmp_path: Path, inbox: Path) -> None:
    for name in ("cuhk/image", "cuhk/gt", "backbones"):
        (inbox / name).mkdir(parents=True)
    (inbox / "backbones/mobilenetv2_100.safetensors").touch()
    done = CliRunner().invoke(main, ["study", "--folder", str(tmp_path / "new")])
    assert done.exit_code == 2
    assert f"{inbox}/cuhk: no folder depth/ of depth maps beside the photographs" in done.output
    assert not (tmp_path / "new").exists()
    file = tmp_path / "file"
    file.touch()
    (inbox / "cuhk/depth").mkdir()
    for words in (
        ["--folder", str(file)],
        ["--folder", str(file), "--page"],
        ["--folder", str(tmp_path / "no"), "--page"],
    ):
        done = CliRunner().invoke(main, ["study", *words])
        assert (done.exit_code, done.exception.__class__) == (2, SystemExit), done.output


def test_what_a_person_has_to_put_right_is_told_as_it_is(tmp_path: Path) -> None:
    made = study(tmp_path, "dffnet")
    made._log("dffnet-1").parent.mkdir(parents=True)
    made._log("dffnet-1").write_text("device cpu\npath: what is wrong; what to do\n")
    assert made._failed("dffnet-1", 2) == "dffnet-1: path: what is wrong; what to do"
    assert made._failed("dffnet-1", 1).endswith("say the same again to go on")
