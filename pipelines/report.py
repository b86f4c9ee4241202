"""Stage `report`: the paper's tables, ours beside them, curves, gallery and provenance on one page."""

import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from components.params import EXTERNAL, load_params
from components.report.page import build_report
from components.summaries import Summary, find_summaries, write_summaries
from pipelines.ranking import digest, ranked, scored_on
from pipelines.stage import Stage, main

PACKAGES = ("torch", "timm", "opencv-python-headless", "numpy", "dvc", "prefect", "mlflow")


def report(
    stage: Stage, *, prepared: Path, predictions: Path, scores: Path, models: Path, summary: Path, out: Path
) -> None:
    """Build the page, and in `summary` the files that DVC compares, from what DVC holds; MLflow is not asked."""
    params = load_params()
    lock = lock_entries(Path("dvc.lock"))
    found = find_summaries(scores, params.evaluated)
    write_summaries(summary, found, scores, models)
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
    stage.reproduction(metrics=summary_metrics(found), tags={"dvc.lock": digest(lock)}, folder=out)
    data = scored_on(lock, params.resolved.upsample)
    for each in ranked(found, models):
        stage.scored(experiment=params.name, test_data=data, **each)


def summary_metrics(found: Mapping[str, Summary]) -> dict[str, float]:
    """All scores as `<run or method>/<test set>/<metric>`."""
    return {
        f"{run}/{test_set}/{metric}": value
        for run, summary in found.items()
        for test_set, values in summary.items()
        for metric, value in values.items()
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
