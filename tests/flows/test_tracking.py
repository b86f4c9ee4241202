"""Stages and MLflow together: real processes, real DVC, a real database."""

import hashlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from unittest.mock import Mock
from urllib.parse import urlsplit

import numpy as np
import psutil
import pytest
from PIL import Image

from pipelines.repo.fingerprint import flatten
from pipelines.system.processes import Owner, is_dvc, parse_owner
from pipelines.system.stopping import later
from pipelines.tracking import client
from pipelines.tracking.client import Store, allowed, database
from pipelines.tracking.run import Run
from tests.flows.conftest import Checkout, Tracked, check_a_whole_reproduction, execution, free_port, until

TOY = (sys.executable, "-m", "pipelines.stages.toy")
LOG = (sys.executable, "-m", "pipelines.cli", "log")
GONE = f"{socket.gethostname()}-{os.getpid()}-1700000000"
"""A process that had this one's number."""


@pytest.fixture(autouse=True)
def _database(request: pytest.FixtureRequest, empty_database: Path) -> None:
    """Every checkout here starts with an empty database, save where its making is what is tested."""
    if "checkout" in request.fixturenames and "fresh" not in request.node.name:
        checkout = request.getfixturevalue("checkout")
        (checkout.root / ".dbdflow" / "mlflow").mkdir(parents=True)
        shutil.copy(empty_database, checkout.root / ".dbdflow" / "mlflow" / "mlflow.db")


# ---- what a stage writes


def test_a_reproduction_arrives_whole(checkout: Checkout) -> None:
    done = checkout.run("dvc", "repro")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("prefect imported: False") == 2
    tracked = checkout.tracked()
    (parent,) = tracked.parents
    assert parent.info.status == "FINISHED"
    assert parent.info.run_name.startswith("reproduce 20")
    assert parent.data.params == {
        "toy.epochs": "3", "toy.rate": "0.1", "other": "1", "runs.first.options": "", "runs.second.options": ""
    }  # fmt: skip
    assert parent.data.tags["git.commit"] == checkout.run("git", "rev-parse", "HEAD").stdout.strip()
    assert parent.data.tags["mlflow.source.name"].endswith("dvc repro")
    assert [each.dataset.name for each in parent.inputs.dataset_inputs] == ["numbers"]
    assert len(parent.outputs.model_outputs) == 2
    assert sorted(tracked.stages) == ["toy@first", "toy@second"]
    check_stage(checkout, tracked, "toy@first", "first")
    for run in tracked.stages.values():
        assert run.info.status == "FINISHED"
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert parent.info.start_time <= run.info.start_time <= run.info.end_time <= parent.info.end_time
    check_versions(tracked)


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
    assert json.loads(data.dataset.source) == {"uri": "data/in.txt"}
    assert [(tag.key, tag.value) for tag in data.tags] == [("mlflow.data.context", "training")]
    picture = np.asarray(Image.open(tracked.artifact(name, "maps/one.png")))
    assert (picture == np.arange(12).reshape(3, 4)).all()
    assert tracked.artifact(name, "inputs/params.yaml").read_text() == (checkout.root / "params.yaml").read_text()
    check_model(tracked.model(name), run)


def check_model(folder: Path, run: str) -> None:
    from mlflow.models import Model

    assert (folder / "model.safetensors").read_bytes() == b"weights of " + run.encode()
    assert (folder / "card.json").read_text() == "{}"
    signature = Model.load(str(folder)).signature
    shapes = [(each.name, each.shape) for each in (*signature.inputs.inputs, *signature.outputs.inputs)]
    assert shapes == [(None, (-1, -1, -1, 3)), (None, (-1, -1, -1))]


def test_a_reproduction_that_is_made_twice_is_there_once(checkout: Checkout, tmp_path: Path) -> None:
    check_a_whole_reproduction(Store(), tmp_path / "files")


