"""What a stage is run in: options, exit codes, scratch folders, death with DVC, Prefect."""

import json
import signal
import sys
import threading
from pathlib import Path
from typing import Any, Literal

import psutil
import pytest

from components.common.errors import InputError
from pipelines.harness import options
from pipelines.repo.fingerprint import Fingerprint, Pipeline, fingerprint
from pipelines.system import environment
from pipelines.system.progress import Progress, duration
from tests.flows.conftest import Checkout, Wire, ask, free_port, until

TOY = (sys.executable, "-m", "pipelines.stages.toy")


@pytest.fixture(autouse=True)
def _no_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBDFLOW_MLFLOW", "off")


# ---- options


def example(
    stage: object,
    *,
    run: str,
    size: int = 3,
    rate: float = 0.5,
    kind: Literal["a", "b"] = "a",
    sets: list[str] | None = None,
    out: Path | None = None,
    force: bool = False,
) -> None:
    """An example."""


def test_options_are_read_as_annotated() -> None:
    words = [
        "--run",
        "x",
        "--size",
        "4",
        "--rate",
        "1e-4",
        "--kind",
        "b",
        "--sets",
        "cuhk",
        "dut",
        "--out",
        "a/b",
        "--force",
    ]
    expected = {"run": "x", "size": 4, "rate": 1e-4, "kind": "b", "sets": ["cuhk", "dut"], "out": Path("a/b")}
    assert options.parse(example, words) == expected | {"force": True}
    defaults = {"run": "x", "size": 3, "rate": 0.5, "kind": "a", "sets": None, "out": None, "force": False}
    assert options.parse(example, ["--run", "x"]) == defaults


