"""Container and Kubernetes pools, as far as they can be checked without Docker and without a cluster.

Prefect's own code fills the templates in, docker-py makes of the result what it would send, and the image's recipe is
held against the repository. Nothing is built and no job runs. Prefect is imported where it is used: other tests set
its environment first.
"""

import asyncio
import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import docker
import jsonschema
import pytest
import yaml

from pipelines.system import environment, processes

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
CHECKOUT = "/work/dbdflow"
POOLS = ("docker", "kubernetes")
GIB = 2**30


def template(pool: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DEPLOY / f"{pool}-pool.json").read_text(encoding="utf-8"))
    return found


def filled(pool: str, **values: object) -> dict[str, Any]:
    """The job configuration with the template's defaults and some values, made as a worker makes it."""
    from prefect.workers.base import BaseJobConfiguration

    class JobConfiguration(BaseJobConfiguration, extra="allow"):
        """What every worker has, and whatever a template adds to it."""

    job = asyncio.run(JobConfiguration.from_template_and_values(template(pool), values, client=object()))
    return job.model_dump()


def instructions() -> list[list[str]]:
    """The Dockerfile's instructions as words, continued lines joined and comments left out."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#")).replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines if line.strip()]


def instruction(name: str) -> list[str]:
    """The words after an instruction that the Dockerfile has once."""
    (words,) = [words[1:] for words in instructions() if words[0] == name]
    return words


def tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return listed.stdout.splitlines()


@pytest.mark.parametrize("pool", POOLS)
def test_prefect_takes_the_template(pool: str) -> None:
    from prefect.server.schemas.actions import WorkPoolCreate

    made = WorkPoolCreate(name="dbdflow", type=pool, base_job_template=template(pool)).base_job_template
    assert set(made) == {"job_configuration", "variables"}
    jsonschema.Draft202012Validator.check_schema(made["variables"])


@pytest.mark.parametrize("pool", POOLS)
def test_every_placeholder_is_a_variable_and_every_variable_is_used(pool: str) -> None:
    from prefect.utilities.templating import find_placeholders

    used = {placeholder.name for placeholder in find_placeholders(template(pool)["job_configuration"])}
    assert used == set(template(pool)["variables"]["properties"])


@pytest.mark.parametrize("pool", POOLS)
def test_defaults_fit_their_own_schema(pool: str) -> None:
    schema = template(pool)["variables"]
    defaults = {name: each["default"] for name, each in schema["properties"].items() if "default" in each}
    jsonschema.validate(defaults, schema)
    assert set(schema["properties"]) - set(defaults) <= {
        "name",
        "command",
        "service_account_name",
        "job_watch_timeout_seconds",
    }
    with pytest.raises(jsonschema.ValidationError, match="is not of type 'integer'"):
        jsonschema.validate({"gpus": "all"}, schema)


@pytest.mark.parametrize("pool", POOLS)
def test_a_job_is_quiet_and_keeps_its_state_in_the_checkout(pool: str) -> None:
    env = filled(pool, env={"PREFECT_API_URL": "http://server:4200/api"})["env"]
    assert env.pop("PREFECT_API_URL") == "http://server:4200/api"
    state = {"PREFECT_HOME": "prefect", "DVC_SITE_CACHE_DIR": "cache/dvc"}
    expected = {name: f"{CHECKOUT}/.dbdflow/{folder}" for name, folder in state.items()}
    told_to_stop = {"PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR": "reschedule"}
    assert env == environment.QUIET | environment.PREFECT | expected | told_to_stop


@pytest.mark.parametrize("pool", POOLS)
def test_no_placeholder_is_left(pool: str) -> None:
    assert "{{" not in json.dumps(filled(pool, name="a-run", command="prefect flow-run execute"))


def created(monkeypatch: pytest.MonkeyPatch, **values: object) -> dict[str, Any]:
    """What docker-py would ask Docker to make of a job: the arguments are those of Prefect's Docker worker."""
    job = filled("docker", command="prefect flow-run execute", **values)
    sent: list[dict[str, Any]] = []

    def create(config: dict[str, Any], *_: object) -> dict[str, str]:
        sent.append(config)
        return {"Id": "1"}

    client = docker.DockerClient(base_url="tcp://127.0.0.1:1", version="1.47")
    monkeypatch.setattr(client.api, "create_container_from_config", create)
    monkeypatch.setattr(client.api, "inspect_container", lambda _: {"Id": "1"})
    direct = ("image", "command", "network_mode", "auto_remove", "labels", "volumes", "mem_limit", "privileged")
    client.containers.create(
        **{name: job[name] for name in direct}, environment=job["env"], **job["container_create_kwargs"]
    )
    client.close()
    (config,) = sent
    return config


