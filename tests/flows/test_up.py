"""`dbdflow up`: real servers and a real worker, started once; who ends, who is started again, what is left."""

import json
import re
import shutil
import signal
import socket
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import psutil
import pytest

from pipelines.servers import services
from pipelines.servers.services import port_at, ports
from pipelines.tracking.client import Store
from tests.flows.conftest import (
    PROJECT,
    Checkout,
    Started,
    Tracked,
    answers,
    check_a_whole_reproduction,
    free_port,
    until,
)

DBDFLOW = str(Path(sys.executable).with_name("dbdflow"))


class Running:
    """`dbdflow up` in a folder with nothing but an anchor and the project's code."""

    def __init__(self, folder: Path, *words: str) -> None:
        (folder / ".dvc").mkdir(parents=True)
        shutil.copy(PROJECT / "prefect.toml", folder)
        self.checkout, self.state = Checkout(folder), folder / ".dbdflow"
        self.process: Started = self.checkout.start(DBDFLOW, "up", *words, PYTHONUNBUFFERED="1")
        self.lines: list[str] = []

    def read_until(self, word: str) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            if word in line:
                return line.rstrip()
        raise AssertionError(
            f"{word!r} was not printed: {self.lines} {self.process.stderr and self.process.stderr.read()}"
        )

    def processes(self) -> list[psutil.Process]:
        """All that it started, and itself."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.cwd() == str(self.checkout.root) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def check(self) -> tuple[int, str]:
        done = self.checkout.run(DBDFLOW, "up", "--check")
        return done.returncode, done.stdout


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """All run, also a scheduler and a worker; Prefect's wanted port was taken."""
    with socket.socket() as taken, pytest.MonkeyPatch.context() as patch:
        patch.delenv("DVC_ROOT", raising=False)
        patch.delenv("PREFECT_API_URL", raising=False)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        words = ["--prefect-port", str(taken.getsockname()[1])]
        words += ["--mlflow-port", str(free_port()), "--workers", "1"]
        running = Running(tmp_path_factory.mktemp("up") / "checkout", *words)
        running.read_until("Ctrl-C ends all")
        yield running
        for process in running.processes():
            process.kill()
        running.process.communicate()


def test_everything_answers_and_says_where(up: Running) -> None:
    written = json.loads((up.state / "up.json").read_text())
    assert written["pid"] == up.process.pid
    api, pages = (up.state / "prefect_api_url").read_text(), (up.state / "mlflow_url").read_text()
    assert answers(f"{api}/health")
    assert answers(f"{pages}/health")
    taken = re.fullmatch(r"Prefect: port (\d+) is taken, (\d+) is free", up.lines[0])
    assert taken
    assert api == f"http://127.0.0.1:{taken[2]}/api"
    runs = f"{pages}/#/experiments/1?workflowType=machine_learning"
    page = written["services"]["Scheduler"].removesuffix("/health")
    assert sorted(line for line in up.lines[1:] if not line.endswith("is free")) == sorted(
        [
            f"Prefect: {api.removesuffix('/api')}",
            f"MLflow: {runs}",
            "Prefect worker: runs",
            "Ctrl-C ends all",
            f"Scheduler: {page}/info/main/workers.html",
            "Worker 1: runs",
        ]
    )
    assert urllib.request.urlopen(f"{page}/info/main/workers.html", timeout=9).status == 200
    assert re.fullmatch(r"tcp://127\.0\.0\.1:\d+", (up.state / "scheduler").read_text())
    assert urllib.request.urlopen(f"{pages}/api/2.0/mlflow/experiments/get?experiment_id=0", timeout=9).status == 200
    mine = {each.pid for each in up.processes()}
    for address in written["services"].values():
        port = int(re.findall(r":(\d+)", address)[0])
        hosts = {
            each.laddr.ip
            for each in psutil.net_connections("tcp")
            if each.laddr.port == port and each.status == "LISTEN" and each.pid in mine
        }
        assert hosts == {"127.0.0.1"}, "the loopback only"
    code, said = up.check()
    assert code == 0
    assert [line.split()[0] for line in said.splitlines()] == [
        "MLflow", "Prefect", "Prefect", "Scheduler", "Worker",
    ]  # fmt: skip
    assert [line.split()[-1] for line in said.splitlines()] == ["answers"] * 5


