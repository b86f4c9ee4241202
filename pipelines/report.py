"""Stage `report`: the paper's tables, ours beside them, curves, gallery and provenance on one page."""

import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from components.params import EXTERNAL, load_params
from components.report.page import build_report
from components.storage import read_json
from pipelines.ranking import Summary, digest, ranked, scored_on
from pipelines.stage import Stage, main

PACKAGES = ("torch", "timm", "opencv-python-headless", "numpy", "dvc", "prefect", "mlflow")


def report(stage: Stage, *, prepared: Path, predictions: Path, scores: Path, models: Path, out: Path) -> None:
    """Build the page from what DVC holds; MLflow is not asked."""
    params = load_params()
    lock = lock_entries(Path("dvc.lock"))
    build_report(
        out=out,
        name=params.name,
        scores=scores,
        predictions=predictions,
        prepared=prepared,
        models=models,
        external=scores / EXTERNAL,
        departures=params.resolved.model_dump(),
        provenance={
            "commit": commit(),
            "params": params.model_dump(mode="json"),
            "lock": lock,
            "versions": {package: version(package) for package in PACKAGES},
        },
        runs=params.evaluated,
        beside={run: settings.beside for run, settings in params.published.items()},
    )
    found = summaries(scores, params.evaluated)
    stage.reproduction(metrics=summary_metrics(found), tags={"dvc.lock": digest(lock)}, folder=out)
    data = scored_on(lock, params.resolved.upsample)
    for each in ranked(found, models):
        stage.scored(experiment=params.name, test_data=data, **each)


def summaries(scores: Path, runs: Sequence[str]) -> dict[str, Summary]:
    """The `summary.json` of every run and method that has one; published maps are `external/<method>`."""
    published = sorted(path.parent.name for path in (scores / EXTERNAL).glob("*/summary.json"))
    named = [*runs, *(f"{EXTERNAL}/{method}" for method in published)]
    found = {name: scores / name / "summary.json" for name in named}
    return {name: read_json(path) for name, path in found.items() if path.exists()}


def summary_metrics(found: Mapping[str, Summary]) -> dict[str, float]:
    """All scores as `<run or method>/<test set>/<metric>`; how many images a set has is none."""
    return {
        f"{run}/{test_set}/{metric}": value
        for run, summary in found.items()
        for test_set, values in summary.items()
        for metric, value in values.items()
        if metric != "images"
    }


def commit() -> str:
    """The checkout's commit, with a note when files differ from it."""
    done = subprocess.run(["git", "describe", "--always", "--dirty", "--abbrev=40"], capture_output=True, check=False)
    return done.stdout.decode().strip() or "not a git checkout"


def lock_entries(path: Path) -> list[dict[str, Any]]:
    """Stage, path, md5 and size of every output in `dvc.lock`, by stage; this stage's own are not there yet."""
    if not path.exists():
        return []
    stages = YAML(typ="safe", pure=True).load(path.read_text())["stages"]
    return [
        {"stage": name, "path": out["path"], "md5": out["md5"], "size": out["size"]}
        for name, entry in sorted(stages.items())
        if name != "report"
        for out in entry["outs"]
    ]


if __name__ == "__main__":
    main(report)
