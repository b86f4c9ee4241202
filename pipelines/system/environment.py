"""Where the three tools keep their state, and what they may not do: decided here, before any of them is imported.

Little but the standard library. `apply` is called first by everything that runs: stages, command line, flows.
"""

import os
import sys
from pathlib import Path

from components.common.errors import InputError

ANCHOR = ".dvc"
"""The folder that marks the top of a checkout, as it does for DVC; git need not know of it."""

INBOX = Path("data/archives")
EXTERNAL = Path("data/external")
"""Where a checkout keeps what a person brings in: sets, weights and lists; maps of other methods."""

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

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM", "DBDFLOW_CORES")
"""What tells a process, and the libraries in it, how many threads to use."""

HOMES = {
    "PREFECT_HOME": "prefect",
    "MPLCONFIGDIR": "cache/matplotlib",
    "HF_HOME": "cache/huggingface",
    "TORCH_HOME": "cache/torch",
    "TRITON_CACHE_DIR": "cache/triton",
    "TORCHINDUCTOR_CACHE_DIR": "cache/inductor",
}
"""Folders that would else lie in the home directory, relative to the state folder."""


def working_folder() -> Path:
    """Where the command was called.

    Raises:
        InputError: the folder was removed meanwhile.
    """
    try:
        return Path.cwd()
    except FileNotFoundError as error:
        raise InputError("the working folder is not there any more; go to one that is (`cd`)") from error


def around_here() -> Path | None:
    """The checkout that DVC names (also inside its temporary experiments), else the nearest one upwards, if any."""
    if "DVC_ROOT" in os.environ:
        return Path(os.environ["DVC_ROOT"]).resolve()
    here = working_folder()
    return next((folder for folder in (here, *here.parents) if os.path.isdir(folder / ANCHOR)), None)


def root() -> Path:
    """The checkout whose state is used; outside any, the working folder."""
    return around_here() or working_folder()


def checkout() -> Path:
    """The checkout that the command is about.

    Raises:
        InputError: the working folder lies in none.
    """
    found = around_here()
    if found is None:
        raise InputError(
            f"{working_folder()}: neither a checkout of the project nor in one (no folder {ANCHOR} here or above); go "
            "to one (`cd`); predict, score, label and prepare work anywhere"
        )
    return found


def seen_from_here(path: Path) -> Path:
    """A path of the checkout, as dvc.yaml writes it, relative to the working folder."""
    return Path(os.path.relpath(root() / path))


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
    return os.environ.get("PREFECT_API_URL") or left("prefect_api_url")


def mlflow_pages() -> str | None:
    """Address of MLflow's pages, if `dbdflow up` serves them."""
    return left("mlflow_url")


def left(name: str) -> str | None:
    """What a server of this checkout left in the file `name` of the state folder, if it did."""
    try:
        return (state() / name).read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None
