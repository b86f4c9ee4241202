"""A scheduler and workers as processes of their own: who is killed, what goes on, what is left."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from dbdflow import Detector
from pipelines.photographs import spreading
from pipelines.photographs.plan import plan_maps
from pipelines.photographs.predicting import job_of, predict_maps, resume
from pipelines.running import engine
from pipelines.running.done import Done
from pipelines.running.engine import Engine
from pipelines.running.resources import Need
from pipelines.running.walk import Step, Walk
from pipelines.system.stopping import Stop
from tests.flows.conftest import PROJECT, Checkout, answers, ask, free_port, until
from tests.flows.test_reproduce import DBDFLOW, TOTAL, reproductions
from tests.flows.test_walk import Seen, Sleeps


@dataclass
class Cluster:
    """A scheduler on the loopback, and workers with a core each."""

    folder: Path
    port: int = field(default_factory=free_port)
    page: int = field(default_factory=free_port)
    processes: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def start(self, *words: str, **more: str) -> "subprocess.Popen[bytes]":
        path = os.pathsep.join([str(PROJECT), os.environ.get("PYTHONPATH", "")])
        own = {"DVC_ROOT": str(self.folder), "PYTHONPATH": path, **engine.variables(), **more}
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(words, env=os.environ | own, stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def scheduler(self) -> "subprocess.Popen[bytes]":
        process = self.start(*engine.scheduler_command("127.0.0.1", self.port, self.page))
        until(lambda: answers(f"http://127.0.0.1:{self.page}/health"))
        return process

    def worker(self, before: Sequence[str] = (), **more: str) -> "subprocess.Popen[bytes]":
        port = free_port()
        words = ["worker", self.address, "--parts", str(psutil.cpu_count()), "--health-port", str(port)]
        process = self.start(*before, sys.executable, "-m", "pipelines.cli", *words, **more)
        until(lambda: answers(f"http://127.0.0.1:{port}/health"))
        return process

    def end(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    found = Cluster(tmp_path)
    monkeypatch.setenv("DBDFLOW_SCHEDULER", found.address)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    yield found
    found.end()


CLOCK = """
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static time_t off(void) { return atol(getenv("CLOCK_OFF")); }
int clock_gettime(clockid_t which, struct timespec *now) {
    int code = syscall(SYS_clock_gettime, which, now);
    if (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE) now->tv_sec += off();
    return code;
}
int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    int code = syscall(SYS_gettimeofday, now, zone);
    now->tv_sec += off();
    return code;
}
time_t time(time_t *kept) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (kept) *kept = now.tv_sec;
    return now.tv_sec;
}
"""


@pytest.fixture(scope="session")
def skewed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], dict[str, str]]:
    """An environment for processes whose clock is so many seconds off; without a C compiler it is right."""
    folder = tmp_path_factory.mktemp("clock")
    compiler, library = shutil.which("cc"), folder / "clock.so"
    if compiler is None:
        return lambda _: {}
    (folder / "clock.c").write_text(CLOCK)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, folder / "clock.c"], check=True)

    def environment(seconds: int) -> dict[str, str]:
        own = {"LD_PRELOAD": str(library), "CLOCK_OFF": str(seconds)}
        says = [sys.executable, "-c", "import time; print(time.time())"]
        told = subprocess.run(says, env=os.environ | own, capture_output=True, check=True)
        assert abs(float(told.stdout) - time.time() - seconds) < 60
        return own

    return environment


def sleeping(folder: Path, names: str, seconds: float) -> list[Step]:
    return [Step(name, Sleeps(folder, name, seconds), Need(), {"core": 1}, frozenset()) for name in names]


def walk(started: Engine, folder: Path, names: str, seconds: float) -> tuple[dict[str, Done], Seen]:
    seen = Seen(folder)
    return Walk(started.client, sleeping(folder, names, seconds), seconds={}, watcher=seen, stop=Stop()).go(), seen


def begun(folder: Path) -> list[str]:
    return (folder / "tries").read_text().split() if (folder / "tries").exists() else []


def after(condition: object, act: object) -> threading.Thread:
    """Do something, in a thread, as soon as something is so."""

    def wait() -> None:
        until(condition)  # type: ignore[arg-type]
        act()  # type: ignore[operator]

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_workers_steps_are_done_by_another(cluster: Cluster, tmp_path: Path, number: int) -> None:
    cluster.scheduler()
    victim, _ = cluster.worker(), cluster.worker()
    with engine.started(None) as started:
        assert "2 workers at tcp://127.0.0.1" in started.words
        killer = after(lambda: len(begun(tmp_path)) == 2, lambda: victim.send_signal(number))
        done, _ = walk(started, tmp_path, "ab", 1.5)
        killer.join()
    assert {step: each.status for step, each in done.items()} == {"a": "ran", "b": "ran"}
    assert sorted(begun(tmp_path)) in (["a", "a", "b"], ["a", "b", "b"]), "one was begun twice"
    assert victim.wait(20) in (0, -9)


CLIENT = """
import sys
from pathlib import Path
from dbdflow import Detector
from pipelines.photographs import spreading
from pipelines.photographs.plan import plan_maps
from pipelines.photographs.predicting import job_of, predict_maps, resume
from pipelines.running import engine
from tests.flows.test_engine import walk
with engine.started(None) as started:
    walk(started, Path(sys.argv[1]), "a", 600)
