"""Trained models as MLflow's logged models, and as versions of registered ones: one an experiment and training split.

The alias `best` points to the version with the lowest mean MAE (see `stages.ranking`) among those that were scored
on the same photographs by the same rule as the newest scores. The alias `champion` points to one that is only left for
a version that is better beyond chance, photograph by photograph; what decided stands in the tags of each version.

A logged model is one of MLflow's `pyfunc` flavor: `dbdflow.served` says what goes in and what comes out.
"""

import json
import logging
import platform
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.common.storage import file_hash

log = logging.getLogger(__name__)

BEST = "best"
WEIGHTS = "dbdflow.weights"
MAE = "dbdflow.mean_mae"
TEST_DATA = "dbdflow.test_data"
CHAMPION = "champion"
ERRORS = "dbdflow.errors"
CONTEST = "dbdflow.contest"
DECIDED = "dbdflow.champion"
LOADER = "dbdflow.served"
"""The module that MLflow loads a model by."""
ABOUT = (
    "`best`: the lowest mean MAE over the test sets. Chosen by test scores: a pointer, no claim. `champion`: the first "
    "version, until another has a lower MAE on CUHK-TE-1 beyond chance; `dbdflow.champion` of each version says why."
)


@dataclass(frozen=True)
class Challenge:
    """What a version brings against the champion.

    Attributes:
        errors: of each photograph of CUHK-TE-1, by its id.
        contest: hash of what they were taken on; only versions of one contest are compared.
        judge: of the champion's errors and the challenger's, whether the challenger is better, and the figures.
    """

    errors: Mapping[str, float]
    contest: str
    judge: Callable[[Mapping[str, float], Mapping[str, float]], tuple[bool, str]]


def registered_name(experiment: str, train: str) -> str:
    """The registered model of a training split.

    >>> registered_name("paper", "CUHK-TR-1 & DUT-TR")
    'dbdflow.paper.CUHK-TR-1_DUT-TR'
    """
    return re.sub(r"[^\w\-.]+", "_", f"dbdflow.{experiment}.{train}")


class Registry:
    """MLflow's models, by an `MlflowClient`."""

    def __init__(self, client: Any, experiment: str) -> None:  # noqa: ANN401 (MLflow is imported where it is used)
        self.client, self.experiment = client, experiment

    def log(self, *runs: str, name: str, path: Path, experiment: str = "", train: str = "") -> None:
        """Log weights, and the card beside them, as a model that came out of runs, the first of them its own.

        With an experiment's name and a training split it becomes a version, unless these weights are one.
        """
        from mlflow.entities import LoggedModelOutput

        weights = file_hash(path)
        tags = {"dbdflow.model": name, WEIGHTS: weights}
        model = self.client.create_logged_model(self.experiment, allowed(name), runs[0], tags)
        with tempfile.TemporaryDirectory() as folder:
            describe(runs[0], model.model_id).save(f"{folder}/MLmodel")
            for file in (path, path.with_name("card.json"), Path(folder, "MLmodel")):
                if file.exists():
                    self.client.log_model_artifact(model.model_id, str(file))
        self.client.finalize_logged_model(model.model_id, "READY")
        for run in runs:
            self.client.log_outputs(run, [LoggedModelOutput(model.model_id, 0)])
        if train:
            self._register(registered_name(experiment, train), model, tags)

    def _register(self, name: str, model: Any, tags: dict[str, str]) -> None:  # noqa: ANN401 (a type of MLflow)
        if not self.client.search_registered_models(f"name = '{name}'"):
            self.client.create_registered_model(name, description=ABOUT)
        if self._version(name, tags[WEIGHTS]) is None:
            made = self.client.create_model_version(
                name,
                model.artifact_location,
                run_id=model.source_run_id,
                model_id=model.model_id,
                tags=tags,
                description=tags["dbdflow.model"],
                await_creation_for=0,
            )
            versions = [{"name": name, "version": int(made.version)}]  # for MLflow's pages
            self.client.set_logged_model_tags(model.model_id, {"mlflow.modelVersions": json.dumps(versions)})

    def score(
        self,
        *,
        name: str,
        experiment: str,
        train: str,
        weights: str,
        mae: float,
        test_data: str,
        challenge: Challenge | None,
    ) -> None:
        """Note what a version scored, let `best` point to the best of those scored alike, and try the champion."""
        registered = registered_name(experiment, train)
        if (version := self._version(registered, weights)) is None:
            log.warning("%s: no version has the weights of %s; they come from elsewhere", registered, name)
            return
        for tag, value in ((MAE, repr(mae)), (TEST_DATA, test_data)):
            self.client.set_model_version_tag(registered, version.version, tag, value)
        alike = [each for each in self._versions(registered) if each.tags.get(TEST_DATA) == test_data]
        best = min(alike, key=lambda each: (float(each.tags[MAE]), int(each.version)))
        self.client.set_registered_model_alias(registered, BEST, best.version)
        if challenge is not None:
            self._try_champion(registered, version, challenge)

    def _try_champion(self, registered: str, version: Any, challenge: Challenge) -> None:  # noqa: ANN401 (of MLflow)
        for tag, value in ((ERRORS, json.dumps(dict(challenge.errors))), (CONTEST, challenge.contest)):
            self.client.set_model_version_tag(registered, version.version, tag, value)
        number = self.client.get_registered_model(registered).aliases.get(CHAMPION)
        if str(number) == str(version.version):
            return
        won, why = True, "the first that was scored on CUHK-TE-1"
        if number is not None:
            won, why = against(self.client.get_model_version(registered, str(number)), challenge)
        verdict = f"{'became champion' if won else 'did not become champion'}: {why}"
        self.client.set_model_version_tag(registered, version.version, DECIDED, verdict)
        if won:
            self.client.set_registered_model_alias(registered, CHAMPION, version.version)

    def _versions(self, name: str) -> list[Any]:
        return list(self.client.search_model_versions(f"name = '{name}'"))

    def _version(self, name: str, weights: str) -> Any:  # noqa: ANN401 (a type of MLflow)
        return next((each for each in self._versions(name) if each.tags.get(WEIGHTS) == weights), None)


def against(champion: Any, challenge: Challenge) -> tuple[bool, str]:  # noqa: ANN401 (a type of MLflow)
    """Whether a challenge to a version succeeds, and why."""
    if champion.tags.get(CONTEST) != challenge.contest:
        return False, f"version {champion.version} was scored on other data; move the alias by hand to end its reign"
    won, figures = challenge.judge(json.loads(champion.tags[ERRORS]), challenge.errors)
    return won, f"{figures} against version {champion.version}"


def allowed(name: str) -> str:
    """A name that MLflow takes for a model."""
    return re.sub(r"[^\w\-]+", "_", name)


def describe(run: str, model: str) -> Any:  # noqa: ANN401 (a type of MLflow)
    """The file `MLmodel`: what goes in, photographs (N, H, W, 3), what comes out, maps (N, H, W), and who loads it."""
    import numpy as np
    from mlflow.models import Model, ModelSignature
    from mlflow.types import Schema, TensorSpec

    inputs = Schema([TensorSpec(np.dtype("uint8"), (-1, -1, -1, 3))])
    outputs = Schema([TensorSpec(np.dtype("float32"), (-1, -1, -1))])
    described = Model(run_id=run, model_id=model, signature=ModelSignature(inputs, outputs))
    described.add_flavor("python_function", loader_module=LOADER, python_version=platform.python_version())
    return described
