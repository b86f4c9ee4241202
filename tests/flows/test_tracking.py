"""Journals, courier and MLflow together: real processes, real DVC, a real database."""

import hashlib
import json
import os
import shutil
import socket
import sys
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image
from pipelines.tracking.journal import Journal
from pipelines.tracking.parcels import parcels, sweep

from pipelines.repo.fingerprint import flatten
from pipelines.system.processes import Owner, is_dvc, parse_owner
from pipelines.tracking import courier
from pipelines.tracking.client import Tracker, allowed
from tests.flows.conftest import Checkout, Tracked, check_a_whole_reproduction, free_port, until

TOY = (sys.executable, "-m", "pipelines.stages.toy")


@pytest.fixture(autouse=True)
def _database(request: pytest.FixtureRequest, empty_database: Path) -> None:
    """Every checkout here starts with an empty database, save where its making is what is tested."""
    if "checkout" in request.fixturenames and "fresh" not in request.node.name:
        checkout = request.getfixturevalue("checkout")
        (checkout.root / ".dbdflow" / "mlflow").mkdir(parents=True)
        shutil.copy(empty_database, checkout.root / ".dbdflow" / "mlflow" / "mlflow.db")


def test_a_reproduction_arrives_whole(checkout: Checkout) -> None:
    done = checkout.run("dvc", "repro")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("prefect imported: False mlflow imported: False") == 2
    assert checkout.courier_process() is not None, "the courier outlives dvc and holds none of its output"
    tracked = checkout.tracked()
    (parent,) = tracked.parents
    assert parent.info.status == "FINISHED"
    assert parent.info.run_name.startswith("reproduce 20")
    assert parent.data.params == {
        "toy.epochs": "3", "toy.rate": "0.1", "other": "1", "runs.first.options": "", "runs.second.options": ""
    }  # fmt: skip
    assert parent.data.tags["git.commit"] == checkout.run("git", "rev-parse", "HEAD").stdout.strip()
    assert sorted(tracked.stages) == ["toy@first", "toy@second"]
    check_stage(checkout, tracked, "toy@first", "first")
    for run in tracked.stages.values():
        assert run.info.status == "FINISHED"
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert parent.info.start_time <= run.info.start_time <= run.info.end_time <= parent.info.end_time
    check_versions(tracked)
    assert list(checkout.journal.iterdir()) == []


def check_versions(tracked: Tracked) -> None:
    versions = tracked.client.search_model_versions("name = 'dbdflow.toy.CUHK-TR-1_DUT-TR'")
    assert {each.tags["dbdflow.model"]: each.run_id for each in versions} == {
        name: tracked.stages[f"toy@{name}"].info.run_id for name in ("first", "second")
    }
    for each in versions:
        weights = Path(urlsplit(each.source).path, "model.safetensors").read_bytes()
        assert each.tags["dbdflow.weights"] == hashlib.sha256(weights).hexdigest()
        assert weights == b"weights of " + each.tags["dbdflow.model"].encode()


def check_stage(checkout: Checkout, tracked: Tracked, name: str, run: str) -> None:
    found = tracked.stages[name]
    assert found.data.params == {"toy.epochs": "3", "toy.rate": "0.1"}
    assert tracked.steps(name, "sum") == [(0, 6.0), (1, 7.0), (2, 8.0)]
    assert tracked.steps(name, "EBD_1305/mae") == [(0, 0.5), (1, 0.5), (2, 0.5)]
    tags = found.data.tags
    assert tags["git.commit"] == checkout.run("git", "rev-parse", "HEAD").stdout.strip()
    assert (tags["dvc.stage"], tags["dbdflow.stage"], tags["dbdflow.model"]) == (name, "toy", run)
    assert len(tags["dvc.deps_hash"]) == 64
    assert tags["mlflow.source.name"].endswith(f"-m pipelines.stages.toy --run {run}")
    (data,) = found.inputs.dataset_inputs
    assert (data.dataset.name, data.dataset.digest, data.dataset.profile) == ("numbers", "d41d8", '{"images": 3}')
    assert [(tag.key, tag.value) for tag in data.tags] == [("mlflow.data.context", "training")]
    picture = np.asarray(Image.open(tracked.artifact(name, "maps/one.png")))
    assert (picture == np.arange(12).reshape(3, 4)).all()
    assert tracked.artifact(name, "model/model.safetensors").read_bytes() == b"weights of " + run.encode()
    assert tracked.artifact(name, "model/card.json").read_text() == "{}"
    assert tracked.artifact(name, "inputs/params.yaml").read_text() == (checkout.root / "params.yaml").read_text()


def test_a_reproduction_that_arrives_twice_is_there_once(checkout: Checkout, tmp_path: Path) -> None:
    check_a_whole_reproduction(Tracker(), tmp_path / "files")