"""


def test_who_asked_is_killed_and_the_worker_is_free_again(cluster: Cluster, tmp_path: Path) -> None:
    cluster.scheduler()
    cluster.worker()
    script = tmp_path / "client.py"
    script.write_text(CLIENT)
    with subprocess.Popen([sys.executable, script, tmp_path], env=os.environ | {"PYTHONPATH": str(PROJECT)}) as client:
        until(lambda: begun(tmp_path) == ["a"])
        client.kill()
    killed = time.monotonic()
    with engine.started(None) as started:
        done, _ = walk(started, tmp_path, "b", 0.1)
    assert done["b"].status == "ran"
    assert time.monotonic() - killed < 20
    until((tmp_path / "a").exists, 10)  # it has ended, 590 s early


def test_a_scheduler_that_is_started_anew_goes_on_with_the_walk(cluster: Cluster, tmp_path: Path) -> None:
    first = cluster.scheduler()
    cluster.worker()

    def anew() -> None:
        first.kill()
        first.wait()
        cluster.scheduler()
        cluster.worker()

    with engine.started(None) as started:
        thread = after(lambda: begun(tmp_path), anew)
        done, seen = walk(started, tmp_path, "ab", 1.0)
        thread.join()
    assert {step: each.status for step, each in done.items()} == {"a": "ran", "b": "ran"}
    assert "warning: lost by Prefect or the scheduler; it begins again" in seen.lines["a"]


def test_a_scheduler_that_stays_away_is_one_line_a_step(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "PATIENCE", 3.0)
    first = cluster.scheduler()
    worker = cluster.worker()
    with engine.started(None) as started:
        killer = after(lambda: begun(tmp_path), first.kill)
        done, _ = walk(started, tmp_path, "ab", 60)
        killer.join()
    cause = "the scheduler went away; the same command goes on where it was"
    assert done == {step: Done(step, "failed", cause=cause) for step in "ab"}
    assert worker.wait(30) == 0, "the worker ends what it does, and itself"


def test_what_a_killed_up_left_is_warned_of_and_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("DBDFLOW_SCHEDULER", raising=False)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    address = f"tcp://127.0.0.1:{free_port()}"
    (tmp_path / ".dbdflow").mkdir()
    (tmp_path / ".dbdflow" / "scheduler").write_text(address)
    assert engine.scheduler() is None
    assert f"no scheduler answers at {address}: going on without one" in caplog.text
    with socket.create_server(("127.0.0.1", int(address.rpartition(":")[2]))):
        assert engine.scheduler() == address


def test_a_worker_waits_for_a_scheduler_that_begins_after_it() -> None:
    port, servers = free_port(), list[socket.socket]()
    later = threading.Timer(0.5, lambda: servers.append(socket.create_server(("127.0.0.1", port))))
    later.start()
    engine.check_answers(f"tcp://127.0.0.1:{port}", 10)
    later.join()
    servers[0].close()


def test_a_scheduler_without_workers_is_one_message(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.scheduler()
    monkeypatch.setattr(engine, "PATIENCE", 1.0)
    with pytest.raises(engine.InputError, match="no worker; start one"), engine.started(None):
        pass
    with pytest.raises(engine.InputError, match="--jobs 3: the scheduler tcp"), engine.started(3):
        pass


# ---- Prefect

DEPLOYED = """
import sys
from prefect.flows import load_flow_from_entrypoint
flow = load_flow_from_entrypoint("pipelines.flows.reproduce:reproduce")  # as a deployment's process does
sys.exit(flow(return_state=True).type != "COMPLETED")
"""


def test_workers_do_what_prefect_begins(
    dag: Checkout, cluster: Cluster, prefect_api: str, skewed: Callable[[int], dict[str, str]]
) -> None:
    cluster.scheduler()
    path = os.pathsep.join([str(dag.root), str(PROJECT)])
    for hours in (0, 1):  # one is wrong about the time
        cluster.worker(PYTHONPATH=path, PREFECT_API_URL=prefect_api, **skewed(3600 * hours))
    told = {"DBDFLOW_SCHEDULER": cluster.address, "DVC_ROOT": str(dag.root), "PREFECT_API_URL": prefect_api}
    done = dag.run(sys.executable, "-c", DEPLOYED, **told)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "lost" not in done.stdout
    run = reproductions(prefect_api)[0]
    found = ask(f"{prefect_api}/task_runs/filter", {"flow_runs": {"id": {"any_": [run["id"]]}}})
    tasks = {each["name"]: each for each in found}
    assert {name: each["state_type"] for name, each in tasks.items()} == dict.fromkeys(
        ("toy@first", "toy@second", "total"), "COMPLETED"
    )
    assert all("dbdflow" in each["tags"] for each in found), "what limits are set on"


# ---- machines that do not see the checkout


def hidden(folder: Path) -> list[str]:
    """What a command is put behind to see an empty folder in that place; skips where the kernel does not let us."""
    words = ["unshare", "--map-root-user", "--mount", "sh", "-c", f'mount -t tmpfs none {folder} && exec "$@"', "sh"]
    if shutil.which("unshare") is None or subprocess.run([*words, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespaces here")
    return words


@pytest.fixture
def dag(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    """Two stages of the toy, a third after both, of shell commands alone, and what lies there committed."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(checkout.root), str(PROJECT)]))
    monkeypatch.setenv("DBDFLOW_MLFLOW", "off")
    checkout.write("dvc.yaml", (checkout.root / "dvc.yaml").read_text() + TOTAL)
    checkout.write("pipelines/running/resources.yaml", "toy: {cores: 0}\n")
    checkout.write("data/in.txt", "1 2 4\n")  # a change that no commit has
    return checkout


