"""Stage `report`: the paper's tables, ours beside them, curves, gallery and provenance on one page."""

import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from components.params import EXTERNAL, load_params
from components.report.page import build_report
from pipelines.stage import Stage, main

PACKAGES = ("torch", "timm", "opencv-python-headless", "numpy", "dvc", "prefect", "mlflow")


def report(stage: Stage, *, prepared: Path, predictions: Path, scores: Path, models: Path, out: Path) -> None:
    """Build the page from what DVC holds; MLflow is not asked."""
    params = load_params()
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
            "lock": lock_entries(Path("dvc.lock")),
            "versions": {package: version(package) for package in PACKAGES},
        },
        runs=params.evaluated,
        beside={run: settings.beside for run, settings in params.published.items()},
    )
    stage.artifact(out / "index.html")
    stage.artifact(out / "tables.csv")


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
