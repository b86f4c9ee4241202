"""How each stage was last run here: when, how long, at which commit, and its pages in MLflow and Prefect.

The courier keeps it, in `.dbdflow/executions.js`: a script, because a page in a file can load nothing else beside it.
The report's page loads it when it is opened, so that the page's own bytes depend on what DVC holds alone. Nothing
reads it back but this module, which adds to it.
"""

import json
import logging
from pathlib import Path
from typing import Any

from components.common.storage import atomic_path
from pipelines.system import environment
from pipelines.tracking.parcels import Event, Parcel

log = logging.getLogger(__name__)

ASSIGNED = "var dbdflowExecutions = "
KEPT = 2000
"""Executions of other parameters and data are kept too, so many in all."""


def path() -> Path:
    return environment.state() / "executions.js"


def known() -> dict[str, Any]:
    """Executions by the hash of what they depend on, the newest last; none where the file is damaged or not there."""
    try:
        text = path().read_text(encoding="utf-8")
        found: dict[str, Any] = json.loads(text.removeprefix(ASSIGNED).rstrip().removesuffix(";"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def keep(parcel: Parcel, end: Event) -> None:
    """Remember how a stage ran that finished; that it cannot be written is no reason to fail."""
    start = parcel.start
    if end["status"] != "FINISHED" or not start.get("dvc_stage"):
        return
    executions = known()
    executions.pop(start["deps_hash"], None)
    executions[start["deps_hash"]] = facts(parcel, end)
    newest = dict(list(executions.items())[-KEPT:])
    try:
        with atomic_path(path()) as temporary:
            temporary.write_text(f"{ASSIGNED}{json.dumps(newest)};\n", encoding="utf-8")
    except Exception as error:  # a full disk, a folder that is gone
        log.warning("%s is not kept (%s)", path(), error)


def facts(parcel: Parcel, end: Event) -> dict[str, Any]:
    """What the page says of one execution; an address is there where a server had one."""
    start, pages = parcel.start, environment.mlflow_pages()
    run = f"#/experiments/{parcel.experiment}/runs/{parcel.run}"
    flow = parcel.flow_run
    return {
        "stage": start["dvc_stage"],
        "began": start["time"],
        "seconds": round((end["time"] - start["time"]) / 1000, 1),
        "commit": start["git_commit"],
        "dirty": start["git_dirty"],
        "mlflow_run": parcel.run,
        "mlflow": pages and f"{pages.rstrip('/')}/{run}",
        "prefect": flow and f"{flow['api'].rstrip('/').removesuffix('/api')}/runs/flow-run/{flow['id']}",
    }
