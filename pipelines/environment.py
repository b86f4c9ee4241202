"""Where the three tools keep their state, and what they may not do: decided here, before any of them is imported.

Standard library only. `apply` is called first by everything that runs: stages, courier, command line, flows.
"""

import os
import sys
from pathlib import Path

ANCHORS = (".dvc", ".git", "pyproject.toml")
"""What marks the top folder of a checkout, when DVC does not name it."""

LOOPBACK = ("127.0.0.1", "localhost")

QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",  # MLflow does not accept 1
    "DVC_NO_ANALYTICS": "true",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
"""Nothing phones home, whatever the caller's environment says."""

PREFECT = {
    "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
    "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",  # DVC is the cache
    "PREFECT_CLIENT_MAX_RETRIES": "2",  # a stage whose work is done does not wait minutes for a dead server
    "PREFECT_CLI_PROMPT": "false",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "components,pipelines",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
}
"""Defaults that the caller's environment may override."""

AMAZON = {"AWS_EC2_METADATA_DISABLED": "true"}
"""S3's credentials come from the caller's environment or files; the address 169.254.169.254 is not asked for them.

On a machine of Amazon's that has a role of its own, the caller sets it to `false`.
"""

HOMES = {
    "PREFECT_HOME": "prefect",
    "MPLCONFIGDIR": "cache/matplotlib",
    "HF_HOME": "cache/huggingface",
    "TORCH_HOME": "cache/torch",
    "TRITON_CACHE_DIR": "cache/triton",
    "TORCHINDUCTOR_CACHE_DIR": "cache/inductor",
}
"""Folders that would else lie in the home directory, relative to the state folder."""


def root() -> Path:
    """The checkout whose state is used: what DVC says (also inside its temporary experiments), else around here."""
    if "DVC_ROOT" in os.environ:
        return Path(os.environ["DVC_ROOT"]).resolve()
    here = Path.cwd()
    for folder in (here, *here.parents):
        if any((folder / anchor).exists() for anchor in ANCHORS):
            return folder
    return here


def state() -> Path:
    """`.dbdflow` of this checkout: git-ignored, holds everything that is neither source nor DVC's."""
    return root() / ".dbdflow"


def apply() -> None:
    """Set this process's environment; what it starts inherits it."""
    os.environ.update(QUIET)
    for name in ("no_proxy", "NO_PROXY"):  # the loopback is never asked for through a proxy
        kept = [word for word in os.environ.get(name, "").split(",") if word and word not in LOOPBACK]
        os.environ[name] = ",".join([*kept, *LOOPBACK])
    for name, value in (PREFECT | AMAZON).items():
        os.environ.setdefault(name, value)
    for name, folder in HOMES.items():
        os.environ.setdefault(name, str(state() / folder))


def for_children() -> dict[str, str]:
    """This environment, its Python first on the path, without what Prefect tells one flow run's own process."""
    programs = [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
    own = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT__")}
    return own | {"PATH": os.pathsep.join(programs)}


def prefect_api() -> str | None:
    """Address of the Prefect API that this checkout uses, if any: the environment's, else what `dbdflow up` wrote."""
    return os.environ.get("PREFECT_API_URL") or _left("prefect_api_url")


def mlflow_pages() -> str | None:
    """Address of MLflow's pages, if `dbdflow up` serves them."""
    return _left("mlflow_url")


def _left(name: str) -> str | None:
    try:
        return (state() / name).read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None
