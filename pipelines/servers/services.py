"""The servers and the worker of `dbdflow up`: one process each, which ends with the one that started it."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from components.common.errors import InputError
from pipelines.running.engine import scheduler_command, variables
from pipelines.system import environment, processes
from pipelines.system.probe import TIMEOUT, answers
from pipelines.tracking.client import EXPERIMENT, database, page
from pipelines.tracking.mlflow_server import HOST

POOL = "dbdflow"
PATIENCE = (1.0, 2.0, 4.0, 8.0, 16.0)  # seconds before a service that ended is started again; then it is given up
STEADY = 60.0  # seconds after which a service that runs is taken for well


@dataclass
class Service:
    """One process that has to run.

    Attributes:
        name: of the log too.
        command: its words.
        environment: of its own, over the caller's.
        health: address that answers when it is well.
        address: of its pages, None for the worker; `entry` makes of it, once it answers, where a person begins.
    """

    name: str
    command: list[str]
    environment: dict[str, str]
    health: str
    address: str | None = None
    entry: Callable[[str], str] = str
    process: "subprocess.Popen[bytes] | None" = None
    state: str = "not started"
    ended: int = 0
    begun: float = 0.0
    again: float = 0.0

    @property
    def log(self) -> Path:
        return environment.state() / "logs" / f"{self.name.lower().replace(' ', '-')}.log"

    def start(self) -> None:
        self.process = start(self.command, self.environment, self.log)
        self.state, self.begun = "starting", time.monotonic()

    def look(self) -> str | None:
        """See how it is, start it again if need be; news for a person, if there are any."""
        if self.process is None:
            if self.state == "ended" and time.monotonic() > self.again:
                self.start()
            return None
        if (code := self.process.poll()) is not None:
            return self._restart(code)
        if self.state == "starting" and answers(self.health):
            self.state = "running"
            return f"{self.name}: {self.entry(self.address) if self.address else 'runs'}"
        if self.state == "running" and time.monotonic() - self.begun > STEADY:
            self.ended = 0
        return None

    def _restart(self, code: int) -> str:
        self.process = None
        if self.ended == len(PATIENCE):
            self.state = f"ended with code {code}, given up"
            return f"{self.name}: {self.state}; see {self.log}"
        self.state, self.again = "ended", time.monotonic() + PATIENCE[self.ended]
        self.ended += 1
        return f"{self.name}: ended with code {code}, is started again; see {self.log}"


def start(command: list[str], own: dict[str, str], log: Path) -> "subprocess.Popen[bytes]":
    """Start a process at the top of the checkout that ends with this one; `own` is its environment over ours."""
    with processes.open_log(log) as output:
        return processes.start_tied(
            command,
            cwd=environment.root(),
            env=environment.for_children() | own,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )


def ports(wanted: dict[str, int]) -> dict[str, int]:
    """A port for each name, the wanted one where it is free; says where it is not."""
    chosen: dict[str, int] = {}
    for name, port in wanted.items():
        chosen[name] = port_at(port, chosen.values())
        if chosen[name] != port:
            click.echo(f"{name}: port {port} is taken, {chosen[name]} is free")
    return chosen


def port_at(wanted: int, given_away: Collection[int] = ()) -> int:
    """The wanted port of the loopback, or the next one that is free.

    Raises:
        InputError: none of the next hundred is.
    """
    for port in range(wanted, min(wanted + 100, 65536)):
        if port in given_away:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one that is only closing is free
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise InputError(f"port {wanted}: taken, as is every one up to {min(wanted + 99, 65535)}; name another")


def prefect_server(port: int) -> Service:
    """Prefect's server as a single process (its own command starts a second one, which would be left over)."""
    address = f"http://{HOST}:{port}"
    own = {
        "PREFECT_SERVER_API_HOST": HOST,
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_UI_API_URL": f"{address}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_SERVER_UI_V2_ENABLED": "false",  # its pages ask amplitude.com, analytics on or off (3.8.8)
    }
    app = ["prefect.server.api.server:create_app", "--factory", "--host", HOST, "--port", str(port)]
    command = [sys.executable, "-m", "uvicorn", *app, "--log-level", "warning"]
    return Service("Prefect", command, own, f"{address}/api/health", address)


def mlflow_server(port: int) -> Service:
    """MLflow's server on this checkout's database; job execution off, it takes half of its start and memory."""
    address, folder = f"http://{HOST}:{port}", database().parent
    store = f"sqlite:///{database()}"
    own = {  # what `mlflow server` tells its own child
        "_MLFLOW_SERVER_FILE_STORE": store,
        "_MLFLOW_SERVER_ARTIFACT_ROOT": (folder / "artifacts").as_uri(),
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "false",
        "_MLFLOW_SGI_NAME": "uvicorn",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_TRACKING_URI": store,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")])),
    }
    command = [sys.executable, "-P", "-m", "pipelines.tracking.mlflow_server", str(port)]
    return Service("MLflow", command, own, f"{address}/health", address, runs_page)


def runs_page(address: str) -> str:
    """The page of the project's runs on an MLflow server, which else opens on traces of language models."""
    asked = f"{address}/api/2.0/mlflow/experiments/get-by-name?experiment_name={EXPERIMENT}"
    try:
        with urllib.request.urlopen(asked, timeout=TIMEOUT) as answer:
            return page(address, json.load(answer)["experiment"]["experiment_id"])
    except OSError:
        return address


def prefect_worker(api: str, port: int) -> Service:
    """A worker that runs deployments as processes, in this checkout; it makes the work pool if there is none."""
    name = ["--pool", POOL, "--type", "process", "--name", f"{POOL}-{os.getpid()}"]
    own = {
        "PREFECT_API_URL": api,
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "PREFECT_WORKER_WEBSERVER_HOST": HOST,
        "PREFECT_WORKER_WEBSERVER_PORT": str(port),
    }
    command = [sys.executable, "-m", "prefect", "worker", "start", *name, "--with-healthcheck"]
    return Service("Prefect worker", command, own, f"http://{HOST}:{port}/health")


def scheduler(ports: Sequence[int]) -> Service:
    """Dask's scheduler, and its page, on two ports."""
    address, page = f"tcp://{HOST}:{ports[0]}", f"http://{HOST}:{ports[1]}"
    command = scheduler_command(HOST, *ports)
    return Service(
        "Scheduler", command, variables(), f"{page}/health", address, lambda _: f"{page}/info/main/workers.html"
    )


def dask_worker(name: str, scheduler: str, parts: int, port: int) -> Service:
    """One of `parts` workers of this machine."""
    words = ["worker", scheduler, "--parts", str(parts), "--health-port", str(port)]
    command = [str(Path(sys.executable).with_name("dbdflow")), *words]
    return Service(name, command, {}, f"http://{HOST}:{port}/health")
