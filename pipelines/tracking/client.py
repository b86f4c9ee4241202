"""A connection to MLflow: runs of stages, under one of their reproduction, or of a sweep's point below its sweep.

What is above a stage's run has the experiment's parameters, the data sets and models of its stages and, from the stage
`report`, scores, tables and page. It runs while a stage of it does, and then is what its stages came to.
"""

import json
import os
import re
import sqlite3
import warnings
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from filelock import BaseFileLock, FileLock

from components.common.storage import atomic_path
from pipelines.system import environment
from pipelines.system.processes import parse_owner
from pipelines.tracking.execution import Execution, command_of, source
from pipelines.tracking.registry import Registry

EXPERIMENT = "dbdflow"
PATIENCE = 60.0  # seconds that others may take for the tables of a fresh store and what is above a run
BUSY = 5.0  # seconds that a database may be locked
METRICS_AT_ONCE = 1000  # MLflow's limits for one call
OTHERS_AT_ONCE = 100
VALUE_LENGTH = 6000
ABOVE = ("reproduction", "sweep", "point")
"""Kinds of runs above those of stages."""
VIEW = "workflowType=machine_learning"
"""What makes MLflow's pages show runs, charts and models; without it they open on traces of language models."""


def database() -> Path:
    """This checkout's own database of runs."""
    return environment.state() / "mlflow" / "mlflow.db"


