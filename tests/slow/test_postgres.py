"""Prefect and MLflow on one Postgres, as in deploy/compose.yaml: a stage reports to both (`make slow`)."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from tests.flows.conftest import PROJECT, Checkout, answers, ask, checkout, free_port, until

__all__ = ["checkout"]  # the fixture

pytestmark = pytest.mark.slow


def programs() -> Path:
    """Where Debian keeps the newest Postgres's programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not found:
        pytest.skip("no Postgres here (Debian: apt install postgresql)")
    return found[-1].parent


@contextmanager
def running(folder: Path, *words: str, **more: str) -> Iterator[None]:
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(words, cwd=folder, env=os.environ | more, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[str]:
    """Address of a server with the databases of deploy/compose.yaml, without the kind of client before it."""
    folder, port, bin_ = tmp_path / "postgres", free_port(), programs()
    folder.mkdir()
    user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []  # it does not run as root
    if user:
        for each in (folder, *list(folder.parents)[:3]):
            each.chmod(0o755)
        shutil.chown(folder, "postgres")
    data = str(folder / "data")
    subprocess.run(
        [*user, bin_ / "initdb", "-D", data, "-U", "dbdflow", "--auth", "trust"], check=True, capture_output=True
    )
    compose = yaml.safe_load((PROJECT / "deploy" / "compose.yaml").read_text())
    words = ["-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", str(folder)]
    with running(folder.parent, *user, str(bin_ / "postgres"), *words):
        asked = [str(bin_ / "psql"), "-h", "127.0.0.1", "-p", str(port), "-U", "dbdflow", "-d", "postgres"]
        until(lambda: subprocess.run([*asked, "-c", "select 1"], capture_output=True, check=False).returncode == 0, 60)
        sql = compose["configs"]["databases"]["content"]
        subprocess.run(asked, input=sql, text=True, check=True, capture_output=True)
        yield f"dbdflow@127.0.0.1:{port}"


def test_a_stage_reports_to_both_on_postgres(checkout: Checkout, postgres: str, tmp_path: Path) -> None:
    prefect, mlflow = free_port(), free_port()
    python, host = [sys.executable, "-m"], ["--host", "127.0.0.1", "--port"]
    stored = {
        "PREFECT_API_DATABASE_CONNECTION_URL": f"postgresql+asyncpg://{postgres}/prefect",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "MLFLOW_BACKEND_STORE_URI": f"postgresql+psycopg://{postgres}/mlflow",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PREFECT_HOME": str(tmp_path / "prefect"),
    }
    artifacts = ["--artifacts-destination", str(tmp_path / "artifacts")]
    with (
        running(tmp_path, *python, "prefect", "server", "start", *host, str(prefect), **stored),
        running(tmp_path, *python, "mlflow", "server", "--workers", "1", *artifacts, *host, str(mlflow), **stored),
    ):
        api, tracking = f"http://127.0.0.1:{prefect}/api", f"http://127.0.0.1:{mlflow}"
        until(lambda: answers(f"{api}/health") and answers(f"{tracking}/health"), 180)
        done = checkout.toy("--run", "first", PREFECT_API_URL=api, MLFLOW_TRACKING_URI=tracking)
        assert done.returncode == 0, done.stdout + done.stderr
        (run,) = ask(f"{api}/flow_runs/filter", {})
        assert (run["name"], run["state_type"]) == ("toy@first", "COMPLETED")
        experiments = ask(f"{tracking}/api/2.0/mlflow/experiments/search", {"max_results": 10})["experiments"]
        ids = [each["experiment_id"] for each in experiments]
        asked = {"experiment_ids": ids, "filter": "attributes.run_name = 'toy@first'"}
        (found,) = ask(f"{tracking}/api/2.0/mlflow/runs/search", asked)["runs"]
        metrics = {each["key"]: each["value"] for each in found["data"]["metrics"]}
        assert found["info"]["status"] == "FINISHED"
        assert metrics["sum"] == 8.0  # 1 + 2 + 3, and 2 for the epoch
