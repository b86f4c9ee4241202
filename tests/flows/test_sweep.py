"""Sweeps on real git and DVC: what is shared runs once, a kill costs nothing, the tables are those of single runs."""

import csv
import re
import shutil
import signal
import sys
from collections import Counter
from pathlib import Path

import pytest

from components.common.errors import InputError
from pipelines.commands.sweep import read_axes
from pipelines.repo.clone import Clone
from pipelines.running.sweep_plan import node_name
from pipelines.running.sweep_report import report_over_seeds
from tests.flows.conftest import PROJECT, Checkout, until

DBDFLOW = str(Path(sys.executable).with_name("dbdflow"))
STEP = """
import csv, json, os, sys, time
from pathlib import Path

import yaml

name, out, *reads = sys.argv[1:]
params = yaml.safe_load(Path("params.yaml").read_text())
with open(os.environ["RUNS"], "a") as file:
    file.write(f"{name}\\n")
while Path(os.environ["HOLD"]).exists():
    time.sleep(0.02)
number = {"base": 0.1, "first": 0.01 * params["seed"], "second": 0.001 * params["stage2"]["beta"]}[name]
number += sum(float(Path(each).read_text()) for each in reads)
if name == "second":
    Path(out).mkdir(parents=True)
    Path(out, "summary.json").write_text(json.dumps({"EBD": {"mae": number, "f_beta": 1 - number, "iou": None}}))
    images = {"a": number - 0.01, "b": number + 0.01}
    rows = [f"EBD,{image},{mae},0.5" for image, mae in images.items()]
    Path(out, "per_image.csv").write_text("\\n".join(["test_set,id,mae,iou", *rows]) + "\\n")
else:
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    Path(out).write_text(str(number))
"""
STAGES = """
stages:
  base: {cmd: python step.py base data/base.txt, deps: [step.py], outs: [data/base.txt]}
  first:
    cmd: python step.py first data/first.txt data/base.txt
    deps: [step.py, data/base.txt]
    params: [seed]
    outs: [data/first.txt]
  second:
    cmd: python step.py second data/scores/run data/first.txt
    deps: [step.py, data/first.txt]
    params: [stage2.beta]
    outs: [data/scores/run]
"""