def test_docker_gets_gpus_memory_and_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    config = created(monkeypatch, gpus=2, shared_memory="3g", mem_limit="5g", checkout=f"/home/me:{CHECKOUT}")
    host = config["HostConfig"]
    (request,) = host["DeviceRequests"]
    assert (request["Driver"], request["Count"], request["Capabilities"]) == ("nvidia", 2, [["gpu"]])
    assert (host["Memory"], host["ShmSize"]) == (5 * GIB, 3 * GIB)
    assert host["Binds"] == [f"/home/me:{CHECKOUT}"]
    assert (config["Image"], config["Cmd"]) == ("dbdflow:latest", ["prefect", "flow-run", "execute"])
    assert config["WorkingDir"] == CHECKOUT
    assert "DO_NOT_TRACK=true" in config["Env"]


def test_docker_starts_a_container_once_and_without_privileges(monkeypatch: pytest.MonkeyPatch) -> None:
    config = created(monkeypatch)
    host = config["HostConfig"]
    assert host["RestartPolicy"] == {"Name": "no"}
    assert "Privileged" not in host
    assert "AutoRemove" not in host, "its exit code would go with it"
    assert host["NetworkMode"] == "host"
    assert config["StopSignal"] == "SIGTERM"
    assert config["Entrypoint"] is None, "the image's stays: tini"


def test_docker_has_the_checkout_under_one_path_inside_and_outside() -> None:
    """What holds absolute paths (MLflow's artifacts, a deployment's folder) is then valid on both sides."""
    assert filled("docker")["volumes"] == [f"{CHECKOUT}:{CHECKOUT}"]


def test_kubernetes_gets_a_whole_job() -> None:
    manifest = filled("kubernetes", name="a-run", namespace="lab", finished_job_ttl=60)["job_manifest"]
    assert (manifest["apiVersion"], manifest["kind"]) == ("batch/v1", "Job")
    assert manifest["metadata"] == {"labels": {}, "namespace": "lab", "generateName": "a-run-"}
    spec = manifest["spec"]
    assert (spec["backoffLimit"], spec["ttlSecondsAfterFinished"]) == (0, 60)
    assert (spec["parallelism"], spec["completions"]) == (1, 1)


def pod(**values: object) -> dict[str, Any]:
    found: dict[str, Any] = filled("kubernetes", **values)["job_manifest"]["spec"]["template"]["spec"]
    return found


def test_kubernetes_gives_the_container_its_resources() -> None:
    (container,) = pod(gpus=4, memory="9Gi", cpu="3", image="registry/dbdflow:1")["containers"]
    assert container["image"] == "registry/dbdflow:1"
    assert container["imagePullPolicy"] == "IfNotPresent"
    assert container["resources"]["limits"] == {"memory": "9Gi", "nvidia.com/gpu": 4}
    assert container["resources"]["requests"] == {"cpu": "3", "memory": "9Gi", "nvidia.com/gpu": 4}
    assert container["workingDir"] == CHECKOUT
    assert "command" not in container, "the image's entry point stays: tini"