def test_four_stages_at_once_on_a_fresh_database(checkout: Checkout) -> None:
    names = [f"run{number}" for number in range(4)]
    stages = [checkout.start(*TOY, "--run", name, DBDFLOW_REPRODUCTION="nightly") for name in names]
    for stage in stages:
        with stage:
            _, errors = stage.communicate(timeout=90)
            assert stage.returncode == 0, errors
            assert "MLflow" not in errors
    tracked = checkout.tracked()
    assert sorted(tracked.stages) == [f"toy --run {name}" for name in names]
    (parent,) = tracked.parents
    assert parent.data.tags["dbdflow.reproduction"] == "nightly"
    assert {run.data.tags["mlflow.parentRunId"] for run in tracked.stages.values()} == {parent.info.run_id}
    assert {run.info.status for run in (parent, *tracked.stages.values())} == {"FINISHED"}
    experiment = tracked.client.get_experiment_by_name("dbdflow")
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"


def test_a_process_killed_while_it_makes_a_fresh_database_leaves_none(checkout: Checkout) -> None:
    with checkout.start(sys.executable, "-c", "from pipelines.tracking.client import Store; Store()") as first:
        until(lambda: [each for each in database().parent.glob(".mlflow.db.*") if each.stat().st_size > 200_000])
        first.kill()
    assert not database().exists()
    Store()
    assert checkout.tracked().stages == {}


# ---- how runs end


def test_kills_and_failures_are_tracked_as_such(checkout: Checkout) -> None:
    checkout.write("hold", "")
    with checkout.start(*TOY, "--run", "other") as stage:
        until(checkout.working)
        stage.kill()
    (checkout.root / "hold").unlink()
    assert checkout.tracked().stages["toy --run other"].info.status == "RUNNING"
    checkout.write("dvc.yaml", (checkout.root / "dvc.yaml").read_text().replace("--run", "--fails bug --run"))
    assert checkout.run("dvc", "repro", "toy@first").returncode != 0
    tracked = checkout.tracked()
    parents = {parent.info.run_id: parent.info.status for parent in tracked.parents}
    killed, failed = tracked.stages["toy --run other"], tracked.stages["toy@first"]
    assert (killed.info.status, parents[killed.data.tags["mlflow.parentRunId"]]) == ("KILLED", "KILLED")
    assert tracked.steps("toy --run other", "sum") == [(0, 6.0)]
    (last,) = tracked.client.get_metric_history(killed.info.run_id, "sum")
    assert killed.info.end_time == last.timestamp, "when it was last heard of"
    assert (failed.info.status, parents[failed.data.tags["mlflow.parentRunId"]]) == ("FAILED", "FAILED")
    assert failed.data.tags["dbdflow.message"] == "RuntimeError: boom"
    assert (killed.data.tags["git.dirty"], failed.data.tags["git.dirty"]) == ("False", "True")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("moment", ["opening", "working"])
def test_a_stage_that_is_interrupted_at_any_moment_leaves_no_run_that_runs(
    checkout: Checkout, number: int, code: int, moment: str
) -> None:
    checkout.write("hold", "")
    with checkout.start(*TOY, "--run", "first") as stage:
        until(checkout.working if moment == "working" else (checkout.root / ".dbdflow/mlflow.lock").exists)
        stage.send_signal(number)
        _, errors = stage.communicate(timeout=60)
    assert stage.returncode == code, errors
    assert "Traceback" not in errors
    tracked = checkout.tracked()
    statuses = [run.info.status for run in (*tracked.parents, *tracked.stages.values())]
    assert statuses == ["KILLED"] * 2


def test_bad_input_fails_and_a_stage_that_lacks_something_finishes(checkout: Checkout) -> None:
    assert checkout.toy("--run", "first", "--fails", "input").returncode == 2
    assert checkout.toy("--run", "second", "--fails", "absent").returncode == 0
    stages = checkout.tracked().stages.values()
    assert [(run.info.status, run.data.tags.get("dbdflow.message")) for run in stages] == [
        ("FINISHED", None), ("FAILED", "data/in.txt: found nonsense, expected numbers; write some")
    ]  # fmt: skip
    said = "the sum: not at hand (the numbers are not published); ask their authors"
    assert [run.data.tags.get("dbdflow.not_available") for run in stages] == [said, None]


