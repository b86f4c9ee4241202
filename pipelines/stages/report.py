"""Stage `report`: the paper's tables, ours beside them, curves, gallery and provenance on one page."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from components.common.errors import InputError
from components.params import EXTERNAL, Params, load_params
from components.report.page import build_report
from components.report.provenance import StageFacts, stage_facts
from components.report.summaries import Summary, find_summaries, write_summaries
from pipelines.harness.context import Stage
from pipelines.harness.main import main
from pipelines.repo import executions
from pipelines.repo.fingerprint import Pipeline, digest
from pipelines.repo.lock_file import recorded_stages
from pipelines.repo.revisions import git
from pipelines.stages.ranking import ranked, scored_on

ARENA_DATA = "prepare@cuhk"
"""The stage that makes the photographs on which champions are decided."""
PACKAGES = ("torch", "timm", "opencv-python-headless", "numpy", "pandas", "matplotlib", "dvc", "prefect", "mlflow")


def report(
    stage: Stage,
    *,
    prepared: Path,
    predictions: Path,
    scores: Path,
    models: Path,
    teacher: Path,
    summary: Path,
    out: Path,
) -> None:
    """Build the page, and in `summary` the files that DVC compares, from what DVC holds; MLflow is not asked."""
    params, made = load_params(), stages(Path())
    found = find_summaries(scores, params.evaluated)
    write_summaries(summary, found, scores, models)
    build_report(
        out=out,
        name=params.name,
        scores=scores,
        predictions=predictions,
        prepared=prepared,
        models=models,
        teacher=teacher,
        external=scores / EXTERNAL,
        departures=asdict(params.resolved),
        provenance={
            "commit": commit(),
            "params": params.model_dump(mode="json"),
            "stages": made,
            "executions": os.path.relpath(executions.path(), out.resolve()),
            "versions": {package: version(package) for package in PACKAGES},
        },
        runs=params.evaluated,
        beside={run: settings.beside for run, settings in params.published.items()},
        progress=lambda done, total: stage.progress(done, total, "photographs"),
    )
    tell(stage, params, found, made, models=models, scores=scores, page=out)


def tell(
    stage: Stage,
    params: Params,
    found: Mapping[str, Summary],
    made: Sequence[StageFacts],
    *,
    models: Path,
    scores: Path,
    page: Path,
) -> None:
    """Report on the reproduction as a whole: every score, the page, which weights scored best."""
    outputs = [[file.path, file.md5] for each in made for file in each.writes]
    stage.reproduction(metrics=summary_metrics(found), tags={"dvc.lock": digest(outputs)}, folder=page)
    upsample = params.resolved.upsample
    data, contest = scored_on(made, upsample), scored_on([each for each in made if each.name == ARENA_DATA], upsample)
    for each in ranked(found, models, scores, contest):
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
    try:
        return git(Path(), "describe", "--always", "--dirty", "--abbrev=40").strip()
    except InputError:
        return "not a git checkout"


def stages(folder: Path) -> list[StageFacts]:
    """What dvc.lock has of every stage, by name; this one is not there yet, or is there as it was."""
    pipeline = Pipeline(folder)
    defined, locked = pipeline.stages(), recorded_stages(folder)
    names = sorted(defined.keys() & locked.keys() - {"report"})
    return [stage_facts(name, locked[name], pipeline.digest(defined[name])) for name in names]


if __name__ == "__main__":
    main(report)
