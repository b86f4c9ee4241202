"""`dbdflow up`: Prefect's and MLflow's servers with their pages, and a worker, in one terminal, on the loopback.

Everything lies under `.dbdflow/`: databases, logs, `prefect_api_url` and `mlflow_url` (stages report there while they
are there), `up.json` (who runs, where).
"""

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import click
import psutil

from components.common.errors import InputError
from components.common.storage import atomic_path, write_json
from pipelines.servers.services import POOL, Service, mlflow_server, ports, prefect_server, prefect_worker, start
from pipelines.servers.status_page import StatusPage
from pipelines.system import environment, locks, processes
from pipelines.system.probe import answers
from pipelines.system.processes import Owner
from pipelines.system.stopping import Stop, by_signals
from pipelines.tracking.mlflow_server import HOST

POLL = 0.5  # seconds
GRACE = 5.0  # seconds that the services have to end
LEFT = ("prefect_api_url", "mlflow_url", "up.json")
"""Files of the state folder that are there while `dbdflow up` runs."""


class Up:
    """All services of one checkout."""

    def __init__(self, prefect_port: int, mlflow_port: int, page_port: int) -> None:
        chosen = ports({"Prefect": prefect_port, "MLflow": mlflow_port, "status page": page_port})
        self.prefect = prefect_server(chosen["Prefect"])
        self.mlflow = mlflow_server(chosen["MLflow"])
        self.api = f"{self.prefect.address}/api"
        self.worker = prefect_worker(self.api)
        self.page_port = chosen["status page"]
        self.page = f"http://{HOST}:{self.page_port}"
        self.deploying: subprocess.Popen[bytes] | None = None
        self.deploy_log = environment.state() / "logs" / "deploy.log"
        self.deployed = "not deployed yet"
        self.complete = False

    @property
    def services(self) -> list[Service]:
        return [self.prefect, self.mlflow, self.worker]

    def serve(self, stop: Stop) -> None:
        """Start all, keep all running, end all when told to stop."""
        remove()  # what one that was killed has left
        serving = StatusPage(self.page_port, self.services, lambda: self.deployed)
        click.echo(f"status page: {self.page}")
        self._write()
        try:
            self.prefect.start()
            self.mlflow.start()
            while not stop.wait(POLL):
                for service in self.services:
                    if told := service.look():
                        click.echo(told)
                        self._published(service)
                self._say_complete()
                self._deploy()
        finally:
            self._end()
            serving.shutdown()

    def _say_complete(self) -> None:
        if not self.complete and all(service.state == "running" for service in self.services):
            self.complete = True
            click.echo("Ctrl-C ends all")

    def _published(self, service: Service) -> None:
        """Leave the address of a server that answers where stages look for it."""
        if service.state != "running":
            return
        if service is self.prefect:
            leave("prefect_api_url", self.api)
            if self.worker.process is None:
                self.worker.start()
        elif service is self.mlflow:
            leave("mlflow_url", str(service.address))

    def _deploy(self) -> None:
        """Deploy prefect.yaml once the worker has made its pool."""
        if self.deploying is None:
            if not (environment.root() / "prefect.yaml").exists():
                self.deployed = "no prefect.yaml here"
            elif self.worker.state == "running" and answers(f"{self.api}/work_pools/{POOL}"):
                command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
                self.deploying = start(command, {"PREFECT_API_URL": self.api}, self.deploy_log)
        elif self.deployed == "not deployed yet" and (code := self.deploying.poll()) is not None:
            self.deployed = "deployed from prefect.yaml" if code == 0 else f"failed, see {self.deploy_log}"
            click.echo(f"deployments: {self.deployed}")

    def _end(self) -> None:
        remove()
        alive = [service.process for service in self.services] + [self.deploying]
        with ThreadPoolExecutor(len(alive)) as pool:
            list(pool.map(lambda process: processes.end_group(process, GRACE), [each for each in alive if each]))

    def _write(self) -> None:
        addresses = {service.name: service.health for service in self.services if service.health}
        own = Owner.of(psutil.Process())
        told = {"pid": own.pid, "created": own.created, "page": self.page, "services": addresses}
        write_json(environment.state() / "up.json", told)


def leave(name: str, text: str) -> None:
    """Write one of the files that are there while `dbdflow up` runs."""
    with atomic_path(environment.state() / name) as path:
        path.write_text(text, encoding="utf-8")


def remove() -> None:
    for name in LEFT:
        (environment.state() / name).unlink(missing_ok=True)


def known() -> dict[str, Any]:
    """What `up.json` says, nothing if there is none or who wrote it is gone."""
    try:
        told: dict[str, Any] = json.loads((environment.state() / "up.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return told if Owner(told["pid"], told["created"]).alive() else {}


def states(page: str) -> dict[str, str]:
    """What the status page says of every service, nothing if it does not answer."""
    if not answers(page):
        return {}
    with urllib.request.urlopen(f"{page}/states", timeout=2) as answer:
        told: dict[str, str] = json.load(answer)
    return told


@contextmanager
def only_one() -> Iterator[None]:
    """Hold the checkout's place.

    Raises:
        InputError: another `dbdflow up` has it.
    """
    environment.state().mkdir(parents=True, exist_ok=True)
    lock = locks.take(environment.state() / "up.lock")
    if lock is None:
        told = known()
        raise InputError(
            f"{environment.root()}: `dbdflow up` runs already (process {told.get('pid')}, status page "
            f"{told.get('page')}); use it, or end it with Ctrl-C in its terminal"
        )
    with lock:
        yield


def check() -> bool:
    """Say what is running; whether all is."""
    if not (told := known()):
        click.echo("nothing runs here; `dbdflow up` starts it")
        return False
    wells = {"status page": answers(told["page"])}
    for name, state in states(told["page"]).items():
        address = told["services"].get(name)
        wells[name] = answers(address) if address else state == "running"
        silent = "does not answer" if state == "running" else state
        said = silent if not wells[name] else "answers" if address else state
        click.echo(f"{name:14} {address or '':40} {said}")
    click.echo(f"{'status page':14} {told['page']:40} {'answers' if wells['status page'] else 'does not answer'}")
    return all(wells.values())


PORT = click.IntRange(1, 65535)


@click.command("up")
@click.option("--prefect-port", type=PORT, default=4200, show_default=True, help="Or the next one that is free.")
@click.option("--mlflow-port", type=PORT, default=5000, show_default=True, help="Or the next one that is free.")
@click.option(
    "--port", type=PORT, default=4100, show_default=True, help="Of the status page, or the next one that is free."
)
@click.option("--check", "only_check", is_flag=True, help="Say what is running; exit code 1 unless all is.")
def command(*, prefect_port: int, mlflow_port: int, port: int, only_check: bool) -> None:
    """Start Prefect's and MLflow's servers with their pages, and a worker; Ctrl-C ends all."""
    environment.checkout()
    if only_check:
        sys.exit(0 if check() else 1)
    stop = Stop()
    with by_signals(stop), only_one():
        Up(prefect_port, mlflow_port, port).serve(stop)
    click.echo(f"{stop.reason}: all ended")
    sys.exit(0 if stop.code == 128 + signal.SIGINT else stop.code)