@pytest.mark.parametrize("words", [[], ["--run", "x", "--size", "many"], ["--run", "x", "--kind", "c"], ["--runs"]])
def test_wrong_options_end_with_a_usage_message(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        options.parse(example, words)
    assert end.value.code == 2
    assert "usage: python -m pipelines.stages.example" in capsys.readouterr().err


# ---- how a stage ends


def test_bad_input_is_one_message(checkout: Checkout) -> None:
    done = checkout.toy("--run", "first", "--fails", "input")
    assert done.returncode == 2
    assert "error: data/in.txt: found nonsense, expected numbers; write some" in done.stderr.splitlines()
    assert "Traceback" not in done.stderr


def test_a_stage_that_lacks_something_says_so_in_its_output_and_ends_well(checkout: Checkout) -> None:
    done = checkout.toy("--run", "first", "--fails", "absent")
    assert done.returncode == 0
    said = "not at hand: the sum: the numbers are not published; ask their authors"
    assert said in done.stderr.splitlines()
    assert json.loads((checkout.root / "data/out/first/not_available.json").read_text()) == {
        "what": "the sum",
        "reason": "the numbers are not published",
        "remedy": "ask their authors",
    }


def test_an_error_is_told_with_its_traceback(checkout: Checkout) -> None:
    done = checkout.toy("--run", "first", "--fails", "bug")
    assert done.returncode == 1
    assert done.stderr.count("Traceback") == 1
    assert done.stderr.splitlines()[-1] == "RuntimeError: boom"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_an_interrupted_stage_goes_on_from_its_scratch_folder(checkout: Checkout, number: int, code: int) -> None:
    checkout.write("hold", "")
    with checkout.start(*TOY, "--run", "first") as stage:
        until(checkout.working)
        stage.send_signal(number)
        out, errors = stage.communicate(timeout=30)
    assert stage.returncode == code
    if number != signal.SIGKILL:
        assert "interrupted; the next start goes on from the last checkpoint" in errors
        assert "Traceback" not in errors
    assert out.endswith("epochs before 0\n")
    (checkout.root / "hold").unlink()
    again = checkout.toy("--run", "first")
    assert again.stdout.splitlines()[0] == out.strip().replace("before 0", "before 1")
    assert list((checkout.root / ".dbdflow" / "scratch").iterdir()) == []


def test_two_processes_that_do_the_same_have_a_scratch_folder_each(checkout: Checkout) -> None:
    checkout.write("hold", "")
    stages = [checkout.start(*TOY, "--run", "first") for _ in range(2)]
    until(lambda: len(list(checkout.root.glob(".dbdflow/scratch/*/epochs"))) == 2)
    (checkout.root / "hold").unlink()
    outputs = []
    for stage in stages:
        with stage:
            outputs.append(stage.communicate(timeout=30)[0].splitlines()[0])
    first, second = sorted(output.split()[1] for output in outputs)
    assert second == f"{first}-1"


@pytest.mark.parametrize("shell", ["", "true; "])
def test_a_stage_dies_with_dvc(checkout: Checkout, shell: str) -> None:
    checkout.write("hold", "")
    checkout.write("dvc.yaml", (checkout.root / "dvc.yaml").read_text().replace("cmd: ", f"cmd: {shell}"))
    with checkout.start("dvc", "repro", "toy@first") as dvc:
        until(checkout.working)
        below = psutil.Process(dvc.pid).children(recursive=True)
        (stage,) = [each for each in below if each.cmdline()[1:3] == list(TOY[1:])]
        dvc.kill()
        until(lambda: not stage.is_running(), 15)


# ---- what a stage depends on


def found(checkout: Checkout, stage: str | None = "toy@first", run: str = "first") -> Fingerprint:
    return fingerprint(stage, "pipelines.stages.toy", ["--run", run], checkout.root)


@pytest.mark.parametrize(
    ("path", "old", "new", "changes"),
    [
        ("params.yaml", "rate: 0.1", "rate: 0.2", True),
        ("params.yaml", "other: 1", "other: 2", False),
        ("data/in.txt", "1 2 3", "1 2 4", True),
        ("data/elsewhere.txt", "", "9", False),
        ("dvc.yaml", "--run ${key}", "--run ${key} --fails bug", True),
        ("dvc.yaml", "deps: [data/in.txt]", "deps: [data/in.txt, dvc.yaml]", True),
        ("pipelines/stages/toy.py", "Sum", "Add", False),
    ],
)
def test_the_key_follows_dependencies_and_parameters(
    checkout: Checkout, path: str, old: str, new: str, changes: bool
) -> None:
    before = found(checkout)
    assert before == found(checkout)
    file = checkout.root / path
    checkout.write(path, (file.read_text() if file.exists() else "").replace(old, new))
    assert (found(checkout) != before) is changes


def test_the_key_is_the_same_by_hand_and_under_dvc(checkout: Checkout) -> None:
    assert found(checkout, None) == found(checkout)
    assert found(checkout).dvc_stage == "toy@first"
    assert found(checkout, None, "second").dvc_stage == "toy@second"
    assert found(checkout, None, "second").digest != found(checkout).digest


def test_a_stage_that_dvc_does_not_know_depends_on_everything(checkout: Checkout) -> None:
    before = found(checkout, None, "third")
    assert before.dvc_stage is None
    checkout.write("params.yaml", (checkout.root / "params.yaml").read_text() + "more: 1\n")
    assert found(checkout, None, "third").digest != before.digest


def test_a_folder_of_outputs_counts_by_their_hashes_whether_they_are_here_or_not(checkout: Checkout) -> None:
    checkout.write("dvc.yaml", (checkout.root / "dvc.yaml").read_text().replace("data/in.txt", "data/made"))
    entry = "schema: '2.0'\nstages:\n  made:\n    cmd: x\n    outs: [{path: data/made/raw, md5: %s.dir}]\n"
    checkout.write("dvc.lock", entry % ("1" * 32))
    away = found(checkout)
    checkout.write("data/made/raw/a.txt", "1")
    assert found(checkout) == away
    checkout.write("dvc.lock", entry % ("2" * 32))
    assert found(checkout) != away


def test_the_key_waits_until_dvc_has_written_the_lock_file(checkout: Checkout) -> None:
    """DVC writes in place: for a moment there is a beginning, which ends with another stage's entry."""
    text = (checkout.root / "dvc.yaml").read_text().replace("data/in.txt", "data/made")
    checkout.write("dvc.yaml", text + "  made: {cmd: x, outs: [data/made: {cache: false}]}\n")
    checkout.write("data/made/a.txt", "1")
    beginning = "schema: '2.0'\nstages:\n  other: {cmd: y}\n"
    whole = beginning + "  made: {cmd: x, outs: [{path: data/made, md5: %s.dir}]}\n" % ("1" * 32)
    checkout.write("dvc.lock", whole)
    expected = found(checkout)
    checkout.write("dvc.lock", beginning)
    later = threading.Timer(0.2, checkout.write, ("dvc.lock", whole))
    later.start()
    assert found(checkout) == expected
    later.join()


LOCK = """
schema: '2.0'
stages:
  prepare:
    cmd: python -m pipelines.stages.prepare
    outs:
    - {path: data/prepared, md5: %s.dir}
"""


@pytest.mark.parametrize("dependency", ["data/prepared", "data/prepared/index.csv"])
def test_outputs_of_other_stages_count_by_their_hash_in_the_lock_file(checkout: Checkout, dependency: str) -> None:
    checkout.write("dvc.yaml", (checkout.root / "dvc.yaml").read_text().replace("data/in.txt", dependency))
    keys = set()
    for lock, content in ((LOCK % "aa", "1"), (LOCK % "aa", "2"), (LOCK % "bb", "2"), (None, "2"), (None, "3")):
        if lock is None:
            (checkout.root / "dvc.lock").unlink(missing_ok=True)
        else:
            checkout.write("dvc.lock", lock)
        checkout.write("data/prepared/index.csv", content)
        keys.add(found(checkout).digest)
    assert len(keys) == 4, "the content counts only where the lock file is silent"


TEMPLATES = """
vars: [{folder: data}]
stages:
  lists:
    foreach: ${names}
    do: {cmd: "run ${item}", deps: ["${folder}/${item}.txt"]}
  records:
    foreach: [{name: x}, {name: y}]
    do: {cmd: "run ${item.name}", params: [other, {more.yaml: [a.b]}]}
  odd: {cmd: "run ${nothing.here}"}
"""


def test_templates_are_resolved_as_dvc_does(checkout: Checkout) -> None:
    checkout.write("params.yaml", "names: [in, 7, true]\nother: 1\n")
    checkout.write("more.yaml", "a: {b: 1, c: 2}")
    checkout.write("dvc.yaml", TEMPLATES)
    first = found(checkout, "lists@in").digest
    checkout.write("data/in.txt", "changed")
    assert found(checkout, "lists@in").digest != first
    second = found(checkout, "records@1").digest
    checkout.write("more.yaml", "a: {b: 1, c: 3}")
    assert found(checkout, "records@1").digest == second
    checkout.write("more.yaml", "a: {b: 2, c: 3}")
    assert found(checkout, "records@1").digest != second
    with pytest.raises(InputError, match=r"`nothing\.here`"):
        found(checkout, "odd")


def test_stage_names_are_those_of_dvc(checkout: Checkout) -> None:
    checkout.write("params.yaml", "names: [in, 7, true]\nother: 1\n")
    checkout.write("dvc.yaml", TEMPLATES.replace('  odd: {cmd: "run ${nothing.here}"}\n', ""))
    listed = checkout.run("dvc", "stage", "list", "--name-only")
    assert listed.returncode == 0, listed.stderr
    assert sorted(Pipeline(checkout.root).stages()) == sorted(listed.stdout.split())


# ---- Prefect


def flow_run(checkout: Checkout, api: str) -> dict[str, Any]:
    """The one flow run since the checkout was made."""
    (found,) = ask(f"{api}/flow_runs/filter", {"flow_runs": {"start_time": {"after_": checkout.made.isoformat()}}})
    return found


def test_a_stage_is_a_flow_run_of_its_name(checkout: Checkout, prefect_api: str) -> None:
    done = checkout.run("dvc", "repro", "toy@first", PREFECT_API_URL=prefect_api)
    assert done.returncode == 0, done.stderr
    run = flow_run(checkout, prefect_api)
    assert (run["name"], run["state_type"]) == ("toy@first", "COMPLETED")
    assert run["parameters"]["run"] == "first"
    logs = ask(f"{prefect_api}/logs/filter", {"logs": {"flow_run_id": {"any_": [run["id"]]}}})
    assert ("components.toy", "summing for first") in [(line["name"], line["message"]) for line in logs]
    (flow,) = ask(f"{prefect_api}/flows/filter", {"flows": {"id": {"any_": [run["flow_id"]]}}})
    assert flow["name"] == "toy"


def test_bad_input_is_a_failed_flow_run_and_still_one_message(checkout: Checkout, prefect_api: str) -> None:
    checkout.write(".dbdflow/prefect_api_url", prefect_api)
    done = checkout.toy("--run", "first", "--fails", "input")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    run = flow_run(checkout, prefect_api)
    assert run["state_type"] == "FAILED"
    assert run["state"]["message"] == "data/in.txt: found nonsense, expected numbers; write some"


def test_an_interrupted_stage_is_a_cancelled_flow_run(checkout: Checkout, prefect_api: str) -> None:
    checkout.write("hold", "")
    with checkout.start(*TOY, "--run", "first", PREFECT_API_URL=prefect_api) as stage:
        until(checkout.working)
        stage.terminate()
        stage.communicate(timeout=30)
    assert stage.returncode == 143
    assert flow_run(checkout, prefect_api)["state_type"] == "CANCELLED"


def test_without_an_answering_server_a_stage_is_a_plain_call(checkout: Checkout) -> None:
    done = checkout.toy("--run", "first", PREFECT_API_URL=f"http://127.0.0.1:{free_port()}/api")
    assert done.returncode == 0
    assert "prefect imported: False" in done.stdout
    assert "no Prefect server answers" in done.stderr


def test_work_is_kept_when_the_server_dies_meanwhile(checkout: Checkout, wire: Wire) -> None:
    checkout.write("hold", "")
    with checkout.start(*TOY, "--run", "first", PREFECT_API_URL=wire.api) as stage:
        until(checkout.working)
        wire.cut()
        (checkout.root / "hold").unlink()
        _, errors = stage.communicate(timeout=60)
    assert stage.returncode == 0
    assert "the stage's result is kept" in errors
    assert (checkout.root / "data/out/first/model.safetensors").exists()


# ---- the environment and the console


def test_the_environment_is_quiet_and_local(checkout: Checkout) -> None:
    script = (
        "import os, json; from pipelines.system import environment; environment.apply();"
        "print(json.dumps([dict(os.environ), environment.for_children()]))"
    )
    done = checkout.run(sys.executable, "-c", script, DO_NOT_TRACK="1", PREFECT__FLOW_RUN_ID="x", PREFECT_HOME="/else")
    own, children = json.loads(done.stdout)
    assert (own["PREFECT_SERVER_ANALYTICS_ENABLED"], own["MLFLOW_DISABLE_TELEMETRY"]) == ("false", "true")
    assert (own["DO_NOT_TRACK"], own["PREFECT_HOME"]) == ("true", "/else")
    assert own["MPLCONFIGDIR"] == str(checkout.root / ".dbdflow/cache/matplotlib")
    assert "PREFECT__FLOW_RUN_ID" in own
    assert "PREFECT__FLOW_RUN_ID" not in children


def test_state_lies_where_dvc_says(checkout: Checkout, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(checkout.root / "data")
    assert environment.state() == checkout.root / ".dbdflow"
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert environment.state() == tmp_path / ".dbdflow"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.4, "59 s"), (60, "1 min 00 s"), (3599, "59 min 59 s"), (7620, "2 h 07 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_progress_is_two_lines_where_nobody_watches(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    progress = Progress("toy")
    for step in range(1, 101):
        progress.show(step, 100, f"loss {step}")
    assert caplog.messages == ["toy: 1/100 loss 1", "toy: 100/100 loss 100"]
