"""`dbdflow reproduce` on a small real repository: real DVC, real processes, real signals; and as a Prefect flow run."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest
from ruamel.yaml import YAML

from pipelines.repo import recovery
from pipelines.running.entries import put_in_order
from tests.flows.conftest import PROJECT, Checkout, ask, until

DBDFLOW = str(Path(sys.executable).with_name("dbdflow"))
TOTAL = """
  total:
    cmd: cat data/out/first/model.safetensors data/out/second/model.safetensors > data/total
    deps: [data/out/first, data/out/second]
    outs: [data/total]
"""
GROUP = ("dvc_kept.py", "pipelines.stages.toy", "dbdflow reproduce")


@pytest.fixture(autouse=True)
def _no_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBDFLOW_MLFLOW", "off")


@pytest.fixture
def dag(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> Iterator[Checkout]:
    """The stages `toy@first` and `toy@second`, and `total` after both; its own copy of the glue is used."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(checkout.root), str(PROJECT)]))
    checkout.write("dvc.yaml", (checkout.root / "dvc.yaml").read_text() + TOTAL)
    checkout.write("pipelines/running/resources.yaml", "toy: {cores: 0}\n")
    commit(checkout)
    yield checkout
    for process in mine(checkout):
        process.kill()


def commit(checkout: Checkout) -> None:
    done = checkout.run("git", "commit", "--quiet", "--all", "--message", "changed")
    assert done.returncode == 0, done.stderr


def mine(checkout: Checkout) -> list[psutil.Process]:
    """Live processes of a reproduction of this checkout."""
    found = []
    for process in psutil.process_iter():
        try:
            command = " ".join(process.cmdline())
            here = process.cwd().startswith(str(checkout.root)) and any(word in command for word in GROUP)
            if here and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def lock(checkout: Checkout) -> dict[str, Any]:
    found: dict[str, Any] = YAML(typ="safe").load((checkout.root / "dvc.lock").read_text())["stages"]
    return found


def choose(checkout: Checkout, old: str, new: str) -> None:
    text = (checkout.root / "params.yaml").read_text()
    assert old in text
    checkout.write("params.yaml", text.replace(old, new))


def test_entries_stand_as_dvc_repro_runs_the_stages(tmp_path: Path) -> None:
    (tmp_path / ".dvc" / "tmp").mkdir(parents=True)
    lines = {name: f"  {name}:\n    cmd: make {name}\n" for name in ("b", "left by another", "a")}
    (tmp_path / "dvc.lock").write_text("schema: '2.0'\nstages:\n" + "".join(lines.values()))
    put_in_order(tmp_path, ["a", "b", "not made yet"])
    wanted = "schema: '2.0'\nstages:\n" + lines["a"] + lines["left by another"] + lines["b"]
    assert (tmp_path / "dvc.lock").read_text() == wanted
    before = (tmp_path / "dvc.lock").stat().st_mtime_ns
    put_in_order(tmp_path, ["a", "b"])
    assert (tmp_path / "dvc.lock").stat().st_mtime_ns == before, "nothing to do, nothing written"


