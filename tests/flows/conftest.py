"""A small real checkout: git, DVC, a toy stage in the project's own glue; and one real Prefect server."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from components.common.storage import file_hash
from pipelines.tracking.client import Store
from pipelines.tracking.execution import Execution

if TYPE_CHECKING:
    from mlflow import MlflowClient


PROJECT = Path(__file__).parents[2]

TOY = '''
import logging
import os
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import yaml

from components.common.availability import Gap, NotAvailableError
from components.common.errors import InputError
from pipelines.harness.context import Stage
from pipelines.harness.main import main


def toy(stage: Stage, *, run: str, fails: str | None = None, out: Path = Path("data/out/first")) -> None:
    """Sum the numbers of a file, a few times."""
    logging.getLogger("components.toy").info("summing for %s", run)
    params = yaml.safe_load(Path("params.yaml").read_text())["toy"]
    stage.params({"toy": params})
    numbers = [float(word) for word in Path("data/in.txt").read_text().split()]
    stage.dataset(name="numbers", digest="d41d8", images=len(numbers), source=Path("data/in.txt"))
    seen = stage.scratch() / "epochs"
    print("scratch", seen.parent.name, "epochs before", len(seen.read_text()) if seen.exists() else 0, flush=True)
    for epoch in range(params["epochs"]):
        with seen.open("a") as file:
            file.write("x")
        stage.metrics({"sum": sum(numbers) + epoch, "EBD(1305)/mae": 0.5}, step=epoch)
        stage.progress(epoch + 1, params["epochs"], f"epoch {epoch}")
        Path("working").touch()
        while Path(os.environ.get("TOY_HOLD", "hold")).exists():
            time.sleep(0.02)
    if fails == "input":
        raise InputError("data/in.txt: found nonsense, expected numbers; write some")
    if fails == "absent":
        raise NotAvailableError(Gap("the sum", "the numbers are not published", "ask their authors"))
    if fails == "bug":
        raise RuntimeError("boom")
    stage.table("scores", [{"test set": "A", "mae": 0.5}], "blurred region positive")
    stage.image("maps/one", np.arange(12, dtype=np.uint8).reshape(3, 4))
    out = Path("data/out", run)
    out.mkdir(parents=True)
    (out / "model.safetensors").write_bytes(b"weights of " + run.encode())
    (out / "card.json").write_text("{}")
    (out / "history.csv").write_text("epoch,sum\\n1,6.0\\n2,7.5\\n")
    (out / "summary.json").write_text('{"EBD(1305)": {"mae": 0.5, "images": 1305}}')
    stage.model(out / "model.safetensors", name=run, experiment="toy", train="CUHK-TR-1 & DUT-TR")
    stage.artifact("params.yaml", folder="inputs")
    print("prefect imported:", "prefect" in sys.modules, "mlflow imported:", "mlflow" in sys.modules, flush=True)


if __name__ == "__main__":
    main(toy)
'''

DVC_YAML = """
stages:
  toy:
    foreach: ${runs}
    do:
      cmd: python -m pipelines.stages.toy --run ${key} ${item.options}
      deps: [data/in.txt]
      params: [toy]
      outs: ["data/out/${key}"]
"""

PARAMS = """
toy: {epochs: 3, rate: 0.1}
other: 1
runs:
  first: {options: ""}
  second: {options: ""}
"""


class Started(subprocess.Popen[str]):
    """A process that does not outlive a failing test."""

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is not None:
            self.kill()
        super().__exit__(kind, *rest)


class Checkout:
    """The small checkout, and ways to run things in it."""

    def __init__(self, root: Path) -> None:
        self.root, self.made = root, datetime.now(UTC)

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def start(self, *command: str, **environment: str) -> Started:
        """Start a command in the checkout, its output to be read."""
        return Started(
            command,
            cwd=self.root,
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        with self.start(*command, **environment) as process:
            out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def toy(self, *options: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        return self.run(sys.executable, "-m", "pipelines.stages.toy", *options, **environment)

    def tracked(self) -> "Tracked":
        """What MLflow has."""
        return Tracked(self.root)

    def working(self) -> bool:
        """Whether a toy stage has come to the end of an epoch."""
        return (self.root / "working").exists()


class Tracked:
    """What this checkout's MLflow database holds."""

    def __init__(self, root: Path) -> None:
        self.client = client(root / ".dbdflow" / "mlflow" / "mlflow.db")
        experiment = self.client.get_experiment_by_name("dbdflow")
        assert experiment.artifact_location == (root / ".dbdflow/mlflow/artifacts").as_uri()
        runs = self.client.search_runs([experiment.experiment_id])
        self.parents = [run for run in runs if run.data.tags["dbdflow.kind"] == "reproduction"]
        self.stages = {run.info.run_name: run for run in runs if run.data.tags["dbdflow.kind"] == "stage"}
        assert len(runs) == len(self.parents) + len(self.stages)

    def model(self, stage: str) -> Path:
        """The folder of the one model that came out of a stage."""
        (output,) = self.stages[stage].outputs.model_outputs
        return Path(urlsplit(self.client.get_logged_model(output.model_id).artifact_location).path)

    def steps(self, stage: str, metric: str) -> list[tuple[int, float]]:
        history = self.client.get_metric_history(self.stages[stage].info.run_id, metric)
        return sorted((each.step, each.value) for each in history)

    def artifact(self, stage: str, path: str) -> Path:
        return Path(urlsplit(self.stages[stage].info.artifact_uri).path, path)


