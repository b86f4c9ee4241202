"""How each stage was last run here: when, how long, at which commit, and its pages in MLflow and Prefect.

A stage leaves it in `.dbdflow/executions.js`: a script, because a page in a file can load nothing else beside it.
The report's page loads it when it is opened, so that the page's own bytes depend on what DVC holds alone. Nothing
reads it back but this module, which adds to it.
"""

import json
import logging
from pathlib import Path
from typing import Any

from filelock import FileLock

from components.common.storage import atomic_path
from pipelines.system import environment

log = logging.getLogger(__name__)

ASSIGNED = "var dbdflowExecutions = "
KEPT = 2000
"""Executions of other parameters and data are kept too, so many in all."""
PATIENCE = 5.0  # seconds that other stages may take to leave theirs


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


def keep(deps_hash: str, facts: dict[str, Any]) -> None:
    """Remember how a stage ran that finished; that it cannot be written is no reason to fail."""
    try:
        with FileLock(path().with_suffix(".lock"), timeout=PATIENCE):
            executions = {each: of for each, of in known().items() if each != deps_hash} | {deps_hash: facts}
            newest = dict(list(executions.items())[-KEPT:])
            with atomic_path(path()) as temporary:
                temporary.write_text(f"{ASSIGNED}{json.dumps(newest)};\n", encoding="utf-8")
    except Exception as error:  # a full disk, a folder that is gone
        log.warning("%s is not kept (%s)", path(), error)