def test_it_ends_with_the_lock_of_dvc_repro(dag: Checkout, tmp_path: Path) -> None:
    other = Checkout(tmp_path / "other")
    shutil.copytree(dag.root, other.root)
    done = dag.run(DBDFLOW, "reproduce", "--jobs", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("3 stages, 3 out of date: 3 ran, in ")
    assert other.run("dvc", "repro").returncode == 0
    assert (dag.root / "dvc.lock").read_bytes() == (other.root / "dvc.lock").read_bytes()
    assert list(lock(dag)) == ["toy@first", "toy@second", "total"]

    assert dag.run(DBDFLOW, "reproduce").stdout == "nothing to do: all 3 stages are up to date\n"
    choose(dag, "rate: 0.1", "rate: 0.2")
    dry = dag.run(DBDFLOW, "reproduce", "--dry", "total").stdout.splitlines()
    assert dry[0] == "3 of 3 stages would run, or be taken from DVC's run cache:"
    assert re.fullmatch(r"  toy@first   \d+ s \(CPU\) last time\s+toy\.rate: 0\.1 -> 0\.2", dry[1])
    assert re.fullmatch(r"  total       not timed yet\s+after toy@first, after toy@second", dry[3])
    only = dag.run(DBDFLOW, "reproduce", "--only", "toy@second")
    assert re.search(r"^1 stages, 1 out of date: 1 ran", only.stdout, re.MULTILINE)
    choose(dag, "rate: 0.2", "rate: 0.1")
    back = dag.run(DBDFLOW, "reproduce").stdout
    assert "toy@second: from the run cache" in back


def test_a_failure_is_named_with_cause_and_log_and_the_rest_finishes(dag: Checkout) -> None:
    choose(dag, 'second: {options: ""}', "second: {options: '--fails input'}")
    done = dag.run(DBDFLOW, "reproduce", "--jobs", "2")
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    found = re.search(r"^  toy@second: data/in.txt: found nonsense, .*; log: (.+)$", done.stdout, re.MULTILINE)
    assert found
    assert "found nonsense" in Path(found[1]).read_text()
    assert "  total: needs toy@second" in done.stdout.splitlines()
    assert set(lock(dag)) == {"toy@first"}
    choose(dag, "--fails input", "--fails bug")
    assert "  toy@second: RuntimeError: boom; log: " in dag.run(DBDFLOW, "reproduce").stdout


def shell(checkout: Checkout, command: str, need: str) -> None:
    """One stage that is a shell command."""
    checkout.write("dvc.yaml", json.dumps({"stages": {"one": {"cmd": command, "outs": ["data/one"]}}}))
    checkout.write("pipelines/running/resources.yaml", f"one: {need}\n")


def test_bad_luck_with_a_network_is_tried_again(dag: Checkout) -> None:
    shell(dag, "test -e tried && echo > data/one || { touch tried; exit 75; }", "{network: 1, retries: [0.1]}")
    done = dag.run(DBDFLOW, "reproduce")
    assert done.returncode == 0, done.stdout
    assert "one: tried again in 0 s" in done.stdout


def test_what_would_fail_again_is_not_tried_again(dag: Checkout) -> None:
    shell(dag, "echo x >> tried; exit 2", "{network: 1, retries: [0.1]}")
    assert dag.run(DBDFLOW, "reproduce").returncode == 1
    assert (dag.root / "tried").read_text() == "x\n"


def test_a_stage_that_exceeds_its_time_is_ended(dag: Checkout) -> None:
    shell(dag, "sleep 100", "{hours: 0.001}")
    begun = time.monotonic()
    done = dag.run(DBDFLOW, "reproduce")
    assert done.returncode == 1
    assert "it took longer than 0.001 h (`hours` in pipelines/running/resources.yaml) and was ended" in done.stdout
    assert time.monotonic() - begun < 40


def test_a_stage_sees_its_gpu_alone(dag: Checkout) -> None:
    stages = {f"s{n}": {"cmd": f"echo $CUDA_VISIBLE_DEVICES > data/{n}", "outs": [f"data/{n}"]} for n in range(2)}
    dag.write("dvc.yaml", json.dumps({"stages": stages}))
    dag.write("pipelines/running/resources.yaml", "s0: {cores: 0, gpu: 1}\ns1: {cores: 0}\n")
    assert dag.run(DBDFLOW, "reproduce", CUDA_VISIBLE_DEVICES="7").returncode == 0
    assert [(dag.root / f"data/{n}").read_text() for n in range(2)] == ["7\n", "\n"]


# ---- cancel and crash


def working(dag: Checkout) -> bool:
    """Both stages have begun their epochs, and hold."""
    return len(list(dag.root.glob(".dbdflow/scratch/*/epochs"))) == 2


def victims(dag: Checkout, word: str) -> list[psutil.Process]:
    return [process for process in mine(dag) if word in " ".join(process.cmdline())]


@pytest.mark.parametrize(
    ("word", "number", "code"),
    [
        ("dbdflow reproduce", signal.SIGINT, 130),
        ("dbdflow reproduce", signal.SIGKILL, -9),
        ("dvc_kept.py", signal.SIGKILL, 1),
        ("pipelines.stages.toy", signal.SIGKILL, 1),
    ],
)
def test_whatever_is_killed_nothing_is_left_and_it_goes_on(dag: Checkout, word: str, number: int, code: int) -> None:
    dag.write("hold", "")
    with dag.start(DBDFLOW, "reproduce", "--jobs", "2") as process:
        until(lambda: working(dag))
        victims(dag, word)[0].send_signal(number)
        until(lambda: not mine(dag), 10)
        out, errors = process.communicate(timeout=10)
    assert process.returncode == code
    assert "Traceback" not in out + errors
    if code == 1:
        assert f"killed from outside ({signal.Signals(number).name})" in out
    (dag.root / "hold").unlink()
    again = dag.run(DBDFLOW, "reproduce", "--jobs", "2")
    assert again.returncode == 0, again.stdout
    logs = [path.read_text() for path in dag.root.glob(".dbdflow/logs/reproduce/*/toy@*.log")]
    assert sum("epochs before 1" in text for text in logs) == 2, "both went on from their checkpoints"
    assert json.loads((dag.root / ".dvc/tmp/rwlock").read_text()) in ({}, {"read": {}, "write": {}})


def test_a_second_reproduction_waits_and_says_for_whom(dag: Checkout) -> None:
    dag.write("hold", "")
    with dag.start(DBDFLOW, "reproduce", "--jobs", "2") as first:
        until(lambda: working(dag))
        with dag.start(DBDFLOW, "reproduce") as second:
            assert second.stdout is not None
            line = second.stdout.readline()
            (dag.root / "hold").unlink()
            assert second.communicate(timeout=60)[0].endswith("nothing to do: all 3 stages are up to date\n")
        first.communicate(timeout=60)
    assert re.search(rf"waiting for the reproduction that holds it \(process {first.pid} since .*reproduce", line)
    assert (first.returncode, second.returncode) == (0, 0)


def test_what_would_run_is_not_told_while_a_stage_runs(dag: Checkout) -> None:
    dag.write("hold", "")
    with dag.start(DBDFLOW, "reproduce", "--jobs", "2") as process:
        until(lambda: working(dag))
        asked = dag.run(DBDFLOW, "reproduce", "--dry")
        (dag.root / "hold").unlink()
        process.communicate()
    assert asked.returncode == 2
    message = rf"error: {dag.root}: process \d+ is at work in it \(dvc .*\), and .*; ask again when it has ended\n"
    assert re.fullmatch(message, asked.stdout + asked.stderr)
    assert dag.run(DBDFLOW, "reproduce", "--dry").returncode == 0


def test_waiting_can_be_given_up(dag: Checkout) -> None:
    dag.write("hold", "")
    with dag.start(DBDFLOW, "reproduce") as first:
        until(lambda: list(dag.root.glob(".dbdflow/scratch/*/epochs")))
        with dag.start(DBDFLOW, "reproduce") as second:
            assert second.stdout is not None
            second.stdout.readline()
            second.send_signal(signal.SIGINT)
            _, errors = second.communicate(timeout=20)
        first.send_signal(signal.SIGINT)
        first.communicate(timeout=20)
    assert second.returncode == 2
    assert "stopped by SIGINT while waiting for the reproduction that holds it" in errors


def test_half_a_lock_file_is_replaced_by_the_last_whole_one(dag: Checkout) -> None:
    assert dag.run(DBDFLOW, "reproduce").returncode == 0
    whole = (dag.root / "dvc.lock").read_text()
    said: list[str] = []
    for left in (
        "schema: '2.0'\nstages:\n  toy@first:\n    cmd: python -m pip\n    de",
        "a: [b",
        whole[: whole.rindex("- path") + 4],
        "",
    ):
        dag.write("dvc.lock", left)
        recovery.repair(dag.root, said.append)
        assert (dag.root / "dvc.lock").read_text() == whole
        assert (dag.root / ".dbdflow/dvc.lock.broken").read_text() == left
        assert "was half-written by a process that was killed: the last whole one is back" in said[-1]
    assert len(said) == 4
    dag.write("dvc.lock", "")
    assert dag.run("dvc", "status").returncode != 0, "DVC itself refuses it"
    done = dag.run(DBDFLOW, "reproduce")
    assert done.stdout.splitlines()[-1] == "nothing to do: all 3 stages are up to date"


def test_dvcs_list_of_paths_in_use_is_freed_of_the_dead(dag: Checkout) -> None:
    with subprocess.Popen(["true"]) as gone:
        pass
    waits = [sys.executable, "-c", "print(flush=True); input()  # dvc", "dvc"]
    with subprocess.Popen(waits, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as alive:
        assert alive.stdout
        alive.stdout.readline()  # it is up, and its command line can be read
        entries = [{"pid": pid, "cmd": "dvc repro"} for pid in (gone.pid, alive.pid, 1)]
        listed = {"write": {"/a": entries[0], "/b": entries[1]}, "read": {"/c": entries, "/d": [entries[2]]}}
        dag.write(".dvc/tmp/rwlock", json.dumps(listed))
        recovery.release_paths(dag.root / ".dvc/tmp", print)
        alive.communicate(b"\n")
    kept = json.loads((dag.root / ".dvc/tmp/rwlock").read_text())
    assert kept == {"write": {"/b": entries[1]}, "read": {"/c": [entries[1]]}}
    dag.write(".dvc/tmp/rwlock", '{"write": {"/a"')
    said: list[str] = []
    recovery.release_paths(dag.root / ".dvc/tmp", said.append)
    assert not (dag.root / ".dvc/tmp/rwlock").exists()
    assert "was half-written" in said[0]


# ---- experiments


@pytest.fixture
def project(dag: Checkout) -> Checkout:
    """The small repository with a params file that the project's own check takes, and a preset."""
    shutil.copytree(PROJECT / "presets", dag.root / "presets")
    params = (dag.root / "presets/smoke.yaml").read_text()
    dag.write("params.yaml", params)
    yaml = (dag.root / "dvc.yaml").read_text().replace("${runs}", "{first: {options: ''}, second: {options: ''}}")
    dag.write("dvc.yaml", yaml.replace("params: [toy]", "params: [stage1.epochs]"))
    toy = (dag.root / "pipelines/stages/toy.py").read_text().replace('["toy"]', '["stage1"]')
    dag.write("pipelines/stages/toy.py", toy)
    assert dag.run("git", "add", ".").returncode == 0
    commit(dag)
    return dag


def test_an_experiment_leaves_the_workspace_alone(project: Checkout) -> None:
    assert project.run(DBDFLOW, "reproduce").returncode == 0
    before = lock(project)
    done = project.run(DBDFLOW, "reproduce", "--set", "stage1.epochs=1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert lock(project) == before
    assert project.run("git", "status", "--porcelain", "--untracked-files=no").stdout == ""
    (name,) = re.findall(r"^experiment (\S+): see", done.stdout, re.MULTILINE)
    assert name in project.run("dvc", "exp", "list", "--name-only").stdout.split()
    assert list((project.root / ".dbdflow/experiments").iterdir()) == []
    assert project.run("dvc", "exp", "apply", name).returncode == 0
    assert "epochs: 1" in (project.root / "params.yaml").read_text()
    assert "nothing to do" in project.run(DBDFLOW, "reproduce").stdout


def test_an_experiment_shows_only_what_it_computed(project: Checkout) -> None:
    assert project.run(DBDFLOW, "reproduce").returncode == 0
    done = project.run(DBDFLOW, "reproduce", "--set", "stage1.epochs=1", "--only", "toy@first")
    assert done.returncode == 0, done.stdout + done.stderr
    (name,) = re.findall(r"^experiment (\S+): see", done.stdout, re.MULTILINE)
    commit = project.run("git", "for-each-ref", "--format=%(objectname)", f"refs/exps/**/{name}").stdout.strip()
    kept = YAML(typ="safe").load(project.run("git", "show", f"{commit}:dvc.lock").stdout)["stages"]
    assert {stage: entry["params"]["params.yaml"] for stage, entry in kept.items()} == {
        "toy@first": {"stage1.epochs": 1}
    }


def test_an_interrupted_experiment_goes_on_in_its_clone(project: Checkout) -> None:
    words = (DBDFLOW, "reproduce", "--jobs", "2", "--preset", "smoke", "--set", "stage1.epochs=7")
    hold = project.root / "hold"
    hold.touch()
    with project.start(*words, TOY_HOLD=str(hold)) as process:
        until(lambda: working(project))
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    assert process.returncode == 130
    hold.unlink()
    again = project.run(*words)
    assert again.returncode == 0, again.stdout + again.stderr
    assert ": goes on where it was" in again.stdout
    assert "3 ran" in again.stdout


def test_an_experiment_on_a_broken_lock_is_one_message(project: Checkout) -> None:
    project.write("dvc.lock", "")
    done = project.run(DBDFLOW, "sweep", "seed=1,2", "--dry")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {project.root}/dvc.lock: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "stage1.epoch=1"], "unknown key `stage1.epoch`; the nearest valid key is `stage1.epochs`"),
        (["--set", "stage1.epochs"], "--set stage1.epochs: expected key=value, e.g. stage1.epochs=3"),
        (["--set", "stage1.epochs=many"], "`stage1.epochs` is 'many' (str)"),
        (["--preset", "tiny"], "no such preset; presets: cuhk, cuhk_small, miniature, paper, smoke, study"),
        (["--preset", "../params"], "no such preset; presets: cuhk, cuhk_small, miniature, paper, smoke, study"),
        (["--only", "tyo"], "dvc.yaml has no stage 'tyo'; did you mean toy?"),
    ],
)
def test_what_cannot_be_reproduced_is_one_message(project: Checkout, words: list[str], message: str) -> None:
    done = project.run(DBDFLOW, "reproduce", *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_wrong_params_are_told_once_and_cost_no_output(project: Checkout) -> None:
    project.write("components/params.py", (PROJECT / "components/params.py").read_text())
    project.write("data/out/first/model.safetensors", "of the last run")
    choose(project, "\n  beta: 3.0", "\n  betta: 3.0")
    choose(project, "image_size: 64", "image_size: 65")
    done = project.run(DBDFLOW, "reproduce")
    assert done.returncode == 2
    params = project.root / "params.yaml"
    assert done.stderr.splitlines() == [
        f"error: {params}: `image_size` is 65 (int): Input should be a multiple of 32",
        f"{params}: key `stage2.beta` is missing; presets/ holds complete files",
        f"{params}: unknown key `stage2.betta`; the nearest valid key is `stage2.beta`",
    ]
    assert done.stdout == "", "no stage has begun"
    assert (project.root / "data/out/first/model.safetensors").read_text() == "of the last run"
    choose(project, "betta", "beta")
    choose(project, "image_size: 65", "image_size: 64")
    choose(project, "pretrained: false, train", "pretrained: mine.safetensors, train")
    missing = project.run(DBDFLOW, "reproduce").stderr
    named = f"error: {params}: `pretrained` of dffnet: {project.root}/mine.safetensors: no such file; name one of"
    assert missing.startswith(named)
    project.write("mine.safetensors", "")
    assert "3 of 3 stages would run" in project.run(DBDFLOW, "reproduce", "--dry").stdout
    assert (project.root / ".dbdflow/params_checked").exists()


@pytest.mark.parametrize("name", ["dvc.yaml", "params.yaml"])
def test_a_missing_file_is_one_message(dag: Checkout, name: str) -> None:
    (dag.root / name).unlink()
    done = dag.run(DBDFLOW, "reproduce")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {dag.root / name}: no such file; ")
    assert len(done.stderr.splitlines()) == 1


# ---- Prefect


def flow_runs(api: str, **chosen: object) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ask(f"{api}/flow_runs/filter", {"flow_runs": chosen, "sort": "START_TIME_DESC"})
    return found


def reproductions(api: str) -> list[dict[str, Any]]:
    (flow,) = ask(f"{api}/flows/filter", {"flows": {"name": {"any_": ["reproduce"]}}})
    return [run for run in flow_runs(api) if run["flow_id"] == flow["id"]]


def test_a_reproduction_is_a_flow_run_of_task_runs(dag: Checkout, prefect_api: str) -> None:
    choose(dag, 'second: {options: ""}', "second: {options: '--fails input'}")
    dag.write(".dbdflow/prefect_api_url", prefect_api)  # as `dbdflow up` leaves it
    done = dag.run(DBDFLOW, "reproduce", "--jobs", "2")
    assert done.returncode == 1, done.stdout + done.stderr
    run = reproductions(prefect_api)[0]
    assert run["name"].startswith("reproduce workspace ")
    assert run["state_type"] == "FAILED"
    assert "toy@second: data/in.txt: found nonsense" in run["state"]["message"]
    tasks = {
        each["name"]: each
        for each in ask(f"{prefect_api}/task_runs/filter", {"flow_runs": {"id": {"any_": [run["id"]]}}})
    }
    states = {name: each["state_type"] for name, each in tasks.items()}
    assert states == {"toy@first": "COMPLETED", "toy@second": "FAILED", "total": "PENDING"}
    assert tasks["total"]["state"]["name"] == "NotReady"
    assert {"dbdflow", "toy"} <= set(tasks["toy@first"]["tags"])
    (child,) = flow_runs(prefect_api, parent_task_run_id={"any_": [tasks["toy@first"]["id"]]})
    assert (child["name"], child["state_type"]) == ("toy@first", "COMPLETED")
    (summary,) = ask(f"{prefect_api}/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run["id"]]}}})
    assert "| toy@second | failed |" in summary["data"]
    assert "| total | skipped |" in summary["data"]
    logs = ask(f"{prefect_api}/logs/filter", {"logs": {"flow_run_id": {"any_": [run["id"]]}}})
    assert any(line["message"].startswith("toy@first: done after") for line in logs)


def test_prefect_can_cancel_what_a_console_runs(dag: Checkout, prefect_api: str) -> None:
    dag.write("hold", "")
    with dag.start(DBDFLOW, "reproduce", "--jobs", "2", PREFECT_API_URL=prefect_api) as process:
        until(lambda: working(dag))
        run = reproductions(prefect_api)[0]
        ask(f"{prefect_api}/flow_runs/{run['id']}/set_state", {"state": {"type": "CANCELLING"}, "force": False})
        until(lambda: not mine(dag), 10)
        out, _ = process.communicate(timeout=10)
    assert process.returncode == 1
    assert "cancelled in Prefect" in out.splitlines()
    assert ask(f"{prefect_api}/flow_runs/{run['id']}")["state_type"] == "CANCELLED"


@pytest.fixture
def worker(dag: Checkout, prefect_api: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A real worker in the checkout, the deployment `reproduce/small`, and the project's own that follows a branch."""
    pool = {"work_pool": {"name": "small"}}
    small = {"name": "small", "entrypoint": "pipelines.flows.reproduce:reproduce"} | pool
    shipped = YAML(typ="safe").load((PROJECT / "prefect.yaml").read_text())["deployments"]
    (follows,) = [each for each in shipped if each["entrypoint"] == "pipelines.flows.watch:watch"]
    follows |= {"parameters": {"remote": ".", "branch": "main"}} | pool
    dag.write("prefect.yaml", json.dumps({"name": "toy", "pull": None, "deployments": [small, follows]}))
    assert dag.run("git", "branch", "--move", "main").returncode == 0
    shutil.copy(PROJECT / "prefect.toml", dag.root)
    prefect = (sys.executable, "-m", "prefect")
    told = {
        "PREFECT_API_URL": prefect_api,
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }
    assert dag.run(*prefect, "work-pool", "create", "small", "--type", "process", "--overwrite", **told).returncode == 0
    deployed = dag.run(*prefect, "--no-prompt", "deploy", "--all", **told)
    assert deployed.returncode == 0, deployed.stdout + deployed.stderr
    with (dag.root / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            [*prefect, "worker", "start", "--pool", "small"],
            cwd=dag.root,
            env=os.environ | told,
            stdout=log,
            stderr=log,
        )
    yield process
    process.kill()
    process.wait()


def run_deployment(api: str, parameters: dict[str, Any]) -> str:
    deployment = ask(f"{api}/deployments/name/reproduce/small")
    body = {"parameters": parameters, "state": {"type": "SCHEDULED"}}
    return str(ask(f"{api}/deployments/{deployment['id']}/create_flow_run", body)["id"])


def follow_by_event(api: str) -> dict[str, Any]:
    """The end of the flow run that an event starts."""
    event = {"event": "dbdflow.push", "resource": {"prefect.resource.id": "dbdflow.branch"}, "id": str(uuid4())}
    ask(f"{api}/events", [event | {"occurred": datetime.now(UTC).isoformat()}])
    deployment = ask(f"{api}/deployments/name/watch/branch")["id"]
    until(lambda: flow_runs(api, deployment_id={"any_": [deployment]}, state={"type": {"any_": ["COMPLETED"]}}))
    return flow_runs(api, deployment_id={"any_": [deployment]})[0]["state"]


def test_a_worker_runs_the_deployment_and_a_killed_one_leaves_nothing(
    dag: Checkout, prefect_api: str, worker: "subprocess.Popen[bytes]"
) -> None:
    run = run_deployment(prefect_api, {"jobs": 2})
    until(lambda: ask(f"{prefect_api}/flow_runs/{run}")["state_type"] == "COMPLETED")
    assert set(lock(dag)) == {"toy@first", "toy@second", "total"}

    state = follow_by_event(prefect_api)
    assert state["message"].endswith("changed: nothing that a stage depends on has changed")

    choose(dag, "rate: 0.1", "rate: 0.3")
    dag.write("hold", "")
    run = run_deployment(prefect_api, {"jobs": 2})
    until(lambda: working(dag))
    worker.kill()
    until(lambda: not mine(dag), 10)
    until(lambda: ask(f"{prefect_api}/flow_runs/{run}")["state_type"] == "CANCELLED", 10)
    (dag.root / "hold").unlink()
    assert dag.run(DBDFLOW, "reproduce").returncode == 0