def name_store(dag: Checkout, store: Path) -> None:
    """A folder as the DVC remote."""
    dag.write(".dvc/config.local", f"[core]\n  remote = store\n['remote \"store\"']\n  url = {store}\n")


def reproduced(dag: Checkout, cluster: Cluster) -> "subprocess.CompletedProcess[str]":
    return dag.run(DBDFLOW, "reproduce", DBDFLOW_SCHEDULER=cluster.address, DVC_ROOT=str(dag.root))


def test_a_machine_with_a_dvc_remote_alone_ends_with_the_same_lock(
    dag: Checkout, cluster: Cluster, tmp_path: Path, skewed: Callable[[int], dict[str, str]]
) -> None:
    other = Checkout(tmp_path / "other")
    shutil.copytree(dag.root, other.root)
    name_store(dag, tmp_path / "store")
    cluster.scheduler()
    late = skewed(-3600)
    cluster.worker(hidden(dag.root), DVC_ROOT=str(tmp_path / "elsewhere"), PYTHONPATH=str(PROJECT), **late)
    done = reproduced(dag, cluster)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(rf"toy@first: runs on .* in {tmp_path}/elsewhere/\.dbdflow/apart/\w+$", done.stdout, re.MULTILINE)
    assert other.run("dvc", "repro", DVC_ROOT=str(other.root)).returncode == 0
    assert (dag.root / "dvc.lock").read_bytes() == (other.root / "dvc.lock").read_bytes()
    assert (dag.root / "data/total").read_text() == "weights of firstweights of second"
    assert reproduced(dag, cluster).stdout == "nothing to do: all 3 stages are up to date\n"

    (dag.root / "dvc.lock").unlink()
    again = reproduced(dag, cluster)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "3 found up to date" in again.stdout, "in the clone that is there"
    assert len(list(tmp_path.glob("elsewhere/.dbdflow/apart/*/dvc.lock"))) == 1
    assert (dag.root / "dvc.lock").read_bytes() == (other.root / "dvc.lock").read_bytes()


