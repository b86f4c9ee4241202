"""Trained models as MLflow's logged models, and as versions of registered ones: one an experiment and training split.

The alias `best` points to the version with the lowest mean MAE (see `stages.ranking`) among those that were scored
on the same photographs by the same rule as the newest scores.
"""

import json
import logging
import re
import tempfile
from pathlib import Path
from typing import Any

from components.common.storage import file_hash

log = logging.getLogger(__name__)

BEST = "best"
WEIGHTS = "dbdflow.weights"
MAE = "dbdflow.mean_mae"
TEST_DATA = "dbdflow.test_data"
ABOUT = "`best`: the lowest mean MAE over the test sets. Chosen by test scores: a pointer, no claim."


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
            describe(runs[0], model.model_id, path.name).save(f"{folder}/MLmodel")
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

    def score(self, *, name: str, experiment: str, train: str, weights: str, mae: float, test_data: str) -> None:
        """Note what a version scored, and let `best` point to the best of those scored alike."""
        registered = registered_name(experiment, train)
        if (version := self._version(registered, weights)) is None:
            log.warning("%s: no version has the weights of %s; they come from elsewhere", registered, name)
            return
        for tag, value in ((MAE, repr(mae)), (TEST_DATA, test_data)):
            self.client.set_model_version_tag(registered, version.version, tag, value)
        alike = [each for each in self._versions(registered) if each.tags.get(TEST_DATA) == test_data]
        best = min(alike, key=lambda each: (float(each.tags[MAE]), int(each.version)))
        self.client.set_registered_model_alias(registered, BEST, best.version)

    def _versions(self, name: str) -> list[Any]:
        return list(self.client.search_model_versions(f"name = '{name}'"))

    def _version(self, name: str, weights: str) -> Any:  # noqa: ANN401 (a type of MLflow)
        return next((each for each in self._versions(name) if each.tags.get(WEIGHTS) == weights), None)


def allowed(name: str) -> str:
    """A name that MLflow takes for a model."""
    return re.sub(r"[^\w\-]+", "_", name)


def describe(run: str, model: str, weights: str) -> Any:  # noqa: ANN401 (a type of MLflow)
    """The file `MLmodel`: what goes in, RGB photographs (N, 3, H, W), and what comes out, one map (N, 1, H, W) each."""
    import numpy as np
    from mlflow.models import Model, ModelSignature
    from mlflow.types import Schema, TensorSpec

    number = np.dtype("float32")
    inputs = Schema([TensorSpec(number, (-1, 3, -1, -1), "photograph")])
    outputs = Schema([TensorSpec(number, (-1, 1, -1, -1), "map")])
    described = Model(run_id=run, model_id=model, signature=ModelSignature(inputs, outputs))
    described.add_flavor("dbdflow", weights=weights, card="card.json")
    return described