def execution(name: str, **facts: Any) -> Execution:
    """One of a toy stage, without a process, in the reproduction `nightly`."""
    known = {
        "stage": "toy", "name": name, "command": "toy", "dvc_stage": None, "deps_hash": "d", "owner": "",
        "reproduction": "nightly", "commit": "c0ffee", "dirty": False, "sweep": None, "began": 5,
        "params": {"name": "toy", "stage1.epochs": "3"},
    }  # fmt: skip
    return Execution(**(known | facts))


def check_a_whole_reproduction(store: Store, folder: Path) -> None:
    """Two trainings and their scores, twice: a parent and a version of each weights are there once."""
    (folder / "page").mkdir(parents=True)
    (folder / "page" / "tables.csv").write_text("mae\n0.25\n")
    weights, best, models = {}, [], set()
    split: dict[str, Any] = {"experiment": "toy", "train": "CUHK-TR-1 & DUT-TR"}
    scored = [("rendered", {"a": 0.25, "b": 0.5, "nowhere": 0.125}), ("other", {"b": 0.75})]
    for test_data, scores in scored:
        for name in "ab":
            path = folder / f"{name}.safetensors"
            path.write_text(f"weights {name}")
            weights[name] = file_hash(path)
            run, above = store.begin(execution(name))
            store.registry.log(run, above, name=name, path=path, **split)
            store.log_dataset(run, above, name="CUHK", digest="d41d8", images=3, context="training", source="data")
            models |= {each.model_id for each in store.client.get_run(run).outputs.model_outputs}
            store.end(run, above, "FINISHED")
        store.log(above, metrics={"a/EBD(1305)/mae": 0.25, "b/EBD(1305)/mae": 0.5}, tags={"dvc.lock": "1ee7"})
        store.client.log_artifact(above, str(folder / "page"))
        for name, mae in scores.items():
            facts = split | {"name": name, "weights": weights.get(name, "elsewhere")}
            store.registry.score(mae=mae, test_data=test_data, challenge=None, **facts)
        best.append(store.client.get_model_version_by_alias("dbdflow.toy.CUHK-TR-1_DUT-TR", "best"))
    versions = store.client.search_model_versions("name = 'dbdflow.toy.CUHK-TR-1_DUT-TR'")
    assert {int(each.version): each.tags["dbdflow.weights"] for each in versions} == {1: weights["a"], 2: weights["b"]}
    assert [int(each.version) for each in best] == [1, 2], "what was scored on other photographs does not compete"
    assert best[0].tags["dbdflow.mean_mae"] == "0.25"
    (parent,) = store.find("dbdflow.reproduction", "nightly")
    assert (parent.info.run_name[:24], parent.info.status) == ("reproduce toy 1970-01-01", "FINISHED")
    assert parent.data.params == {"name": "toy", "stage1.epochs": "3"}
    assert parent.data.metrics == {"a/EBD_1305/mae": 0.25, "b/EBD_1305/mae": 0.5}
    tags = parent.data.tags
    assert (tags["dvc.lock"], tags["git.commit"], tags["mlflow.source.name"]) == ("1ee7", "c0ffee", "toy")
    assert [each.path for each in store.client.list_artifacts(parent.info.run_id, "page")] == ["page/tables.csv"]
    assert [each.dataset.name for each in parent.inputs.dataset_inputs] == ["CUHK"]
    assert {each.model_id for each in parent.outputs.model_outputs} == models
    assert len(models) == 4


