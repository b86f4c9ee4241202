"""The whole DAG on real DVC and MLflow, at its smallest: what runs, what does not, what is left when it is killed."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipelines.repo import dag
from pipelines.stages.ranking import mean_mae
from tests.flows.conftest import PROJECT

METHODS = ("dbdf",)
STAGES = {
    *(f"{stage}@{name}" for stage in ("download", "prepare") for name in ("cuhk", "dut", "ctcug", "ebd")),
    "depth_teacher",
    "cache_teacher@cuhk",
    "train_stage1@dffnet",
    "train_stage1_depth@rdffnet",
    "distill_stage2@d_dffnet",
    *(f"baseline@{method}" for method in METHODS),
    *(f"predict@{run}" for run in ("dffnet", "rdffnet", "d_dffnet")),
    *(f"evaluate@{run}" for run in (*METHODS, "dffnet", "rdffnet", "d_dffnet")),
    "external",
    "report",
}


class Checkout:
    """A copy of this project with the smoke preset, as a git repository of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.said = folder, ""
        names = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard"], cwd=PROJECT, capture_output=True, text=True, check=True
        ).stdout.split("\n")
        for name in filter(None, names):
            if (PROJECT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(PROJECT / name, folder / name)
        shutil.copy2(folder / "presets" / "smoke.yaml", folder / "params.yaml")
        for words in (
            ["init", "-q"],
            ["add", "-A"],
            ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "x"],
        ):
            subprocess.run(["git", *words], cwd=folder, check=True)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("DBDFLOW", "PREFECT"))}
        self.environment = inherited | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(folder),
        }

    def dvc(self, *words: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "dvc", *words]
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )

    def reproduce(self) -> None:
        """`dbdflow reproduce`: two stages at once. `said` is all that they said."""
        command = [shutil.which("dbdflow", path=self.environment["PATH"]) or "", "reproduce", "--jobs", "2"]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        logs = sorted(self.folder.glob(".dbdflow/logs/reproduce/*/*.log"))
        self.said = "".join(path.read_text() for path in logs)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]

    def choose(self, key: str, value: object) -> None:
        yaml, path = YAML(), self.folder / "params.yaml"
        params = yaml.load(path.read_text())
        *sections, last = key.split(".")
        section = params
        for name in sections:
            section = section[name]
        section[last] = value
        with path.open("w") as file:
            yaml.dump(params, file)

    def changed_by(self, key: str, value: object) -> set[str]:
        """The stages that depend on a parameter themselves; what follows them is not among these."""
        before = (self.folder / "params.yaml").read_text()
        self.choose(key, value)
        try:
            with warnings.catch_warnings(action="ignore"):  # DVC's own libraries'
                return set(dag.read(self.folder).why)
        finally:
            (self.folder / "params.yaml").write_text(before)

    def lock(self) -> dict:
        return YAML(typ="safe").load((self.folder / "dvc.lock").read_text())["stages"]


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    checkout = Checkout(tmp_path_factory.mktemp("checkout"))
    checkout.reproduce()
    return checkout


def test_every_stage_runs_and_the_report_is_there(reproduced: Checkout) -> None:
    assert set(reproduced.lock()) == STAGES
    page = (reproduced.folder / "data/report/index.html").read_text()
    scores = json.loads((reproduced.folder / "data/scores/d_dffnet/summary.json").read_text())
    assert set(scores) == {"CUHK-TE-1", "CUHK-TE-2", "DUT-TE", "CTCUG", "EBD", "EBD(1305)"}
    assert f"{scores['CUHK-TE-1']['mae']:.3f}" in page
    assert "NOT comparable" in page


def test_a_second_reproduction_runs_nothing(reproduced: Checkout) -> None:
    done = reproduced.dvc("repro")
    assert "Running stage" not in done.stdout
    assert "up to date" in done.stdout


