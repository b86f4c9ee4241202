"""The engine: Dask's scheduler and workers, in this process or elsewhere.

Embedded, there is one worker, in this process, and no port but on the loopback. A scheduler that runs elsewhere is
named by DBDFLOW_SCHEDULER, or by what `dbdflow up --workers` left; `dbdflow worker` joins it.
"""

import asyncio
import logging
import os
import signal
import socket
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from components.common.errors import InputError
from pipelines.running.resources import Machine
from pipelines.system import environment

if TYPE_CHECKING:
    from distributed import Client, Worker

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
PATIENCE = 10.0  # seconds that a scheduler has to answer, and to have a worker
SETTINGS = {
    "distributed.scheduler.worker-ttl": "60s",  # a machine that is cut off: its steps begin elsewhere after this
    "distributed.comm.timeouts.tcp": "20s",  # and before that it has noticed, and ended them
    "distributed.scheduler.allowed-failures": 9,  # a worker's death is counted against all that was handed to it
    "distributed.admin.system-monitor.log-length": 0,
    "distributed.worker.profile.enabled": False,
}


@dataclass(frozen=True)
class Engine:
    """Where steps run.

    Attributes:
        client: of the scheduler.
        machine: what each of its workers has at least.
        words: the same for people.
        seen: a file that a worker sees which shares this checkout's disk; None: there are only workers in this process.
    """

    client: "Client"
    machine: Machine
    words: str
    seen: Path | None = None


def scheduler() -> str | None:
    """Address of the scheduler that is named, else of the one that `dbdflow up` left, if it answers; None: neither."""
    if address := os.environ.get("DBDFLOW_SCHEDULER"):
        return address
    if (left := environment.left("scheduler")) is not None:
        try:
            check_answers(left)
        except InputError:
            log.warning("no scheduler answers at %s: going on without one", left)
            return None
    return left


@contextmanager
def started(jobs: int | None) -> Iterator[Engine]:
    """An engine to run steps, at most `jobs` at once (embedded; by default as many as cores).

    Raises:
        InputError: the scheduler does not answer, or has no worker.
    """
    import dask
    import distributed  # noqa: F401  (its defaults have to be there before the settings are)

    logging.getLogger("distributed").setLevel(logging.ERROR)
    address = scheduler()
    if address and jobs:
        raise InputError(f"--jobs {jobs}: the scheduler {address} decides how many run at once; leave it out")
    with dask.config.set(SETTINGS), connected(address) if address else embedded(Machine.here(), jobs) as engine:
        yield engine


@contextmanager
def embedded(machine: Machine, jobs: int | None) -> Iterator[Engine]:
    """A scheduler and a worker in this process."""
    from distributed import Client, LocalCluster

    cluster = LocalCluster(
        n_workers=1,
        threads_per_worker=jobs or machine.cores,
        processes=False,
        dashboard_address=f"{HOST}:0",
        worker_dashboard_address=f"{HOST}:0",
        resources=machine.resources(),
        memory_limit=0,
        local_directory=str(environment.state() / "dask"),
        silence_logs=logging.ERROR,
    )
    with cluster, Client(cluster) as client:
        yield Engine(client, machine, str(machine))


def check_answers(address: str, patience: float = 0.0) -> None:
    """Make sure that something listens at a scheduler's address; Dask would try for long, and say less.

    Args:
        address: of the scheduler.
        patience: seconds that it may take to begin.

    Raises:
        InputError: nothing does, or it is no address.
    """
    try:
        url = urlsplit(address)
        host, port = url.hostname, url.port
    except ValueError:
        host, port = None, None
    if not host or not port or url.scheme not in ("tcp", "tls"):
        raise InputError(f"scheduler {address}: expected tcp://HOST:PORT, or tls://HOST:PORT")
    deadline = time.monotonic() + patience
    while True:
        try:
            socket.create_connection((host, port), timeout=PATIENCE).close()
        except OSError as error:
            if not isinstance(error, ConnectionRefusedError) or time.monotonic() >= deadline:
                raise silent(address, error) from None
            time.sleep(0.2)
        else:
            return


def silent(address: str, error: BaseException) -> InputError:
    """What is said of a scheduler that cannot be used."""
    why = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return InputError(
        f"scheduler {address}: does not answer ({why}); start it (`dbdflow up --workers N`, docs/cluster.md), or name "
        "another; without DBDFLOW_SCHEDULER, all runs here"
    )


@contextmanager
def connected(address: str) -> Iterator[Engine]:
    """The workers of a scheduler."""
    from distributed import Client

    check_answers(address)
    try:
        client = Client(address, timeout=PATIENCE)
    except (OSError, TypeError, ValueError) as error:  # TypeError: certificates are not named
        raise silent(address, error) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError:
            raise InputError(f"scheduler {address}: no worker; start one (`dbdflow worker {address}`)") from None
        offers = [each["resources"] for each in client.scheduler_info(n_workers=-1)["workers"].values()]
        machine = Machine.smallest(offers)
        words = f"{len(offers)} {'workers' if len(offers) > 1 else 'worker'} at {address}, each at least {machine}"
        seen = environment.state() / "dask" / f"client-{uuid.uuid4().hex}"
        seen.parent.mkdir(parents=True, exist_ok=True)
        seen.touch()
        try:
            yield Engine(client, machine, words, seen)
        finally:
            seen.unlink(missing_ok=True)


def orphaned(worker: "Worker", key: str) -> bool:
    """Whether nobody waits for a task on a worker: who asked, or the scheduler, is gone, or the worker ends."""
    task = worker.state.tasks.get(key)
    return task is None or task.state == "cancelled" or worker.status.name != "running"


def scheduler_command(host: str, port: int, page: int) -> list[str]:
    """A scheduler in a process of its own, on two ports; it wants `variables` in its environment."""
    places = ["--host", host, "--port", str(port), "--dashboard-address", f"{host}:{page}"]
    return [sys.executable, "-m", "distributed.cli.dask_scheduler", *places, "--no-jupyter"]


def variables() -> dict[str, str]:
    """The settings as environment variables, for a scheduler in a process of its own."""
    return {f"DASK_{key.upper().replace('.', '__').replace('-', '_')}": str(value) for key, value in SETTINGS.items()}


async def work(address: str, machine: Machine, port: int) -> None:
    """Be a worker of a scheduler until it goes, or a signal comes; then what runs here is ended first.

    Args:
        address: of the scheduler.
        machine: what this worker offers.
        port: on the loopback, where its health is asked for; 0: any.

    Raises:
        InputError: the scheduler does not answer.
    """
    import dask
    from distributed import Worker

    check_answers(address, PATIENCE)  # whoever starts both may start this one first
    dask.config.set(SETTINGS)
    environment.state().mkdir(parents=True, exist_ok=True)
    worker = Worker(
        address,
        nthreads=machine.cores,
        resources=machine.resources(),
        memory_limit=0,
        local_directory=str(environment.state() / "dask"),
        dashboard_address=f"{HOST}:{port}",
        death_timeout=PATIENCE,
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, lambda: asyncio.ensure_future(worker.close()))
    try:
        await worker
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        raise silent(address, error.__cause__ or error) from None
    await worker.finished()