def test_kubernetes_mounts_the_claim_and_shared_memory() -> None:
    whole = pod(claim="mine", shared_memory="2Gi")
    (container,) = whole["containers"]
    paths = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert paths == {"checkout": CHECKOUT, "shared-memory": "/dev/shm"}
    assert whole["volumes"] == [
        {"name": "checkout", "persistentVolumeClaim": {"claimName": "mine"}},
        {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": "2Gi"}},
    ]


def test_kubernetes_starts_a_pod_once_as_the_images_user_with_time_to_end() -> None:
    whole = pod()
    assert whole["restartPolicy"] == "Never"
    assert whole["securityContext"]["runAsNonRoot"] is True
    (uid,) = instruction("ARG")
    assert uid == f"UID={whole['securityContext']['runAsUser']}" == f"UID={whole['securityContext']['fsGroup']}"
    assert whole["terminationGracePeriodSeconds"] > 30 + processes.GRACE, "Prefect gives a flow 30 seconds"


def test_kubernetes_manifest_has_what_prefects_worker_demands() -> None:
    """Its own check: these keys have to be there with these values, `parallelism` and `completions` also in the pod."""
    demanded = {"parallelism": 1, "completions": 1, "restartPolicy": "Never"}
    whole = pod()
    assert {key: whole[key] for key in demanded} == demanded
    assert [container["name"] for container in whole["containers"]] == ["prefect-job"]


@pytest.mark.parametrize("pool", POOLS)
def test_the_workers_of_this_prefect_know_every_key(pool: str) -> None:
    """Against the templates that Prefect's server ships; `container_create_kwargs` is newer than its list."""
    import prefect

    listed = Path(prefect.__file__).parent / "server/api/collections_data/views/aggregate-worker-metadata.json"
    workers = json.loads(listed.read_text(encoding="utf-8"))
    known = workers[f"prefect-{pool}"][pool]["default_base_job_configuration"]["job_configuration"]
    assert set(template(pool)["job_configuration"]) - set(known) <= {"container_create_kwargs"}


def test_the_image_is_built_from_what_the_repository_holds() -> None:
    sources = {source for words in instructions() if words[0] == "COPY" for source in words[1:-1]}
    assert sources >= {"requirements.lock", "pyproject.toml", "components", "pipelines"}
    known = tracked()
    for source in sources:
        assert any(name == source or name.startswith(f"{source}/") for name in known), source
    readme = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["readme"]
    assert readme in sources, "setuptools reads it"


def test_the_builder_gets_what_the_image_copies_and_no_more() -> None:
    sources = {source for words in instructions() if words[0] == "COPY" for source in words[1:-1]}
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert {rule[1:] for rule in rules if rule.startswith("!")} == sources


def test_the_image_is_installed_as_make_does() -> None:
    """The same arguments to uv, but for the interpreter, the cache and the folder of the checkout."""
    lines = (ROOT / "Makefile").read_text(encoding="utf-8").splitlines()
    ours = [shlex.split(line.partition("uv pip install")[2]) for line in lines if "$(BIN)/uv pip" in line]
    run = " ".join(word for words in instructions() if words[0] == "RUN" for word in [*words[1:], "&&"])
    image = [shlex.split(part.partition("uv pip install")[2]) for part in run.split("&&") if "uv pip install" in part]
    same = {
        "$(BIN)/python": "/opt/dbdflow/bin/python",
        ".": CHECKOUT,
        "requirements.lock": "/opt/build/requirements.lock",
    }
    assert [[same.get(word, word) for word in words] for words in ours] == [
        [word for word in words if word != "--no-cache"] for words in image
    ]
    assert len(image) == 2


def test_the_base_image_is_of_the_locks_cuda() -> None:
    found = re.fullmatch(r"nvidia/cuda:(\d+)\.[\d.]+-base-ubuntu24\.04", instruction("FROM")[0])
    assert found is not None, instruction("FROM")
    locked = re.search(
        r"^cuda-toolkit==(\d+)\.", (ROOT / "requirements.lock").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert locked is not None
    assert found[1] == locked[1]


def test_the_image_runs_a_worker_that_is_not_process_1_nor_root() -> None:
    assert json.loads(" ".join(raw("ENTRYPOINT"))) == ["tini", "--"]
    assert json.loads(" ".join(raw("CMD"))) == shlex.split("prefect worker start --pool dbdflow --type process")
    assert instruction("USER") == ["dbdflow"]
    assert instruction("WORKDIR") == [CHECKOUT]
    order = [words[0] for words in instructions()]
    assert order.index("USER") > max(place for place, name in enumerate(order) if name == "RUN")


def raw(name: str) -> list[str]:
    """The same as `instruction`, with its quotes."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    (line,) = [line for line in text.splitlines() if line.startswith(f"{name} ")]
    return line.split()[1:]


def test_no_address_is_named() -> None:
    files = [*DEPLOY.iterdir(), ROOT / ".dockerignore"]
    assert len(files) == 6
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert not re.search(
            r"https?://(?![\w.]+:\d+)|pypi|--(extra-)?index|--find-links|--trusted|nvcr|\.io\b", text
        ), path


def test_the_compose_file_is_one_and_opens_nothing_but_the_loopback() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml"],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))["services"]
    ports = [port for service in services.values() for port in service.get("ports", ())]
    assert len(ports) == 6
    assert all(port.startswith("127.0.0.1:") for port in ports)
    ours = [service["command"][0] for service in services.values() if service["image"] == "dbdflow"]
    assert sorted(ours) == ["dask", "dbdflow", "dbdflow", "mlflow", "prefect", "python"]
    assert all(shutil.which(program) for program in ours)
    places = {address for service in services.values() for address in re.findall(r"(\w+):\d{4}\b", str(service))}
    assert {"postgres", "store", "prefect", "mlflow", "scheduler"} <= places
    assert places - {"1", "store"} <= services.keys(), "every host is a service, or the loopback"


def test_the_readme_names_files_and_deployments_that_exist() -> None:
    text = (DEPLOY / "README.md").read_text(encoding="utf-8")
    for name in set(re.findall(r"\b(?:deploy|tests)/[\w.-]+\.\w+", text)):
        assert (ROOT / name).is_file(), name
    known = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
    named = set(re.findall(r"\b(?:reproduce|sweep|watch|predict)/\w+", text))
    flows = {each["name"]: each["entrypoint"].rpartition(":")[2] for each in known}
    assert named == {f"{flow}/{name}" for name, flow in flows.items()}