def test_a_signal_waits_for_the_end_of_a_block() -> None:
    seen = []
    with pytest.raises(KeyboardInterrupt), later():  # noqa: PT012 (the block is what is tested)
        signal.raise_signal(signal.SIGINT)
        seen.append("the rest")
    assert seen == ["the rest"]


def test_what_is_above_a_run_is_what_its_stages_came_to(checkout: Checkout) -> None:
    store = Store()

    def status() -> str:
        return str(store.client.get_run(above).info.status)

    (one, above), (two, same) = store.begin(execution("one")), store.begin(execution("two"))
    assert same == above
    store.end(one, above, "FAILED")
    assert status() == "RUNNING", "two is at work"
    store.end(two, above, "FINISHED")
    assert status() == "FAILED"
    again, _ = store.begin(execution("one", began=9))
    assert status() == "RUNNING"
    store.end(again, above, "FINISHED")
    assert status() == "FINISHED", "what was tried again counts as it ended last"


def test_only_processes_of_this_machine_that_are_gone_are_ended(checkout: Checkout) -> None:
    store = Store()
    owners = {"gone": GONE, "alive": str(Owner.of(psutil.Process())), "elsewhere": "elsewhere-12-1700000000"}
    runs = {name: store.begin(execution(name, owner=owner, reproduction=name)) for name, owner in owners.items()}
    store.client.create_run(store.experiment)  # somebody's own
    store.begin(execution("next"))
    found = {name: [store.client.get_run(each).info.status for each in pair] for name, pair in runs.items()}
    assert found == {"gone": ["KILLED"] * 2, "alive": ["RUNNING"] * 2, "elsewhere": ["RUNNING"] * 2}


def test_a_sweep_has_a_run_a_point_below_one_and_a_later_process_goes_on_with_them(checkout: Checkout) -> None:
    store, runs = Store(), {}
    for process, values in (("me", "seed=0"), ("me", "seed=1"), ("another", "seed=1")):
        part = {"name": "sweep-1", "axes": "seed=0,1", "point": f"set-{values}", "values": values}
        params = {"name": "toy", "seed": values[-1]}
        runs[process, values] = store.begin(
            execution("toy@first", reproduction=process, sweep=part, params=params, began=len(runs))
        )
    (_, first), (_, second), (_, again) = runs.values()
    assert second == again != first
    points = [store.client.get_run(each) for each in (first, second)]
    assert [each.data.tags["dbdflow.kind"] for each in points] == ["point", "point"]
    assert [each.data.params["seed"] for each in points] == ["0", "1"]
    (whole,) = store.find("dbdflow.kind", "sweep")
    assert whole.info.run_name.startswith("sweep seed=0,1 ")
    assert {each.data.tags["mlflow.parentRunId"] for each in points} == {whole.info.run_id}

    def statuses() -> list[str]:
        return [store.client.get_run(each).info.status for each in (first, second, whole.info.run_id)]

    store.end(*runs["me", "seed=1"], "KILLED")
    store.end(*runs["another", "seed=1"], "FINISHED")
    assert statuses() == ["RUNNING", "FINISHED", "RUNNING"]
    store.end(*runs["me", "seed=0"], "FINISHED")
    assert statuses() == ["FINISHED"] * 3


# ---- a store that is down