def test_kills_and_failures_are_tracked_as_such(checkout: Checkout) -> None:
    checkout.write("hold", "")
    with checkout.start(*TOY, "--run", "other") as stage:
        until(lambda: any('"metrics"' in file.read_text() for file in checkout.journal.glob("*.jsonl")))
        stage.kill()
    (checkout.root / "hold").unlink()
    checkout.write("dvc.yaml", (checkout.root / "dvc.yaml").read_text().replace("--run", "--fails bug --run"))
    assert checkout.run("dvc", "repro", "toy@first").returncode != 0
    tracked = checkout.tracked()
    parents = {parent.info.run_id: parent.info.status for parent in tracked.parents}
    killed, failed = tracked.stages["toy --run other"], tracked.stages["toy@first"]
    assert (killed.info.status, parents[killed.data.tags["mlflow.parentRunId"]]) == ("KILLED", "KILLED")
    assert tracked.steps("toy --run other", "sum") == [(0, 6.0)]
    assert (failed.info.status, parents[failed.data.tags["mlflow.parentRunId"]]) == ("FAILED", "FAILED")
    assert failed.data.tags["dbdflow.message"] == "RuntimeError: boom"
    assert (killed.data.tags["git.dirty"], failed.data.tags["git.dirty"]) == ("False", "True")


def test_a_courier_killed_halfway_loses_and_repeats_nothing(checkout: Checkout) -> None:
    checkout.write("params.yaml", "toy: {epochs: 60}\nruns: {}")
    checkout.write("hold", "")
    with checkout.start(*TOY, "--run", "first") as stage:
        until(lambda: list(checkout.journal.glob("*.state")))
        checkout.lose_courier()
        (checkout.root / "hold").unlink()
        stage.communicate(timeout=60)
    assert stage.returncode == 0
    tracked = checkout.tracked()
    (name,) = tracked.stages
    assert tracked.steps(name, "sum") == [(step, 6.0 + step) for step in range(60)]
    assert tracked.stages[name].info.status == "FINISHED"
    assert len(tracked.stages[name].inputs.dataset_inputs) == len(tracked.parents) == 1
    assert list(checkout.journal.iterdir()) == []


def test_four_stages_at_once_on_a_fresh_database(checkout: Checkout) -> None:
    names = [f"run{number}" for number in range(4)]
    stages = [checkout.start(*TOY, "--run", name, DBDFLOW_REPRODUCTION="nightly") for name in names]
    for stage in stages:
        with stage:
            _, errors = stage.communicate(timeout=60)
            assert stage.returncode == 0, errors
    tracked = checkout.tracked()
    assert sorted(tracked.stages) == [f"toy --run {name}" for name in names]
    (parent,) = tracked.parents
    assert parent.data.tags["dbdflow.reproduction"] == "nightly"
    assert {run.data.tags["mlflow.parentRunId"] for run in tracked.stages.values()} == {parent.info.run_id}
    assert {run.info.status for run in (parent, *tracked.stages.values())} == {"FINISHED"}


def test_no_tracking_server_never_fails_a_stage_and_loses_nothing(checkout: Checkout) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    done = checkout.toy("--run", "first", MLFLOW_TRACKING_URI=nowhere, MLFLOW_HTTP_REQUEST_MAX_RETRIES="0")
    assert done.returncode == 0
    log = checkout.root / ".dbdflow" / "courier.log"
    until(lambda: "not delivered, tried 1 times" in log.read_text())
    checkout.kill_courier()
    assert checkout.tracked().stages["toy@first"].info.status == "FINISHED"


def test_a_journal_that_cannot_be_written_does_not_fail_the_stage(checkout: Checkout) -> None:
    checkout.write(".dbdflow/journal", "a file in the way")
    done = checkout.toy("--run", "first")
    assert done.returncode == 0
    assert "tracking is off for this stage" in done.stderr


def test_events_are_on_disk_as_they_happen(checkout: Checkout) -> None:
    journal = Journal("toy")
    journal.write("metrics", values={"loss": 0.25}, step=3)
    journal.write("params", values={"path": Path("a/b")})
    first, second = (json.loads(line) for line in journal.path.read_text().splitlines())
    assert (first["event"], first["values"], first["step"]) == ("metrics", {"loss": 0.25}, 3)
    assert second["values"] == {"path": "a/b"}
    journal.close()


def line(event: str, **content: object) -> str:
    return json.dumps({"event": event, "time": 5, **content}) + "\n"


