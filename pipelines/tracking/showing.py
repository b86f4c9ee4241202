"""A stage's journal as artifacts of its Prefect flow run: how far it is, sample maps, tables of scores, its MLflow run.

The courier calls it, over Prefect's REST API (importing Prefect takes 1.9 s), so that no stage waits. Every call may
be repeated without harm: an artifact of a flow run is found again by its key. What a server did not take waits in
memory, for a few seconds after the journal's last event; the journal itself goes on to MLflow without waiting.
"""

import base64
import io
import json
import logging
import re
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines.system import environment
from pipelines.tracking.parcels import Event, Parcel

log = logging.getLogger(__name__)

TIMEOUT = 3.0  # seconds
LINGER = 10.0  # seconds after a stage's end in which a server may still take what it did not (busy, restarted)
REST = 2.0  # times as long as a server took to fail, it is left alone
PICTURES = 6  # of a flow run
WIDTH = 512  # pixels of a picture at most

Artifact = dict[str, Any]


class Showing:
    """Artifacts of the flow runs under way. Whatever a Prefect server does, the journal goes on to MLflow."""

    def __init__(self) -> None:
        self.runs: dict[str, FlowRun] = {}
        self.rest: dict[str, float] = {}

    def show(self, parcel: Parcel, events: list[Event], mlflow_run: str) -> None:
        """Bring a stage's artifacts up to date with further events; without a flow run there are none."""
        for event in events:
            if event["event"] == "tags" and "prefect.api" in event["values"]:
                parcel.flow_run = {"api": event["values"]["prefect.api"], "id": event["values"]["prefect.flow_run_id"]}
        if parcel.flow_run is None:
            return
        api, identity = parcel.flow_run["api"], parcel.flow_run["id"]
        run = self.runs.setdefault(identity, FlowRun(api, identity))
        try:
            if run.known is None:
                run.add(*link(parcel, mlflow_run))
            run.add(*artifacts(parcel.start["name"], events, parcel.files))
        except OSError as error:
            run.warn(str(error))
        if events[-1]["event"] == "end":
            run.until = time.monotonic() + LINGER
        self._send(run)

    def again(self) -> bool:
        """Send once more what a server did not take; whether stages that have ended still have something to show."""
        for run in list(self.runs.values()):
            self._send(run)
        return any(run.until is not None for run in self.runs.values())

    def _send(self, run: "FlowRun") -> None:
        """Send what waits. A server that fails slowly is left alone for a while: it shall not hold up the journals."""
        begun = time.monotonic()
        if run.waiting and begun >= self.rest.get(run.api, begun):
            try:
                run.send()
            except Exception as error:  # whatever answers at that address, or does not
                now = time.monotonic()
                self.rest[run.api] = now + REST * (now - begun)
                run.warn(f"{type(error).__name__}: {error}")
        if run.until is not None and (begun > run.until or not run.waiting):
            del self.runs[run.identity]


class FlowRun:
    """The artifacts of one flow run on a Prefect server.

    Attributes:
        known: id and type of those that are there, by key; none until the server has been asked.
        waiting: those still to be sent, by key: of one that changes, the newest.
        until: when to stop trying, once the stage has ended.
    """

    def __init__(self, api: str, identity: str) -> None:
        self.api, self.identity = api.rstrip("/"), identity
        self.known: dict[str, tuple[str, str]] | None = None
        self.waiting: dict[str, Artifact] = {}
        self.until: float | None = None
        self.warned = False

    def add(self, *artifacts: Artifact) -> None:
        """Take artifacts, to be sent in their turn."""
        self.waiting |= {artifact["key"]: artifact for artifact in artifacts}

    def warn(self, what: str) -> None:
        """Log what goes wrong, once in a row."""
        if not self.warned:
            log.warning("not shown in Prefect: flow run %s: %s", self.identity, what)
        self.warned = True

    def send(self) -> None:
        """Make what waits, or bring what has its key up to date; what fails waits for the next call."""
        try:
            known = self.known = self._found() if self.known is None else self.known
            for key, artifact in list(self.waiting.items()):
                self._put(artifact, known)
                del self.waiting[key]
            self.warned = False
        except Exception:
            self.known = None  # it may have arrived, or be gone: ask again
            raise

    def _found(self) -> dict[str, tuple[str, str]]:
        found = self._ask("POST", "/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [self.identity]}}})
        return {each["key"]: (each["id"], each["type"]) for each in found}

    def _put(self, artifact: Artifact, known: dict[str, tuple[str, str]]) -> None:
        key, kind = artifact["key"], artifact["type"]
        if key in known:
            values = {name: artifact[name] for name in ("data", "description")}
            self._ask("PATCH", f"/artifacts/{known[key][0]}", values)
        elif kind != "image" or sum(each == "image" for _, each in known.values()) < PICTURES:
            made = self._ask("POST", "/artifacts/", artifact | {"flow_run_id": self.identity})
            known[key] = (made["id"], kind)

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
        share = min(100.0, 100.0 * last["done"] / last["total"]) if last["total"] else 100.0
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
        page = f"{address.rstrip('/')}/#/experiments/{parcel.experiment}/runs/{run}"
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