def test_a_machine_that_can_share_nothing_is_one_line(dag: Checkout, cluster: Cluster, tmp_path: Path) -> None:
    cluster.scheduler()
    cluster.worker(hidden(dag.root), DVC_ROOT=str(tmp_path / "elsewhere"), PYTHONPATH=str(PROJECT))
    done = reproduced(dag, cluster)
    assert done.returncode == 1
    assert f"does not see {dag.root}, and that has no DVC remote to share outputs by" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_a_full_disk_there_is_one_line(dag: Checkout, cluster: Cluster, tmp_path: Path) -> None:
    name_store(dag, tmp_path / "store")
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / ".dvc").mkdir(parents=True)
    small = f'mount -t tmpfs -o size=300k none {elsewhere} && exec "$@"'
    cluster.scheduler()
    cluster.worker([*hidden(dag.root), "sh", "-c", small, "sh"], DVC_ROOT=str(elsewhere), PYTHONPATH=str(PROJECT))
    done = reproduced(dag, cluster)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("  toy@first: ")]
    assert line.startswith(f"  toy@first: {socket.gethostname()}: git clone in {elsewhere}")
    assert re.search("Out of diskspace|No space left", line), "in git's words"
    assert not (dag.root / "dvc.lock").exists()


def test_a_remote_that_takes_nothing_is_one_line(dag: Checkout, cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "store").write_text("no folder")
    name_store(dag, tmp_path / "store")
    cluster.scheduler()
    cluster.worker(hidden(dag.root), DVC_ROOT=str(tmp_path / "elsewhere"), PYTHONPATH=str(PROJECT))
    done = reproduced(dag, cluster)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("  toy@first: ")]
    assert "push" in line
    assert not (dag.root / "dvc.lock").exists()


# ---- photographs


def test_a_folder_is_predicted_by_workers_and_one_that_dies_costs_a_chunk(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".dvc").mkdir()
    folder, out = tmp_path / "shoot", tmp_path / "maps"
    folder.mkdir()
    draw = np.random.default_rng(0)
    for number in range(24):
        Image.fromarray(draw.integers(0, 256, (48, 64, 3), np.uint8)).save(folder / f"{number}.png")
    monkeypatch.setattr(spreading, "CHUNK", 3)
    cluster.scheduler()
    victim, _ = cluster.worker(), cluster.worker()
    killer = after(lambda: len(list(out.glob("*.png"))) > 3, victim.kill)
    plan = plan_maps([folder], out)
    made = sorted(path.name for path in predict_maps(plan, job_of(plan, "small"), "small", "cpu"))
    killer.join()
    assert made == sorted(path.name for path in folder.iterdir()), "all, each once"
    assert plan.left_out == {}
    here = Detector.load("small", device="cpu")
    for number in (0, 23):
        levels = np.asarray(Image.open(out / f"{number}.png"))
        assert (levels == here.picture(folder / f"{number}.png")).all()
    assert len((out / "photographs.parquet").read_bytes()) > 0
    again = plan_maps([folder], out)
    assert resume(again, job_of(again, "small")) == "24 of 24 photographs have their files already"
