"""A stage as `dvc.yaml` starts it."""

import os
import subprocess
import sys
from pathlib import Path


def stage(module: str, folder: Path, **options: object) -> "subprocess.CompletedProcess[str]":
    """Run a stage in `folder`, without MLflow; its process when it has ended."""
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("DVC_", "PREFECT_"))}
    environment["DBDFLOW_MLFLOW"] = "off"
    command = [sys.executable, "-m", f"pipelines.stages.{module}", *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
