"""Events of journals as MLflow runs. The only module that imports MLflow (3.4 s), and only the courier uses it.

One run an execution of a stage, under one run a reproduction, which has the experiment's parameters and, from the
stage `report`, its scores, tables and page. Every call may be repeated without harm: runs are found again by tag,
MLflow drops equal metrics, parameters and inputs, artifacts are overwritten by themselves.
"""

import json
import logging
import os
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from pipelines.system import environment
from pipelines.system.processes import parse_owner
from pipelines.tracking.parcels import Event
from pipelines.tracking.registry import Registry

log = logging.getLogger(__name__)

EXPERIMENT = "dbdflow"
METRICS_AT_ONCE = 1000  # MLflow's limits for one call
OTHERS_AT_ONCE = 100
VALUE_LENGTH = 6000
REFUSED = ("INVALID_PARAMETER_VALUE", "BAD_REQUEST", "RESOURCE_DOES_NOT_EXIST")


def database() -> Path:
    """This checkout's own database of runs."""
    return environment.state() / "mlflow" / "mlflow.db"


def uri() -> str:
    """Where runs go: the environment's server or database, else this checkout's own database."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{database()}"


class Tracker:
    """A connection to MLflow."""

    def __init__(self) -> None:
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
        from mlflow import MlflowClient

        database().parent.mkdir(parents=True, exist_ok=True)
        self.client: Any = MlflowClient(tracking_uri=uri())
        self.registry = Registry(self.client)
        self.experiment = self._experiment()

    def _experiment(self) -> str:
        known = self.client.get_experiment_by_name(EXPERIMENT)
        if known is None:
            artifacts = database().with_name("artifacts") if uri().startswith("sqlite") else None
            return str(self.client.create_experiment(EXPERIMENT, artifact_location=artifacts and artifacts.as_uri()))
        if known.lifecycle_stage == "deleted":
            self.client.restore_experiment(known.experiment_id)
        return str(known.experiment_id)

    def find(self, tag: str, value: str) -> list[Any]:
        """The runs with this tag."""
        return list(self.client.search_runs([self.experiment], f"tags.`{tag}` = '{value}'"))

    def reproduction(self, start: Event) -> str:
        """The run that stands for the reproduction of a stage, made or opened again as needed, with its parameters."""
        run = self._reproduction(start)
        self._values(run.run_id, [start | {"event": "params", "values": start.get("params", {})}])
        return str(run.run_id)

    def _reproduction(self, start: Event) -> Any:  # noqa: ANN401 (a type of MLflow)
        params, part = start.get("params", {}), start.get("sweep")
        name = " ".join(filter(None, ["reproduce", params.get("name")]))
        if part is None:
            return self._made_or_found(start, "reproduction", start["reproduction"], name)
        whole = self._made_or_found(start, "sweep", part["name"], f"sweep {part['axes']}")
        identity = f"{part['name']}/{part['point']}"
        return self._made_or_found(start, "point", identity, part["values"], {"mlflow.parentRunId": whole.run_id})

    def _made_or_found(
        self, start: Event, kind: str, identity: str, name: str, more: dict[str, str] | None = None
    ) -> Any:  # noqa: ANN401 (a type of MLflow)
        """A run above those of stages: of a reproduction, or of a sweep and its points (found again after a kill).

        Its tag `dbdflow.reproduction` says which process it ends with.
        """
        if found := self.find(f"dbdflow.{kind}", identity):
            run = found[0].info
            if run.status != "RUNNING":
                self.client.update_run(run.run_id, status="RUNNING")
            self.client.set_tag(run.run_id, "dbdflow.reproduction", start["reproduction"])
            return run
        owner = parse_owner(start["reproduction"])
        moment = int(owner.created * 1000) if owner else start["time"]
        began = f"{name} {datetime.fromtimestamp(moment / 1000):%Y-%m-%d %H:%M}"
        tags = {"dbdflow.kind": kind, f"dbdflow.{kind}": identity, "dbdflow.reproduction": start["reproduction"]}
        tags |= git_tags(start) | (more or {})
        return self.client.create_run(self.experiment, start_time=moment, tags=tags, run_name=began).info

    def end_reproduction(self, identity: str) -> None:
        """End the runs of a reproduction as its stages ended: killed, failed or finished, in this order."""
        runs = self.find("dbdflow.reproduction", identity)
        for run in sorted(runs, key=lambda run: run.data.tags["dbdflow.kind"] == "sweep"):  # ends as its points did
            stages = [stage.info for stage in self.find("mlflow.parentRunId", run.info.run_id)]
            found = {stage.status for stage in stages}
            status = next((bad for bad in ("KILLED", "FAILED") if bad in found), "FINISHED")
            ends = [stage.end_time for stage in stages if stage.end_time is not None]
            self.client.set_terminated(run.info.run_id, status, end_time=max(ends, default=None))

    def stage(self, name: str, start: Event) -> str:
        """The run of one execution of a stage, made if it is not there."""
        if found := self.find("dbdflow.journal", name):
            return str(found[0].info.run_id)
        tags = {
            "dbdflow.journal": name,
            "dbdflow.kind": "stage",
            "dbdflow.stage": start["stage"],
            "mlflow.parentRunId": self.reproduction(start),
            "mlflow.source.name": start["command"],
            "dvc.deps_hash": start["deps_hash"],
        } | git_tags(start)
        if start["dvc_stage"] is not None:
            tags["dvc.stage"] = start["dvc_stage"]
        run = self.client.create_run(self.experiment, start_time=start["time"], tags=tags, run_name=start["name"])
        return str(run.info.run_id)

    def deliver(self, run: str, events: list[Event], files: Path) -> None:
        """Log events; `files` is the folder of what they name. An `end` is the last of them."""
        self._values(run, events)
        for event in events:
            match event["event"]:
                case "artifact":
                    attempt(self.client.log_artifact, run, str(files / event["file"]), place(event["folder"]))
                case "dataset":
                    attempt(self.client.log_inputs, run, [dataset(event)])
                case "model":
                    attempt(self.registry.register, run, event)
                case "reproduction":
                    attempt(self._whole, run, event, files)
                case "scored":
                    attempt(self.registry.score, event)
                case "end":
                    attempt(self._end, run, event)

    def _values(self, run: str, events: list[Event]) -> None:
        from mlflow.entities import Metric, Param, RunTag

        metrics = [
            Metric(allowed(key), value, event["time"], event["step"])
            for event in events
            if event["event"] == "metrics"
            for key, value in event["values"].items()
        ]
        params = [Param(key, value[:VALUE_LENGTH]) for key, value in merged(events, "params").items()]
        tags = [RunTag(key, value[:VALUE_LENGTH]) for key, value in merged(events, "tags").items()]
        for start in range(0, len(metrics), METRICS_AT_ONCE):
            attempt(self.client.log_batch, run, metrics=metrics[start : start + METRICS_AT_ONCE])
        for start in range(0, max(len(params), len(tags)), OTHERS_AT_ONCE):
            part = slice(start, start + OTHERS_AT_ONCE)
            attempt(self.client.log_batch, run, params=params[part], tags=tags[part])

    def _whole(self, run: str, event: Event, files: Path) -> None:
        """What a stage says of the whole reproduction: to the run above its own."""
        parent = self.client.get_run(run).data.tags["mlflow.parentRunId"]
        said = [event | {"event": kind, "values": event[kind], "step": 0} for kind in ("metrics", "tags")]
        self._values(parent, said)
        if event["file"] is not None:
            self.client.log_artifact(parent, str(files / event["file"]))

    def _end(self, run: str, event: Event) -> None:
        if event["message"]:
            self.client.set_tag(run, "dbdflow.message", event["message"][:VALUE_LENGTH])
        self.client.set_terminated(run, event["status"], end_time=event["time"])


def merged(events: list[Event], kind: str) -> dict[str, str]:
    """The values of all events of a kind, the later over the earlier."""
    return {allowed(key): value for event in events if event["event"] == kind for key, value in event["values"].items()}


def git_tags(start: Event) -> dict[str, str]:
    """The commit that a stage started from, where there is one, and whether files differed from it."""
    if start["git_commit"] is None:
        return {}
    commit = start["git_commit"]
    return {"mlflow.source.git.commit": commit, "git.commit": commit, "git.dirty": str(start["git_dirty"])}


def allowed(key: str) -> str:
    """A name that MLflow takes: `EBD(1305)` becomes `EBD_1305`."""
    return re.sub(r"[^\w\-./ ]+", "_", key.replace(")", ""))[:250]


def place(folder: str) -> str | None:
    """MLflow's name for an artifact folder: the top one has none."""
    return None if folder == "." else folder


def dataset(event: Event) -> Any:  # noqa: ANN401 (a type of MLflow)
    from mlflow.entities import Dataset, DatasetInput, InputTag

    profile = json.dumps({"images": event["images"]})
    entity = Dataset(event["name"], event["digest"][:36], "local", json.dumps({"uri": event["name"]}), profile=profile)
    return DatasetInput(entity, [InputTag("mlflow.data.context", event["context"])])


def attempt(call: Callable[..., object], *arguments: object, **options: object) -> None:
    """Call MLflow; what it refuses for good is warned about and left out, every other error is the caller's."""
    from mlflow.exceptions import MlflowException

    try:
        call(*arguments, **options)
    except FileNotFoundError as error:
        log.warning("left out: %s", error)
    except MlflowException as error:
        if error.error_code not in REFUSED:
            raise
        log.warning("left out: %s", error)