@contextmanager
def nobody(checkout: Checkout, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """A server that is not there."""
    patch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    yield


@contextmanager
def locked(checkout: Checkout, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """A database that another program holds."""
    patch.setattr(client, "BUSY", 0.1)
    with closing(sqlite3.connect(database())) as connection:
        connection.execute("begin immediate")
        yield


@contextmanager
def in_the_way(checkout: Checkout, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder where the database should be."""
    database().unlink()
    database().mkdir()
    yield


@contextmanager
def nonsense(checkout: Checkout, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """A file that is no database."""
    database().write_text("nonsense " * 1000)
    yield


@pytest.mark.parametrize("down", [nobody, locked, in_the_way, nonsense])
def test_a_store_that_is_down_costs_one_warning_and_no_time(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, down: Callable
) -> None:
    run = Run()
    with down(checkout, monkeypatch):
        begun = time.monotonic()
        run.begin(execution("toy"))
        for step in range(1000):
            run.write(lambda store, run, step=step: store.log(run, metrics={"loss": 0.5}, step=step))
        run.end("FINISHED")
    assert time.monotonic() - begun < 20
    (warning,) = caplog.messages
    assert warning.startswith("MLflow fails (")
    assert warning.endswith("): going on without it; `dbdflow log` makes up for it")


def test_a_store_that_goes_down_meanwhile_is_asked_no_more(
    checkout: Checkout, caplog: pytest.LogCaptureFixture
) -> None:
    run, calls = Run(), Mock(side_effect=OSError("disk full"))
    run.begin(execution("toy", owner=GONE))
    for _ in range(3):
        run.write(calls)
    run.end("FINISHED")
    assert calls.call_count == len(caplog.messages) == 1
    Run().begin(execution("next"))
    assert checkout.tracked().stages["toy"].info.status == "KILLED", "so that it is logged later"


def test_a_value_that_mlflow_refuses_is_left_out_alone(checkout: Checkout, caplog: pytest.LogCaptureFixture) -> None:
    run = Run()
    run.begin(execution("toy"))
    for value in ("1", "2"):
        run.write(lambda store, run, value=value: store.log(run, params={"seed": value}))
    run.write(lambda store, run: store.log(run, metrics={"loss": 0.5}))
    run.end("FINISHED")
    found = checkout.tracked().stages["toy"]
    assert (found.data.params, found.data.metrics, found.info.status) == ({"seed": "1"}, {"loss": 0.5}, "FINISHED")
    (warning,) = caplog.messages
    assert warning.startswith("MLflow leaves something out (")


def test_what_was_not_logged_is_logged_later_and_once(checkout: Checkout) -> None:
    assert checkout.run("dvc", "repro", "toy@first").returncode == 0
    down = {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{free_port()}"}
    done = checkout.run("dvc", "repro", "toy@second", **down)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("MLflow") == 1, done.stderr
    failed = checkout.run(*LOG, **down)
    assert (failed.returncode, failed.stderr[:21]) == (2, "error: MLflow fails (")
    assert checkout.run(*LOG).stdout == "1 runs logged in MLflow\n"
    assert checkout.run(*LOG).stdout == "0 runs logged in MLflow\n"
    tracked = checkout.tracked()
    made, later_ = tracked.stages["toy@first"], tracked.stages["toy@second"]
    assert ("dbdflow.logged_later" in made.data.tags, later_.data.tags["dbdflow.logged_later"]) == (False, "true")
    assert later_.info.status == "FINISHED"
    assert later_.data.params == made.data.params | {"run": "second"}
    assert tracked.steps("toy@second", "sum") == [(1, 6.0), (2, 7.5)]
    assert tracked.steps("toy@second", "EBD_1305/mae") == [(0, 0.5)]
    assert set(made.data.tags) - set(later_.data.tags) == set()
    assert (tracked.model("toy@second") / "model.safetensors").read_bytes() == b"weights of second"
    checkout.write("data/in.txt", "4 5 6")
    said = checkout.run(*LOG).stdout
    assert said.splitlines()[0].startswith("toy@first: left out: dvc.lock records another state of it")
    assert said.splitlines()[-1] == "0 runs logged in MLflow"


def test_nothing_is_left_in_the_home_directory_and_without_mlflow_nothing_fresh_is_made(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = checkout.root / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    assert checkout.toy("--run", "first", DBDFLOW_MLFLOW="off").returncode == 0
    assert not (checkout.root / ".dbdflow/mlflow").exists()
    assert checkout.toy("--run", "second").returncode == 0
    assert checkout.tracked().stages["toy@second"].info.status == "FINISHED"
    assert list(home.rglob("*")) == []


# ---- names
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
        ("python -P /site/pipelines/running/dvc_kept.py", True),
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
