"""`dbdflow up`: Prefect's and MLflow's servers with their pages, and workers, in one terminal, on the loopback.

Everything lies under `.dbdflow/`: databases, logs, `prefect_api_url` and `mlflow_url` (stages report there while they
are there), `scheduler` (reproductions run there), `up.json` (who runs, where).
"""

import json
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import click
import psutil

from components.common.storage import write_json, write_whole
from pipelines.servers.services import (
    POOL,
    Service,
    dask_worker,
    mlflow_server,
    ports,
    prefect_server,
    prefect_worker,
    scheduler,
    start,
)
from pipelines.system import environment, locks, processes
from pipelines.system.probe import answers
from pipelines.system.processes import Owner
from pipelines.system.stopping import Stop, by_signals

POLL = 0.5  # seconds
GRACE = 5.0  # seconds that the services have to end
WORKER_PORT = 4300  # of its health, or the next one that is free
SCHEDULER_PORT = 8786  # Dask's own; the next ones are its page's and those of its workers' health
LEFT = ("prefect_api_url", "mlflow_url", "scheduler", "up.json")
"""Files of the state folder that are there while `dbdflow up` runs."""


class Up:
    """All services of one checkout."""

    def __init__(self, prefect_port: int, mlflow_port: int, workers: int) -> None:
        chosen = ports({"Prefect": prefect_port, "MLflow": mlflow_port, "Prefect worker": WORKER_PORT})
        self.prefect = prefect_server(chosen["Prefect"])
        self.mlflow = mlflow_server(chosen["MLflow"])
        self.api = f"{self.prefect.address}/api"
        self.worker = prefect_worker(self.api, chosen["Prefect worker"])
        names = ["Scheduler", "Scheduler's page", *(f"Worker {number}" for number in range(1, workers + 1))]
        wanted = ports({name: SCHEDULER_PORT + place for place, name in enumerate(names if workers else [])})
        self.dask = engine(list(wanted.values()))
        self.deploying: subprocess.Popen[bytes] | None = None
        self.deployed = False
        self.complete = False

    @property
    def services(self) -> list[Service]:
        return [self.prefect, self.mlflow, self.worker, *self.dask]

    def serve(self, stop: Stop) -> None:
        """Start all, keep all running, end all when told to stop."""
        remove()  # what one that was killed has left
        own, health = Owner.of(psutil.Process()), {service.name: service.health for service in self.services}
        write_json(environment.state() / "up.json", {"pid": own.pid, "created": own.created, "services": health})
        try:
            self.prefect.start()
            self.mlflow.start()
            for service in self.dask:
                service.start()
            while not stop.wait(POLL):
                for service in self.services:
                    if news := service.look():
                        click.echo(news)
                        self._published(service)
                if not self.complete and all(service.state == "running" for service in self.services):
                    self.complete = True
                    click.echo("Ctrl-C ends all")
                self._deploy()
        finally:
            self._end()

    def _published(self, service: Service) -> None:
        """Leave the address of a server that answers where stages look for it."""
        if service.state != "running":
            return
        if service is self.prefect:
            write_whole(environment.state() / "prefect_api_url", self.api)
            if self.worker.process is None:
                self.worker.start()
        elif service is self.mlflow:
            write_whole(environment.state() / "mlflow_url", str(service.address))
        elif service in self.dask and service.address:
            write_whole(environment.state() / "scheduler", service.address)

    def _deploy(self) -> None:
        """Deploy prefect.yaml, if there is one, once the worker has made its pool."""
        log = environment.state() / "logs" / "deploy.log"
        if self.deploying is None:
            there = self.worker.state == "running" and (environment.root() / "prefect.yaml").exists()
            if there and answers(f"{self.api}/work_pools/{POOL}"):
                command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
                self.deploying = start(command, {"PREFECT_API_URL": self.api}, log)
        elif not self.deployed and (code := self.deploying.poll()) is not None:
            self.deployed = True
            click.echo(f"deployments: {'deployed from prefect.yaml' if code == 0 else f'failed, see {log}'}")

    def _end(self) -> None:
        remove()
        alive = [service.process for service in self.services] + [self.deploying]
        with ThreadPoolExecutor(len(alive)) as pool:
            list(pool.map(lambda process: processes.end_group(process, GRACE), [each for each in alive if each]))


def engine(ports: list[int]) -> list[Service]:
    """Dask's scheduler and its workers, which share this machine; none without ports."""
    if not ports:
        return []
    first = scheduler(ports[:2])
    workers = [
        dask_worker(f"Worker {number}", str(first.address), len(ports) - 2, port)
        for number, port in enumerate(ports[2:], 1)
    ]
    return [first, *workers]


def remove() -> None:
    for name in LEFT:
        (environment.state() / name).unlink(missing_ok=True)


def known() -> dict[str, Any]:
    """What `up.json` says, nothing if there is none or who wrote it is gone."""
    try:
        written: dict[str, Any] = json.loads((environment.state() / "up.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return written if Owner(written["pid"], written["created"]).alive() else {}


def check() -> bool:
    """Ask each service how it is, and say so; whether all answer."""
    if not (running := known()):
        click.echo("nothing runs here; `dbdflow up` starts it")
        return False
    well = {name: answers(address) for name, address in running["services"].items()}
    for name, address in running["services"].items():
        click.echo(f"{name:14} {address:40} {'answers' if well[name] else 'does not answer'}")
    return all(well.values())


PORT = click.IntRange(1, 65535)


@click.command("up")
@click.option("--prefect-port", type=PORT, default=4200, show_default=True, help="Or the next one that is free.")
@click.option("--mlflow-port", type=PORT, default=5000, show_default=True, help="Or the next one that is free.")
@click.option("--workers", type=click.IntRange(0), default=0, help="A scheduler and N workers that run the stages.")
@click.option("--check", "only_check", is_flag=True, help="Say what is running; exit code 1 unless all is.")
def command(*, prefect_port: int, mlflow_port: int, workers: int, only_check: bool) -> None:
    """Start Prefect's and MLflow's servers with their pages, and a worker for deployments; Ctrl-C ends all.

    With --workers also a scheduler and workers, which share this machine and run the stages of every reproduction of
    this checkout; `dbdflow worker` on other machines joins them.
    """
    environment.checkout()
    if only_check:
        sys.exit(0 if check() else 1)
    stop = Stop()
    running = f"`dbdflow up` runs already (process {known().get('pid')}); use it, or end it with Ctrl-C in its terminal"
    with by_signals(stop), locks.held(environment.state() / "up.lock", f"{environment.root()}: {running}"):
        Up(prefect_port, mlflow_port, workers).serve(stop)
    click.echo(f"{stop.reason}: all ended")
    sys.exit(0 if stop.code == 128 + signal.SIGINT else stop.code)