def client(database: Path) -> "MlflowClient":
    """MLflow on a database, which is made if there is none."""
    with warnings.catch_warnings(action="ignore"):  # MLflow's own, while it is imported
        from mlflow import MlflowClient

        found = MlflowClient(tracking_uri=f"sqlite:///{database}")
        found.search_experiments()
        return found


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with its tables and nothing else (they take 2 s to make)."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    client(path)
    return path


def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait for a condition; fail when it does not come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    """A git and DVC repository with the stages `toy@first` and `toy@second`, nothing reproduced yet."""
    found = Checkout(tmp_path / "checkout")
    shutil.copytree(PROJECT / "pipelines", found.root / "pipelines", ignore=shutil.ignore_patterns("__pycache__"))
    found.write("pipelines/stages/toy.py", TOY)
    found.write("dvc.yaml", DVC_YAML)
    found.write("params.yaml", PARAMS)
    found.write("data/in.txt", "1 2 3")
    found.write(".gitignore", ".dbdflow\n__pycache__\nworking\n")
    found.write(".dvc/config", "[core]\n    analytics = false\n    check_update = false\n")
    found.write(".dvc/.gitignore", "/config.local\n/tmp\n/cache\n")
    for name in ("DVC_ROOT", "DVC_STAGE", "DBDFLOW_REPRODUCTION", "MLFLOW_TRACKING_URI", "PREFECT_API_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    monkeypatch.chdir(found.root)
    prepare_repository(found)
    return found


def prepare_repository(checkout: Checkout) -> None:
    for command in (
        "git init --quiet",
        "git config user.email toy@example.invalid",
        "git config user.name toy",
        "git add .",
        "git commit --quiet --message toy",
    ):
        done = checkout.run(*command.split())
        assert done.returncode == 0, done.stderr


def reproduced(root: Path, stages: dict[str, Any]) -> Checkout:
    """A git and DVC repository of shell stages, reproduced by `dvc repro`; everything but `dvc.lock` is committed."""
    found = Checkout(root)
    found.write("dvc.yaml", json.dumps({"stages": stages}))
    found.write("params.yaml", "toy: {epochs: 3}\n")
    found.write("data/in.txt", "1 2 3")
    found.write(".gitignore", ".dbdflow\n")
    found.write(".dvc/config", "[core]\n    analytics = false\n    check_update = false\n")
    found.write(".dvc/.gitignore", "/config.local\n/tmp\n/cache\n")
    prepare_repository(found)
    done = found.run(sys.executable, "-m", "dvc", "repro")
    assert done.returncode == 0, done.stderr
    return found


@pytest.fixture(scope="module")
def template(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository of a test module's `STAGES`, reproduced in its `ENVIRONMENT`, to be copied."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in request.module.ENVIRONMENT.items():
            patch.setenv(name, value)
        return reproduced(tmp_path_factory.mktemp("template") / "checkout", request.module.STAGES).root


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except (urllib.error.URLError, OSError):
        return False


@pytest.fixture(scope="session")
def prefect_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a real Prefect server on the loopback, started once."""
    folder, port = tmp_path_factory.mktemp("prefect"), free_port()
    quiet = {"PREFECT_HOME": str(folder), "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "true"}
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            command, cwd=folder, env=os.environ | quiet, stdout=log, stderr=log, start_new_session=True
        )
        api = f"http://127.0.0.1:{port}/api"
        try:
            until(lambda: answers(f"{api}/health"), 120)
            yield api
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def ask(url: str, body: dict[str, Any] | list[Any] | None = None) -> Any:
    """What a server answers; one that has just started may be busy for a while (503)."""
    data = None if body is None else json.dumps(body).encode()
    sent = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    deadline = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(sent, timeout=30) as answer:
                text = answer.read()
            return json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            with error:
                if error.code != 503 or time.monotonic() > deadline:
                    raise
        time.sleep(0.5)


class Wire(threading.Thread):
    """A wire to the Prefect server that can be cut."""

    def __init__(self, api: str) -> None:
        super().__init__(daemon=True)
        self.server = (urlsplit(api).hostname, urlsplit(api).port)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.api = f"http://127.0.0.1:{self.listener.getsockname()[1]}/api"
        self.ends: list[socket.socket] = []

    def run(self) -> None:
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.create_connection(self.server)
            self.ends += [near, far]
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=carry, args=(source, target), daemon=True).start()

    def cut(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.join(10)  # what it has just taken is among the ends then
        for end in self.ends:
            end.close()


def carry(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return


@pytest.fixture
def wire(prefect_api: str) -> Iterator[Wire]:
    made = Wire(prefect_api)
    made.start()
    yield made
    made.join(10)