@pytest.mark.parametrize(
    ("key", "value", "stages"),
    [
        ("stage2.lambda_edge", 0.2, {"distill_stage2@d_dffnet"}),
        ("stage2_runs.d_dffnet.loss", "bce", {"distill_stage2@d_dffnet"}),
        ("stage1.lambda_edge", 0.2, {"train_stage1@dffnet", "train_stage1_depth@rdffnet"}),
        ("departures.upsample", "bilinear", {*(s for s in STAGES if s.startswith("evaluate")), "report"}),
        ("departures.gradient_clip", 0.0, {*(s for s in STAGES if s.startswith(("train", "distill"))), "report"}),
        ("seed", 1, {s for s in STAGES if s.startswith(("cache", "train", "distill"))}),
        ("depth_teacher.epochs", 3, {"depth_teacher"}),
        ("runtime.threads", 1, set()),
        ("download.render.seed", 2, {s for s in STAGES if s.startswith("download")}),
    ],
)
def test_a_parameter_changes_the_stages_that_use_it(
    reproduced: Checkout, key: str, value: object, stages: set[str]
) -> None:
    assert reproduced.changed_by(key, value) == stages


def test_the_dof_edge_weight_of_stage_2_reruns_stage_2_and_what_follows(reproduced: Checkout) -> None:
    reproduced.choose("stage2.lambda_edge", 0.2)
    done = reproduced.dvc("repro")
    ran = set(re.findall(r"Running stage '(.+?)'", done.stdout))
    assert ran == {"distill_stage2@d_dffnet", "predict@d_dffnet", "evaluate@d_dffnet", "report"}


LOOK = """
import json, sys, warnings
warnings.simplefilter("ignore")
from mlflow import MlflowClient
client = MlflowClient(sys.argv[1])
runs = client.search_runs([e.experiment_id for e in client.search_experiments()])
told = [[r.info.run_name, r.info.status, r.data.tags, r.data.metrics, r.data.params, r.info.run_id] for r in runs]
best = client.get_model_version_by_alias("dbdflow.smoke.CUHK-TR-1", "best")
names = [v.tags["dbdflow.model"] for v in client.search_model_versions("name = 'dbdflow.smoke.CUHK-TR-1'")]
parents = {r.data.tags["mlflow.parentRunId"] for r in runs if r.data.tags.get("dbdflow.stage") == "report"}
files = [[f.path for f in client.list_artifacts(parent, "report")] for parent in parents]
print(json.dumps([told, best.tags, names, files]))
"""
STORE = "sqlite:///.dbdflow/mlflow/mlflow.db"


def tracked(checkout: Checkout, store: str = STORE) -> list:
    """Runs (name, status, tags, metrics, parameters, id), the tags of `best`, models, the report's files, of MLflow."""
    command = [sys.executable, "-c", LOOK, store]
    done = subprocess.run(
        command, cwd=checkout.folder, env=checkout.environment, capture_output=True, text=True, check=True
    )
    found: list = json.loads(done.stdout.splitlines()[-1])
    return found


def test_mlflow_has_a_run_a_stage_under_one_parent(reproduced: Checkout) -> None:
    runs, best, names, files = tracked(reproduced)
    stages = {run[2]["dvc.stage"]: run for run in runs if "dvc.stage" in run[2]}
    assert set(stages) == STAGES
    assert {run[1] for run in runs} == {"FINISHED"}
    parents = [run[2]["mlflow.parentRunId"] for run in runs if "dvc.stage" in run[2]]
    assert sorted(parents.count(parent) for parent in set(parents)) == [4, len(STAGES)]
    summary = json.loads((reproduced.folder / "data/scores/dffnet/summary.json").read_text())
    assert stages["evaluate@dffnet"][3]["DUT-TE/mae"] == pytest.approx(summary["DUT-TE"]["mae"])
    check_comparable(reproduced, runs)
    assert sorted(names) == ["d_dffnet", "d_dffnet", "dffnet", "rdffnet"]
    means = [mean_mae(scores_of(reproduced, run), "CUHK-TR-1") or 1.0 for run in ("dffnet", "rdffnet", "d_dffnet")]
    assert float(best["dbdflow.mean_mae"]) <= min(means)
    errors = json.loads(best["dbdflow.errors"])
    whole = [
        run[3][f"{best['dbdflow.model']}/CUHK-TE-1/mae"] for run in runs if run[2]["dbdflow.kind"] == "reproduction"
    ]
    assert min(abs(sum(errors.values()) / len(errors) - each) for each in whole) < 1e-6
    assert best["dbdflow.champion"].startswith(("became champion: ", "did not become champion: MAE on CUHK-TE-1 "))
    assert len(files) == 2
    assert all({"report/index.html", "report/tables.csv", "report/tables.md"} <= set(each) for each in files)


