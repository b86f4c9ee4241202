"""Trained models as versions of MLflow's registered models: one model an experiment and training split.

The alias `best` points to the version with the lowest mean MAE (see `stages.ranking`) among those that were scored
on the same photographs by the same rule as the newest scores.
"""

import logging
import re
from typing import Any

from pipelines.tracking.parcels import Event

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
    """MLflow's registered models, by an `MlflowClient`. Every call may be repeated without harm."""

    def __init__(self, client: Any) -> None:  # noqa: ANN401 (MLflow is imported in pipelines.tracking.client alone)
        self.client = client

    def register(self, run: str, event: Event) -> None:
        """Make the weights that a run has under `model/` a version, unless they are one."""
        name = registered_name(event["experiment"], event["train"])
        if not self.client.search_registered_models(f"name = '{name}'"):
            self.client.create_registered_model(name, description=ABOUT)
        if self._version(name, event["weights"]) is None:
            source = f"{self.client.get_run(run).info.artifact_uri}/model"
            tags = {WEIGHTS: event["weights"], "dbdflow.model": event["name"]}
            self.client.create_model_version(
                name, source, run_id=run, tags=tags, description=event["name"], await_creation_for=0
            )

    def score(self, event: Event) -> None:
        """Note what a version scored, and let `best` point to the best of those scored alike."""
        name = registered_name(event["experiment"], event["train"])
        if (version := self._version(name, event["weights"])) is None:
            log.warning("%s: no version has the weights of %s; they come from elsewhere", name, event["name"])
            return
        for tag, value in ((MAE, repr(event["mae"])), (TEST_DATA, event["test_data"])):
            self.client.set_model_version_tag(name, version.version, tag, value)
        alike = [each for each in self._versions(name) if each.tags.get(TEST_DATA) == event["test_data"]]
        best = min(alike, key=lambda each: (float(each.tags[MAE]), int(each.version)))
        self.client.set_registered_model_alias(name, BEST, best.version)

    def _versions(self, name: str) -> list[Any]:
        return list(self.client.search_model_versions(f"name = '{name}'"))

    def _version(self, name: str, weights: str) -> Any:  # noqa: ANN401 (a type of MLflow)
        return next((each for each in self._versions(name) if each.tags.get(WEIGHTS) == weights), None)
