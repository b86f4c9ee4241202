"""A stage's journal as artifacts of its Prefect flow run: how far it is, sample maps, tables of scores, its MLflow run.

The courier calls it, over Prefect's REST API (importing Prefect takes 1.9 s), so that no stage waits. Every call may
be repeated without harm: an artifact of a flow run is found again by its key. A server that does not answer is left
alone: the journal goes to MLflow without it.
"""

import base64
import io
import json
import logging
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines import environment
from pipelines.parcels import Event, Parcel

log = logging.getLogger(__name__)

TIMEOUT = 3.0  # seconds
PICTURES = 6  # of a flow run
WIDTH = 512  # pixels of a picture at most

Artifact = dict[str, Any]


def show(parcel: Parcel, events: list[Event], mlflow_run: str) -> None:
    """Bring the artifacts of a stage's flow run up to date with further events; without a flow run there are none."""
    new = parcel.flow_run is None
    for event in events:
        if event["event"] == "tags" and "prefect.flow_run_id" in event["values"]:
            parcel.flow_run = {"api": event["values"]["prefect.api"], "id": event["values"]["prefect.flow_run_id"]}
    if parcel.flow_run is None:
        return
    try:
        run = FlowRun(parcel.flow_run["api"], parcel.flow_run["id"])
        for artifact in [
            *(link(parcel, mlflow_run) if new else ()),
            *artifacts(parcel.start["name"], events, parcel.files),
        ]:
            run.put(artifact)
    except (OSError, ValueError) as error:
        log.warning("not shown in Prefect: %s", error)


class FlowRun:
    """The artifacts of one flow run on a Prefect server."""

    def __init__(self, api: str, identity: str) -> None:
        self.api, self.identity = api, identity
        found = self._ask("POST", "/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [identity]}}})
        self.known = {artifact["key"]: artifact for artifact in found}

    def put(self, artifact: Artifact) -> None:
        """Make an artifact, or bring the one with its key up to date."""
        key = artifact["key"]
        if key in self.known:
            values = {name: artifact[name] for name in ("data", "description")}
            self._ask("PATCH", f"/artifacts/{self.known[key]['id']}", values)
        elif artifact["type"] != "image" or self._pictures() < PICTURES:
            self.known[key] = self._ask("POST", "/artifacts/", artifact | {"flow_run_id": self.identity})

    def _pictures(self) -> int:
        return sum(artifact["type"] == "image" for artifact in self.known.values())

    def _ask(self, method: str, path: str, body: object) -> Any:  # noqa: ANN401 (JSON)
        sent = urllib.request.Request(
            self.api + path, json.dumps(body).encode(), {"Content-Type": "application/json"}, method=method
        )
        with urllib.request.urlopen(sent, timeout=TIMEOUT) as answer:
            text = answer.read()
        return json.loads(text) if text else None


def artifacts(stage: str, events: list[Event], files: Path) -> Iterator[Artifact]:
    """What further events of a stage's journal show; of its progress, the last word."""
    moved = [event for event in events if event["event"] == "progress"]
    if moved:
        last = moved[-1]
        share = 100.0 * last["done"] / last["total"] if last["total"] else 100.0
        yield artifact("progress", f"{stage} progress", share, last["message"])
    for event in events:
        if event["event"] == "table":
            yield artifact("table", f"{stage} {event['name']}", json.dumps(event["rows"]), event["description"])
        elif event["event"] == "artifact" and event["file"].endswith(".png") and (files / event["file"]).exists():
            name = Path(event["file"]).stem
            told = f"{event['folder']}/{name}: photograph, label, map; white = in focus"
            yield artifact("image", f"{stage} {event['folder']} {name}", picture(files / event["file"]), told)


def link(parcel: Parcel, run: str) -> Iterator[Artifact]:
    """The stage's run in MLflow's pages, if `dbdflow up` serves them."""
    address, name = environment.mlflow_pages(), parcel.start["name"]
    if address is not None:
        page = f"{address}/#/experiments/{parcel.experiment}/runs/{run}"
        told = "curves, parameters and files of this stage"
        yield artifact("markdown", f"{name} mlflow", f"[{name} in MLflow]({page})", told)


def artifact(kind: str, name: str, data: object, description: str) -> Artifact:
    """An artifact; its key is its name in the letters that Prefect takes."""
    key = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return {"key": key, "type": kind, "data": data, "description": description}


def picture(path: Path) -> str:
    """A picture as an address of its own (`data:`), at most `WIDTH` wide."""
    from PIL import Image

    encoded = io.BytesIO()
    with Image.open(path) as image:
        image.thumbnail((WIDTH, 100 * WIDTH))
        image.save(encoded, "png")
    return f"data:image/png;base64,{base64.b64encode(encoded.getvalue()).decode()}"