def test_a_damaged_journal_gives_what_is_whole(checkout: Checkout) -> None:
    gone = {"pid": os.getpid(), "created": 1.0}
    torn = line("start", **gone) + "\0\0\n" + line("metrics", values={"loss": 1}, step=0) + '{"event": "met'
    checkout.write(".dbdflow/journal/a.jsonl", torn)
    checkout.write(".dbdflow/journal/b.jsonl", "")
    checkout.write(".dbdflow/journal/c.files/0/x.png", "left behind")
    sweep()
    (parcel,) = parcels()
    events, offset = parcel.read()
    assert [event["event"] for event in events] == ["start", "metrics", "end"]
    assert (events[-1]["status"], events[-1]["time"]) == ("KILLED", 5)
    assert offset == torn.rindex("\n") + 1
    assert sorted(path.name for path in checkout.journal.iterdir()) == ["a.jsonl", "b.jsonl"]
    parcel.run = "f00"
    parcel.arrived(offset)
    (again,) = parcels()
    assert (again.run, again.read()[1], [event["event"] for event in again.read()[0]]) == ("f00", offset, ["end"])


def test_nested_parameters_become_flat() -> None:
    nested = {"stage1": {"epochs": 3, "loss": {"bce": 1.5}, "sets": ["cuhk", "dut"]}, "seed": None}
    flat = {"stage1.epochs": "3", "stage1.loss.bce": "1.5", "stage1.sets": '["cuhk", "dut"]', "seed": "None"}
    assert flatten(nested) == flat


@pytest.mark.parametrize(
    ("name", "expected"), [("CUHK-TE-1/mae", "CUHK-TE-1/mae"), ("EBD(1305)/mae", "EBD_1305/mae"), ("a=b", "a_b")]
)
def test_names_that_mlflow_takes(name: str, expected: str) -> None:
    assert allowed(name) == expected


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("/venv/bin/python /venv/bin/dvc repro", True),
        ("python -m dvc repro", True),
        ("dvc --wait-for-lock repro -s toy", True),
        ("python -m pipelines.stages.toy --run dvc", False),
        ("/bin/sh -c dvc\\ repro", False),
    ],
)
def test_which_command_lines_are_dvc(command: str, expected: bool) -> None:
    assert is_dvc([word.replace("\\", " ") for word in command.replace("\\ ", "\\").split()]) is expected


def test_an_owner_is_known_again_by_its_text() -> None:
    me = Owner(os.getpid(), 1_700_000_000.4)
    assert str(me) == f"{socket.gethostname()}-{os.getpid()}-1700000000"
    assert parse_owner(str(me)) == Owner(os.getpid(), 1_700_000_000.0)
    assert not me.alive(), "another process had this number at that time"
    assert parse_owner("nightly") is None
    assert parse_owner("elsewhere-12-1700000000") is None


def test_journals_can_wait_and_nothing_is_left_in_the_home_directory(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = checkout.root / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("DBDFLOW_COURIER", "off")
    assert checkout.toy("--run", "first").returncode == 0
    assert checkout.courier_process() is None
    assert courier.wait(0.3) is False
    monkeypatch.delenv("DBDFLOW_COURIER")
    assert courier.wait(90) is True
    assert list(home.rglob("*")) == []


def test_a_sweep_has_a_run_a_point_below_one_and_a_later_process_goes_on_with_them(checkout: Checkout) -> None:
    tracker, runs = Tracker(), {}
    me = str(Owner(1, 1.0))
    for process, values in ((me, "seed=0"), (me, "seed=1"), (str(Owner(2, 2.0)), "seed=1")):
        part = {"name": "sweep-1", "axes": "seed=0,1", "point": f"set-{values}", "values": values}
        start = {
            "event": "start", "time": 1, "stage": "toy", "name": "toy@first", "command": "toy", "reproduction": process,
            "git_commit": None, "git_dirty": None, "dvc_stage": "toy@first", "deps_hash": "0", "sweep": part,
            "params": {"name": "toy", "seed": values[-1]},
        }  # fmt: skip
        run = tracker.client.get_run(tracker.stage(f"{process} {values}", start))
        tracker.client.set_terminated(run.info.run_id, "FINISHED")
        runs[process, values] = tracker.client.get_run(run.data.tags["mlflow.parentRunId"])
    first, second, again = runs.values()
    assert second.info.run_id == again.info.run_id != first.info.run_id
    assert again.data.tags["dbdflow.kind"] == "point"
    assert (first.data.params["seed"], second.data.params["seed"]) == ("0", "1")
    (whole,) = tracker.find("dbdflow.kind", "sweep")
    assert whole.info.run_name.startswith("sweep seed=0,1 ")
    assert {each.data.tags["mlflow.parentRunId"] for each in runs.values()} == {whole.info.run_id}
    tracker.end_reproduction(str(Owner(2, 2.0)))
    ended = [tracker.client.get_run(each.info.run_id).info.status for each in (whole, second, first)]
    assert ended == ["FINISHED", "FINISHED", "RUNNING"]  # the first is its own process's to end
    tracker.end_reproduction(me)
    assert tracker.client.get_run(first.info.run_id).info.status == "FINISHED"