def test_state_lies_in_the_checkout(up: Running) -> None:
    assert (up.state / "mlflow/mlflow.db").exists()
    assert (up.state / "prefect/prefect.db").exists()
    assert {path.name for path in up.checkout.root.iterdir()} == {".dvc", ".dbdflow", "prefect.toml"}


def test_a_second_one_is_refused(up: Running) -> None:
    done = up.checkout.run(DBDFLOW, "up")
    assert done.returncode == 2
    assert f"`dbdflow up` runs already (process {up.process.pid}); use it, or end it with Ctrl-C" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_server_takes_a_reproduction_twice(up: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(up.checkout.root)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (up.state / "mlflow_url").read_text())
    check_a_whole_reproduction(Store(), tmp_path / "files")


def test_a_service_that_is_killed_comes_back_where_it_was(up: Running) -> None:
    pages = (up.state / "mlflow_url").read_text()
    (server,) = [each for each in up.processes() if "pipelines.tracking.mlflow_server" in each.cmdline()]
    server.kill()
    assert "MLflow: ended with code -9, is started again" in up.read_until("MLflow: ended")
    assert up.check()[0] == 1
    assert up.read_until("MLflow: http").startswith(f"MLflow: {pages}/#/experiments/")
    assert answers(f"{pages}/health")


def test_a_proxy_is_not_asked_for_the_loopback(up: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    assert up.check()[0] == 0


def test_ctrl_c_ends_all(up: Running) -> None:
    up.process.send_signal(signal.SIGINT)
    out, errors = up.process.communicate(timeout=10)
    assert up.process.returncode == 0, errors
    assert out.splitlines()[-1] == "stopped by SIGINT: all ended"
    assert up.processes() == []
    assert not {"up.json", "prefect_api_url", "mlflow_url", "scheduler"} & {path.name for path in up.state.iterdir()}
    assert up.check() == (1, "nothing runs here; `dbdflow up` starts it\n")


def test_killed_with_9_it_leaves_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    ports = [word for name in ("--prefect-port", "--mlflow-port") for word in (name, str(free_port()))]
    running = Running(tmp_path / "checkout", *ports)
    running.read_until("Prefect: http")
    until(lambda: len(running.processes()) == 4)
    running.process.kill()
    running.process.communicate()
    until(lambda: running.processes() == [], 10)
    assert (running.state / "up.json").exists()
    assert running.check() == (1, "nothing runs here; `dbdflow up` starts it\n")


def test_tables_are_made_once_by_many_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".dvc").mkdir()
    for name in ("DVC_ROOT", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    checkout, code = Checkout(tmp_path), "from pipelines.tracking.client import Store; Store()"
    starters = [checkout.start(sys.executable, "-c", code) for _ in range(3)]
    errors = [starter.communicate(timeout=120)[1] for starter in starters]
    assert [starter.returncode for starter in starters] == [0, 0, 0], errors
    assert Tracked(tmp_path).stages == {}


def test_a_port_is_given_away_once(capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    chosen = ports({"Prefect": port, "MLflow": port})
    assert chosen["Prefect"] == port < chosen["MLflow"]
    assert capsys.readouterr().out == f"MLflow: port {port} is taken, {chosen['MLflow']} is free\n"


def test_what_is_not_http_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def talk() -> None:
            connection, _ = listening.accept()
            connection.recv(1000)
            connection.sendall(b"SSH-2.0-toy\r\n")
            connection.close()

        Thread(target=talk, daemon=True).start()
        assert not services.answers(f"http://127.0.0.1:{listening.getsockname()[1]}")


def test_the_next_free_port_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert port < port_at(port) < port + 100
