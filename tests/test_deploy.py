"""The container pools' templates, by Prefect's own template code; the image's sources. Neither is run here."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
POOLS = ("docker", "kubernetes")


def template(pool: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DEPLOY / f"{pool}-pool.json").read_text(encoding="utf-8"))
    return found


def filled(pool: str, **values: object) -> Any:
    """What a worker makes of the job configuration with the defaults and some values."""
    from prefect.utilities.templating import apply_values

    variables = template(pool)["variables"]["properties"]
    defaults = {name: each["default"] for name, each in variables.items() if "default" in each}
    return apply_values(template(pool)["job_configuration"], defaults | values)


@pytest.mark.parametrize("pool", POOLS)
def test_every_variable_is_used_and_every_placeholder_is_a_variable(pool: str) -> None:
    used = set(re.findall(r"{{ (\w+) }}", json.dumps(template(pool)["job_configuration"])))
    assert used == set(template(pool)["variables"]["properties"])


@pytest.mark.parametrize("pool", POOLS)
def test_prefect_takes_the_template(pool: str) -> None:
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.workers.base import BaseJobConfiguration

    WorkPoolCreate(name="dbdflow", type=pool, base_job_template=template(pool))
    base = {key: value for key, value in filled(pool).items() if key in BaseJobConfiguration.model_fields}
    made = BaseJobConfiguration.model_validate(base)
    assert made.env["PREFECT_HOME"] == "/work/dbdflow/.dbdflow/prefect"
    assert (made.env["DO_NOT_TRACK"], made.env["MLFLOW_DISABLE_TELEMETRY"]) == ("true", "true")


def test_a_docker_job_has_the_checkout_the_gpus_and_no_privileges() -> None:
    job = filled("docker", gpus=2, checkout="/home/me/dbdflow:/work/dbdflow")
    assert job["volumes"] == ["/home/me/dbdflow:/work/dbdflow"]
    assert job["privileged"] is False
    assert job["container_create_kwargs"]["device_requests"] == [
        {"Driver": "nvidia", "Count": 2, "Capabilities": [["gpu"]]}
    ]


def test_a_kubernetes_job_is_whole() -> None:
    job = filled("kubernetes", gpus=4)["job_manifest"]
    assert (job["apiVersion"], job["kind"], job["spec"]["backoffLimit"]) == ("batch/v1", "Job", 0)
    pod = job["spec"]["template"]["spec"]
    assert (pod["restartPolicy"], pod["terminationGracePeriodSeconds"]) == ("Never", 30)
    (container,) = pod["containers"]
    assert container["image"] == "dbdflow:latest"
    assert container["resources"]["limits"] == {"memory": "32Gi", "nvidia.com/gpu": 4}
    mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounted == {"checkout": "/work/dbdflow", "shared-memory": "/dev/shm"}
    assert {volume["name"] for volume in pod["volumes"]} == set(mounted)


def test_the_image_is_built_from_what_the_repository_holds() -> None:
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    copied = [words.split()[1:-1] for words in text.splitlines() if words.startswith("COPY ")]
    sources = [source for sources in copied for source in sources]
    known = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    for source in sources:
        assert any(name == source or name.startswith(f"{source}/") for name in known), source
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert allowed == set(sources)
    assert "USER dbdflow" in text
    assert "--require-hashes" in text
    assert not re.search(r"https?://|index-url", text), "no index address"