@pytest.fixture
def small(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    """Three stages in a row: `second` depends on stage2.beta, `first` on the seed, `base` on neither."""
    shutil.copytree(PROJECT / "presets", checkout.root / "presets")
    checkout.write("params.yaml", (checkout.root / "presets/smoke.yaml").read_text())
    checkout.write("dvc.yaml", STAGES)
    checkout.write("step.py", STEP)
    checkout.write(".gitignore", ".dbdflow\n__pycache__\n/data\n/runs\n/hold\n")
    for name, value in {"RUNS": "runs", "HOLD": "hold"}.items():
        monkeypatch.setenv(name, str(checkout.root / value))
    monkeypatch.setenv("DBDFLOW_MLFLOW", "off")
    assert checkout.run("git", "add", ".").returncode == 0
    assert checkout.run("git", "commit", "--quiet", "--all", "--message", "small").returncode == 0
    return checkout


def runs(checkout: Checkout) -> Counter[str]:
    return Counter((checkout.root / "runs").read_text().split())


def table(checkout: Checkout) -> dict[tuple[str, ...], list[float | None]]:
    """Setting, test set and metric -> mean, standard deviation, change and its interval."""
    (path,) = checkout.root.glob(".dbdflow/sweeps/*/table.csv")
    numbers = ("mean", "std", "change", "low", "high")
    return {
        (row["stage2.beta"], row["test_set"], row["metric"]): [float(row[n]) if row[n] else None for n in numbers]
        for row in csv.DictReader(path.read_text().splitlines())
    }


def test_what_points_share_runs_once_and_a_kill_costs_nothing(small: Checkout) -> None:
    words = (DBDFLOW, "sweep", "stage2.beta=1,5", "seed=0..1", "--jobs", "2")
    (small.root / "hold").touch()
    with small.start(*words) as process:
        until((small.root / "runs").exists)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=20)
    (small.root / "hold").unlink()
    (small.root / "runs").unlink()

    done = small.run(*words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "7 stages out of date, 12 if nothing were shared" in done.stdout
    assert runs(small) == {"base": 1, "first": 2, "second": 4}
    names = small.run("dvc", "exp", "list", "--name-only").stdout.split()
    assert len(names) == 4
    assert small.run("git", "status", "--porcelain").stdout == ""
    assert list((small.root / ".dbdflow/experiments").iterdir()) == []

    found = table(small)
    assert found["1", "EBD", "mae"] == pytest.approx([0.106, 0.01 / 2**0.5, None, None, None], abs=1e-9)
    assert found["5", "EBD", "mae"] == pytest.approx([0.11, 0.01 / 2**0.5, 0.004, 0.004, 0.004], abs=1e-9)
    assert found["5", "EBD", "f_beta"] == pytest.approx([0.89, 0.01 / 2**0.5, -0.004, None, None], abs=1e-9)

    again = small.run(*words)
    assert "nothing to do" in again.stdout
    assert runs(small)["base"] == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["stage2.beta"], "stage2.beta: expected key=value,value or key=first..last, e.g. stage2.beta=1,3,5 seed=0..4"),
        (["seed=0..x"], "seed=0..x: '0..x' is neither whole numbers first..last nor YAML values"),
        (["seed=3..1"], "seed=3..1: expected each key once, with values that differ; found none"),
        (["seed=0..99999999"], "seed=0..99999999: expected at most 1000 values; sweep a part of them"),
        (
            ["seed=0..99", "stage2.beta=1,2,3,4,5,6,7,8,9,10,11"],
            "1100 combinations, expected at most 1000; sweep a part of them",
        ),
        (["seed=1,1"], "seed=1,1: expected each key once, with values that differ; found 1, 1"),
    ],
)
def test_a_wrong_axis_is_one_message(words: list[str], message: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        read_axes(words)


def test_axes_are_yaml_values() -> None:
    axes = read_axes(["stage2.beta=1,3.5", "seed=0..2", "stage1.augment={flip_probability: 0}"])
    assert axes == {"stage2.beta": [1, 3.5], "seed": [0, 1, 2], "stage1.augment": [{"flip_probability": 0}]}


def test_stages_are_named_by_what_their_points_have_in_common() -> None:
    points = [{"beta": beta, "seed": seed} for beta in (1, 5) for seed in (0, 1)]
    assert node_name("train", points, shared_by_all=True) == "train"
    assert node_name("train", [points[0], points[2]], shared_by_all=False) == "train [seed=0]"
    assert node_name("train", [points[3]], shared_by_all=False) == "train [beta=5, seed=1]"


REPORT = """
import os, sys
from pathlib import Path
assert os.environ["DBDFLOW_SWEEP"].startswith('{"name": "sweep-1", "axes": "seed=0..2", "point": "')
found = sorted(path.as_posix() for path in Path("data/scores").rglob("summary.json"))
Path(sys.argv[2]).mkdir(parents=True)
Path(sys.argv[2], "index.html").write_text(" ".join(found))
"""


def test_a_setting_has_a_report_with_the_scores_of_its_other_seeds(tmp_path: Path) -> None:
    clone, part = Clone(tmp_path, tmp_path / "clone", "HEAD"), {"name": "sweep-1", "axes": "seed=0..2"}
    kept = {seed: tmp_path / f"kept{seed}" for seed in range(3)}
    lock = "stages: {report: {cmd: python report.py --out data/report}}"
    for folder in (clone.folder / "data", *kept.values()):
        (folder / "scores/run").mkdir(parents=True)
        (folder / "scores/run/summary.json").write_text("{}")
        (folder / "dvc.lock").write_text(lock)
    (clone.folder / "report.py").write_text(REPORT)
    said: list[str] = []
    report_over_seeds(clone, kept, tmp_path / "report", part, said.append)
    others = [f"data/scores/seeds/{seed}/run/summary.json" for seed in (1, 2)]
    assert (tmp_path / "report/index.html").read_text().split() == ["data/scores/run/summary.json", *others]
    assert said == [f"{tmp_path / 'report'}: the report over 3 seeds"]
    (clone.folder / "report.py").write_text("raise SystemExit('no room')")
    with pytest.raises(InputError, match=r"other: the report over seeds was not made \(no room\); run the same sweep"):
        report_over_seeds(clone, kept, tmp_path / "other", part, said.append)
    report_over_seeds(clone, {0: kept[0]}, tmp_path / "alone", part, said.append)  # one seed: its own report will do
    assert not (tmp_path / "alone").exists()