@pytest.mark.slow
def test_what_stages_left_behind_makes_the_same_runs_in_another_store(reproduced: Checkout, tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/mlflow.db"
    command = [sys.executable, "-m", "pipelines.cli", "log"]
    environment = reproduced.environment | {"MLFLOW_TRACKING_URI": store}
    said = [
        subprocess.run(
            command, cwd=reproduced.folder, env=environment, capture_output=True, text=True, check=True
        ).stdout.splitlines()[-1]
        for _ in range(2)
    ]
    assert said == [f"{len(STAGES)} runs logged in MLflow", "0 runs logged in MLflow"]
    runs, best, names, files = tracked(reproduced, store)
    before = {run[2]["dvc.deps_hash"]: run for run in tracked(reproduced)[0] if "dvc.stage" in run[2]}
    stages = {run[2]["dvc.stage"]: run for run in runs if "dvc.stage" in run[2]}
    assert set(stages) == STAGES
    assert {run[1] for run in runs} == {"FINISHED"}
    for name, run in stages.items():
        first = before[run[2]["dvc.deps_hash"]]
        scores = {key: value for key, value in first[3].items() if key not in ("images", "labels")}
        assert scores.items() <= run[3].items() or name == "depth_teacher", name
        assert first[4].get("run") in (None, run[4].get("run")), name
        if name.startswith(("train", "distill")):
            assert first[4].items() - run[4].items() <= {("defocus_teacher", "none")}
    (parent,) = (run for run in runs if run[2]["dbdflow.kind"] == "reproduction")
    for run in (*METHODS, "dffnet", "rdffnet", "d_dffnet"):
        assert parent[3][f"{run}/DUT-TE/mae"] == pytest.approx(scores_of(reproduced, run)["DUT-TE"]["mae"])
    assert sorted(names) == ["d_dffnet", "dffnet", "rdffnet"]
    assert float(best["dbdflow.mean_mae"]) > 0
    assert "report/index.html" in files[0]


def check_comparable(checkout: Checkout, runs: list) -> None:
    """Both reproductions have all parameters and every score, those too that the second did not make anew."""
    parents = {run[4]["stage2.lambda_edge"]: run for run in runs if run[2]["dbdflow.kind"] == "reproduction"}
    assert set(parents) == {"0.5", "0.2"}
    assert set(parents["0.5"][3]) == set(parents["0.2"][3])
    assert parents["0.5"][2]["dvc.lock"] != parents["0.2"][2]["dvc.lock"]
    for run in (*METHODS, "dffnet", "rdffnet", "d_dffnet"):
        for test_set, scores in scores_of(checkout, run).items():
            name = f"{run}/{test_set.replace('(', '_').rstrip(')')}"
            for metric in ("mae", "f_beta", "f_beta_published", "f_beta_max", "iou"):
                assert parents["0.2"][3][f"{name}/{metric}"] == pytest.approx(scores[metric])
    of_stages = [{*run[4]} for run in runs if run[2].get("dbdflow.stage") in ("train_stage1", "distill_stage2")]
    names = [{name for name in each if not name.startswith("training.")} for each in of_stages]
    assert all(each == names[0] for each in names), "the same names in every run"


def scores_of(checkout: Checkout, run: str) -> dict:
    return json.loads((checkout.folder / "data/scores" / run / "summary.json").read_text())


@pytest.mark.slow
def test_killed_with_9_it_goes_on_and_ends_with_the_same_bytes(reproduced: Checkout) -> None:
    stage, folder = "train_stage1@dffnet", reproduced.folder
    reproduced.choose("stage1.epochs", 6)
    process = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro", "-s", stage], cwd=folder, env=reproduced.environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not list(folder.glob(".dbdflow/scratch/train_stage1*/checkpoint.pt")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    resumed = reproduced.dvc("--wait-for-lock", "repro", "-s", stage)
    assert resumed.returncode == 0, resumed.stderr[-2000:]
    assert "going on after epoch" in resumed.stdout + resumed.stderr
    (killed,) = (out["md5"] for out in reproduced.lock()[stage]["outs"])
    straight = reproduced.dvc("repro", "-s", "-f", "--no-run-cache", stage)
    assert "going on after epoch" not in straight.stdout + straight.stderr
    (uninterrupted,) = (out["md5"] for out in reproduced.lock()[stage]["outs"])
    assert killed == uninterrupted