def uri() -> str:
    """Where runs go: the environment's server or database, else this checkout's own database."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{database()}"


def page(pages: str, experiment: str, run: str = "") -> str:
    """The page of an experiment's runs, or of one of them, below the address of MLflow's pages."""
    return f"{pages.rstrip('/')}/#/experiments/{experiment}{run and f'/runs/{run}'}?{VIEW}"


def alone() -> BaseFileLock:
    """The checkout's lock on what is made once in a store: its tables, the experiment, what is above a stage's run."""
    path = environment.state() / "mlflow.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path, timeout=PATIENCE)


class Store:
    """A connection to MLflow, whose import takes 1.6 s; what it finds wrong, it raises at once."""

    def __init__(self) -> None:
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        with warnings.catch_warnings(action="ignore"):  # its libraries'
            from mlflow import MlflowClient

        with alone():
            prepare(uri())
        self.client: Any = MlflowClient(tracking_uri=uri())
        with alone():
            self.experiment = self._experiment()
        self.registry = Registry(self.client, self.experiment)

    def _experiment(self) -> str:
        known = self.client.get_experiment_by_name(EXPERIMENT)
        if known is None:
            artifacts = database().with_name("artifacts") if uri().startswith("sqlite") else None
            tags = {"mlflow.experimentKind": "custom_model_development"}
            return str(self.client.create_experiment(EXPERIMENT, artifacts and artifacts.as_uri(), tags))
        if known.lifecycle_stage == "deleted":
            self.client.restore_experiment(known.experiment_id)
        return str(known.experiment_id)

    def find(self, tag: str, value: str) -> list[Any]:
        """The runs with this tag."""
        return list(self.client.search_runs([self.experiment], f"tags.`{tag}` = '{value}'"))

    def begin(self, execution: Execution) -> tuple[str, str]:
        """Make the run of an execution; its id, and that of the run above it. Those of killed processes end."""
        with alone():
            self._end_killed()
            above = self._above(execution)
            return self._create(execution.name, execution.tags(), above, execution.began), above

    def end(self, run: str, above: str, status: str, moment: int | None = None) -> None:
        """End a stage's run, and what is above it if no other stage of it runs; `moment` is in unix ms, or now."""
        self.client.set_terminated(run, status, moment)
        with alone():
            self._settle(above)

    def _create(self, name: str, tags: dict[str, str], above: str | None, moment: int) -> str:
        tags |= {"mlflow.parentRunId": above} if above else {}
        return str(self.client.create_run(self.experiment, moment, tags, name).info.run_id)

    def _above(self, execution: Execution) -> str:
        name = " ".join(filter(None, ["reproduce", execution.params.get("name")]))
        part, identity = execution.sweep, execution.reproduction
        if part is None:
            return self._made_or_found(execution, "reproduction", identity, name)
        whole = self._made_or_found(execution, "sweep", part["name"], f"sweep {part['axes']}")
        return self._made_or_found(execution, "point", f"{part['name']}/{part['point']}", part["values"], whole)

    def _made_or_found(
        self, execution: Execution, kind: str, identity: str, name: str, above: str | None = None
    ) -> str:
        """A run above those of stages, with the experiment's parameters; a sweep's has those of no point."""
        if found := self.find(f"dbdflow.{kind}", identity):
            run = found[0].info
            if run.status != "RUNNING":
                self.client.update_run(run.run_id, "RUNNING")
            return str(run.run_id)
        owner = parse_owner(execution.reproduction)
        moment = int(owner.created * 1000) if owner else execution.began
        tags = {"dbdflow.kind": kind, f"dbdflow.{kind}": identity, **execution.git_tags()}
        tags |= source(command_of(owner.pid) if owner else execution.command)
        made = self._create(f"{name} {datetime.fromtimestamp(moment / 1000):%Y-%m-%d %H:%M}", tags, above, moment)
        if kind != "sweep":
            self.log(made, params=execution.params)
        return made

    def _settle(self, run: str) -> None:
        """End a run as those below it ended, of each name the newest; it goes on while one of them runs."""
        below = sorted(self.find("mlflow.parentRunId", run), key=lambda each: each.info.start_time)
        statuses = {each.info.run_name: each.info.status for each in below}.values()
        if "RUNNING" not in statuses:
            status = next((bad for bad in ("KILLED", "FAILED") if bad in statuses), "FINISHED")
            self.client.set_terminated(run, status, max((each.info.end_time for each in below), default=None))
        if above := self.client.get_run(run).data.tags.get("mlflow.parentRunId"):
            self._settle(above)

    def _end_killed(self) -> None:
        """End the runs of processes of this machine that are gone, and what is above them."""
        running = self.client.search_runs([self.experiment], "attributes.status = 'RUNNING'")
        for run in running:
            owner = parse_owner(run.data.tags.get("dbdflow.owner", ""))
            if owner and not owner.alive():
                self.client.set_terminated(run.info.run_id, "KILLED", self._last(run))
        for run in running:
            if run.data.tags.get("dbdflow.kind") in ABOVE:
                self._settle(run.info.run_id)

    def _last(self, run: Any) -> int:  # noqa: ANN401 (a type of MLflow)
        """When a run was last heard of, in unix ms."""
        histories = (self.client.get_metric_history(run.info.run_id, key) for key in run.data.metrics)
        return int(max((each.timestamp for history in histories for each in history), default=run.info.start_time))

    def log(
        self,
        run: str,
        *,
        metrics: dict[str, float] | None = None,
        step: int = 0,
        params: dict[str, str] | None = None,
        tags: dict[str, str] | None = None,
    ) -> None:
        """Log values of a run."""
        from mlflow.entities import Metric, Param, RunTag

        now = int(datetime.now().timestamp() * 1000)
        numbers = [Metric(allowed(key), value, now, step) for key, value in (metrics or {}).items()]
        texts = [Param(allowed(key), value[:VALUE_LENGTH]) for key, value in (params or {}).items()]
        facts = [RunTag(allowed(key), value[:VALUE_LENGTH]) for key, value in (tags or {}).items()]
        for at in range(0, len(numbers), METRICS_AT_ONCE):
            self.client.log_batch(run, metrics=numbers[at : at + METRICS_AT_ONCE])
        for at in range(0, max(len(texts), len(facts)), OTHERS_AT_ONCE):
            part = slice(at, at + OTHERS_AT_ONCE)
            self.client.log_batch(run, params=texts[part], tags=facts[part])

    def log_dataset(self, *runs: str, name: str, digest: str, images: int, context: str, source: str) -> None:
        """Log a data set that goes into runs."""
        from mlflow.data.meta_dataset import MetaDataset
        from mlflow.data.sources import LocalArtifactDatasetSource
        from mlflow.entities import Dataset, DatasetInput, InputTag

        known = MetaDataset(LocalArtifactDatasetSource(source), name, digest[:36]).to_dict()
        data = Dataset.from_dictionary(known | {"profile": json.dumps({"images": images})})
        for run in runs:
            self.client.log_inputs(run, [DatasetInput(data, [InputTag("mlflow.data.context", context)])])


def prepare(store: str) -> None:
    """See to it that a database of this machine has its tables, and can be written to: MLflow tries for minutes.

    The tables are made beside it: a process that is killed meanwhile would leave what MLflow cannot go on with.

    Raises:
        sqlite3.Error: it cannot be written to.
    """
    if not store.startswith("sqlite"):
        return
    path = Path(urlsplit(store).path[1:])
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        from mlflow import MlflowClient

        with atomic_path(path) as temporary:
            MlflowClient(tracking_uri=f"sqlite:///{temporary}").search_experiments()
    with closing(sqlite3.connect(path, timeout=BUSY)) as connection:
        connection.execute("begin immediate")


def allowed(key: str) -> str:
    """A name that MLflow takes: `EBD(1305)` becomes `EBD_1305`."""
    return re.sub(r"[^\w\-./ ]+", "_", key.replace(")", ""))[:250]
