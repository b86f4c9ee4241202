"""`dbdflow log`: runs in MLflow of stages that could not write theirs, from what they left behind.

A stage's parameters are those that `dvc.lock` records of it and its card's; its curves come from `history.csv`, its
scores from every `summary.json`. Pictures are not made again.
"""

import os
import shlex
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import click

from components.common.errors import InputError
from components.common.storage import read_json
from components.models.run_files import CARD, HISTORY, WEIGHTS
from components.params import load_params
from components.report.summaries import find_summaries, text_of
from pipelines.harness import options
from pipelines.harness.context import Stage
from pipelines.repo import dag
from pipelines.repo.fingerprint import Fingerprint, Pipeline, flatten, load
from pipelines.repo.lock_file import recorded_stages
from pipelines.repo.revisions import repository
from pipelines.tracking.client import Store
from pipelines.tracking.run import Run

MODULES = "python -m pipelines.stages."
SAID = {"run": "run", "stage": "stage", "loss": "loss", "teacher": "defocus_teacher"}
"""What a card says beside its parameters, and the parameter that it is."""


@click.command("log")
def command() -> None:
    """Log in MLflow every stage of dvc.lock that has no finished run there; to say it twice adds nothing."""
    root = repository()
    os.chdir(root)
    late = dag.read(root).to_do()
    store, count = connect(), 0
    stages = Pipeline(root)
    for name, recorded in recorded_stages(root).items():
        definition = stages.stages().get(name)
        if MODULES not in recorded["cmd"]:  # a shell command, which has no run
            continue
        if definition is None or name in late:
            click.echo(f"{name}: left out: dvc.lock records another state of it; `dbdflow reproduce` runs it")
        elif not finished(store, digest := stages.digest(definition)):
            log(store, Fingerprint(name, digest), recorded)
            count += 1
    click.echo(f"{count} runs logged in MLflow")


def connect() -> Store:
    """MLflow's store.

    Raises:
        InputError: it fails.
    """
    try:
        return Store()
    except Exception as error:
        raise InputError(f"MLflow fails ({type(error).__name__}: {error}); put it right and say it again") from error


def finished(store: Store, digest: str) -> bool:
    """Whether a stage of these dependencies has a run that is done."""
    return any(run.info.status == "FINISHED" for run in store.find("dvc.deps_hash", digest))


def log(store: Store, depends_on: Fingerprint, recorded: dict[str, Any]) -> None:
    """Make the run of one stage, from what dvc.lock records of it and its outputs.

    Raises:
        InputError: MLflow fails meanwhile.
    """
    words = shlex.split(recorded["cmd"].partition(MODULES)[2])
    outs = [Path(out["path"]) for out in recorded.get("outs", ())]
    moment = int(max((out.stat().st_mtime for out in outs), default=time.time()) * 1000)
    stage = Stage(words[0], words[1:], depends_on)
    stage.run = Run(store)
    stage.begin(recorded["cmd"], moment)
    stage.tags({"dbdflow.logged_later": "true"})
    stage.params(watched_params(words, recorded, outs))
    for out in outs:
        log_output(stage, out)
    if stage.function == "report":
        log_whole(stage)
    stage.run.end("FINISHED", moment=moment)
    if stage.run.store is None:
        raise InputError(f"{stage.name}: not logged, as MLflow fails; put it right and say it again")


def watched_params(words: list[str], recorded: dict[str, Any], outs: list[Path]) -> dict[str, str]:
    """A stage's parameters, flat: which run it is, what dvc.lock records, and over it what its cards say."""
    found = flatten(recorded.get("params", {}).get("params.yaml", {}))
    for option, word in pairwise(words):
        if option in ("--run", "--method"):
            found["run"] = word
    for card in (read_json(out / CARD) for out in outs if (out / CARD).exists()):
        found |= flatten(card.get("params", {}) | {name: card[key] for key, name in SAID.items() if key in card})
    return found


def log_output(stage: Stage, out: Path) -> None:
    """Log the curves, the scores and the weights that a folder holds."""
    for row in text_of(out / HISTORY).to_dict("records"):
        stage.metrics({key: float(value) for key, value in row.items() if key != "epoch"}, step=int(row["epoch"]))
    for path in sorted(out.rglob("summary.json")):
        prefix = "" if path.parent == out else f"{path.parent.relative_to(out)}/"
        for test_set, scores in read_json(path).items():
            numbers = {metric: value for metric, value in scores.items() if isinstance(value, int | float)}
            stage.metrics({f"{prefix}{test_set}/{metric}": value for metric, value in numbers.items()})
    if (out / WEIGHTS).exists():
        card, experiment = read_json(out / CARD), load(Path("params.yaml")).get("name", "")
        stage.model(out / WEIGHTS, name=card.get("run", out.name), experiment=experiment, train=card.get("train", ""))


def log_whole(stage: Stage) -> None:
    """Log on the run above what the stage `report` says of the reproduction."""
    from pipelines.stages import report

    params, given = load_params(), options.parse(report.report, stage.arguments)
    found = find_summaries(given["scores"], params.evaluated)
    report.tell(
        stage, params, found, report.stages(Path()), models=given["models"], scores=given["scores"], page=given["out"]
    )
