"""What `dbdflow reproduce` gains and costs: writes benchmarks/PARALLEL.md.

1. A DAG of stages that sleep, twelve wide, with four jobs, against its bound.
2. The miniature: `dvc repro` and `dbdflow reproduce --jobs 2`, alternating, from nothing each time, and whether both
   end with the same dvc.lock.
3. What Prefect and MLflow add to a stage against running servers, over its function in a fresh interpreter.
4. Deciding that nothing has to run.

    python benchmarks/parallel.py [--runs 3] [--only sleep miniature overhead]
"""

import argparse
import os
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

PROJECT = Path(__file__).parents[1]
JOBS, WIDE = 4, 12
SECONDS = [20 + 2 * number for number in range(WIDE)]  # of the sleeping stages; the first and the last take 1 s
REPEATS = 5  # of what takes seconds

TOY = '''
"""A stage that does next to nothing."""
import sys
from pipelines.harness.context import Stage
from pipelines.harness.main import main


def toy(stage: Stage, *, run: str) -> None:
    """Report a little."""
    for epoch in range(5):
        stage.metrics({"loss": 1.0 / (1 + epoch)}, step=epoch)
    stage.params({"toy": {"run": run}})


if __name__ == "__main__":
    main(toy)
'''
PLAIN = """
from pipelines.stages.toy import toy
class Silent:
    def __getattr__(self, name):
        return lambda *arguments, **options: None
toy(Silent(), run="plain")
"""


def environment(folder: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DBDFLOW", "PREFECT", "MLFLOW"))}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return kept | {"PATH": path, "PYTHONPATH": os.pathsep.join([str(folder), str(PROJECT)])} | more


def timed(folder: Path, *command: str, **more: str) -> float:
    """Seconds that a command takes, which has to succeed."""
    begun = time.monotonic()
    done = subprocess.run(
        command, cwd=folder, env=environment(folder, **more), capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)} in {folder} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return time.monotonic() - begun


def repository(folder: Path, files: dict[str, str]) -> Path:
    """A git and DVC repository with this project's glue."""
    shutil.copytree(PROJECT / "pipelines", folder / "pipelines", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(PROJECT / ".dvc", folder / ".dvc", ignore=shutil.ignore_patterns("cache", "tmp", "*.local"))
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    for words in (["init", "-q"], ["add", "-A"], ["-c", "user.name=b", "-c", "user.email=b@b", "commit", "-qm", "b"]):
        subprocess.run(["git", *words], cwd=folder, check=True)
    return folder


def sleeping(folder: Path) -> dict[str, float]:
    """A first stage, twelve that sleep side by side, a last one."""
    wide = {
        f"sleep{number}": {"cmd": f"sleep {seconds} && echo > out{number}", "deps": ["first"], "outs": [f"out{number}"]}
        for number, seconds in enumerate(SECONDS)
    }
    ends = {
        "first": {"cmd": "sleep 1 && echo > first", "outs": ["first"]},
        "last": {"cmd": "sleep 1 && echo > last", "deps": [f"out{n}" for n in range(WIDE)], "outs": ["last"]},
    }
    stages = ends | wide
    files = {
        "dvc.yaml": yaml.safe_dump({"stages": stages}),
        "params.yaml": "{}\n",
        "pipelines/running/resources.yaml": yaml.safe_dump({stage: {"cores": 0} for stage in stages}),
    }
    measured = timed(repository(folder, files), "dbdflow", "reproduce", "--jobs", str(JOBS))
    bound = max(2 + max(SECONDS), (2 + sum(SECONDS)) / JOBS)
    return {"seconds": measured, "bound": bound, "ratio": measured / bound}


def clone(folder: Path) -> Path:
    subprocess.run(["git", "clone", "-q", str(PROJECT), str(folder)], check=True)
    return folder


def miniature(folder: Path, runs: int) -> dict[str, list[float]]:
    """From nothing, alternating; and how long a reproduction takes that has nothing to do."""
    plain, parallel, decided = [], [], []
    for number in range(runs):
        one, two = clone(folder / f"dvc{number}"), clone(folder / f"dbdflow{number}")
        plain.append(timed(one, "dvc", "repro"))
        parallel.append(timed(two, "dbdflow", "reproduce", "--jobs", "2"))
        print(f"dvc repro {plain[-1]:.0f} s, dbdflow reproduce --jobs 2 {parallel[-1]:.0f} s", flush=True)
        locks = [yaml.safe_load((each / "dvc.lock").read_text(encoding="utf-8"))["stages"] for each in (one, two)]
        if locks[0] != locks[1]:
            sys.exit("the two ended with different dvc.lock entries")
    for _ in range(REPEATS):
        decided.append(timed(two, "dbdflow", "reproduce"))
    return {"dvc": plain, "dbdflow": parallel, "decided": decided}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def server(folder: Path, command: Callable[[int], list[str]], health: str, **more: str) -> Iterator[str]:
    """A server on the loopback while the block runs; its address."""
    port = free_port()
    with (folder / f"server{port}.log").open("wb") as log:
        process = subprocess.Popen(
            command(port), cwd=folder, env=environment(folder, **more), stdout=log, stderr=log, start_new_session=True
        )
    try:
        address = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 180
        while True:
            try:
                urllib.request.urlopen(f"{address}{health}", timeout=2).close()
                break
            except OSError:
                if time.monotonic() > deadline:
                    sys.exit(f"{command(port)} does not answer; see {folder}/server{port}.log")
                time.sleep(0.5)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def overhead(folder: Path) -> dict[str, float]:
    """A stage's function in a fresh interpreter, and the stage against both servers."""
    repository(folder, {"dvc.yaml": "stages: {}\n", "params.yaml": "{}\n", "pipelines/stages/toy.py": TOY})
    quiet = {
        "PREFECT_HOME": str(folder / "prefect"), "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }  # fmt: skip
    host = ["--host", "127.0.0.1", "--port"]
    python = [sys.executable, "-m"]
    prefect = [*python, "uvicorn", "prefect.server.api.server:create_app", "--factory", *host]
    mlflow = [*python, "mlflow", "server", "--workers", "1", "--backend-store-uri", "sqlite:///mlflow.db", *host]
    plain, watched = [], []
    with (
        server(folder, lambda port: [*prefect, str(port)], "/api/health", **quiet) as api,
        server(folder, lambda port: [*mlflow, str(port)], "/health", **quiet) as tracking,
    ):
        for number in range(REPEATS + 1):
            seconds = timed(folder, sys.executable, "-c", PLAIN)
            stage = ("-m", "pipelines.stages.toy", "--run", str(number))
            more = {"PREFECT_API_URL": f"{api}/api", "MLFLOW_TRACKING_URI": tracking}
            total = timed(folder, sys.executable, *stage, **more)
            if number:  # the first warms the servers up
                plain.append(seconds)
                watched.append(total)
    function, stage_ = statistics.median(plain), statistics.median(watched)
    return {"function": function, "stage": stage_, "added": stage_ - function}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=3, help="alternating runs of the miniature")
    parser.add_argument("--only", nargs="+", default=["sleep", "overhead", "miniature"])
    chosen = parser.parse_args()
    lines = [
        "# `dbdflow reproduce`: what it gains and costs",
        "",
        f"{time.strftime('%Y-%m-%d')}, `python benchmarks/parallel.py --runs {chosen.runs}`, {platform.machine()}, "
        f"{len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}. Wall times, all in one run.",
        "",
        "| | measured | bar |",
        "|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in chosen.only:
            (folder / part).mkdir()
            rows = ROWS[part](folder / part, chosen.runs)
            print("\n".join(rows), flush=True)
            lines += rows
    (PROJECT / "benchmarks" / "PARALLEL.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def sleep_rows(folder: Path, runs: int) -> list[str]:
    found = sleeping(folder)
    told = f"{found['seconds']:.1f} s, its bound {found['bound']:.1f} s: {found['ratio']:.2f}"
    return [f"| {WIDE} stages that sleep {SECONDS[0]} to {SECONDS[-1]} s side by side, one before, one after, "
            f"{JOBS} jobs | {told} | at most 1.25 |"]  # fmt: skip


def overhead_rows(folder: Path, runs: int) -> list[str]:
    found = overhead(folder)
    told = f"{found['stage']:.1f} s - {found['function']:.1f} s = {found['added']:.1f} s"
    return [f"| a stage against running Prefect and MLflow servers, less its function in a fresh interpreter (median "
            f"of {REPEATS}) | {told} | at most 3 s |"]  # fmt: skip


def miniature_rows(folder: Path, runs: int) -> list[str]:
    found = miniature(folder, runs)
    plain, parallel, decided = (statistics.median(found[key]) for key in ("dvc", "dbdflow", "decided"))
    every = "; ".join(f"{one:.0f}, {two:.0f}" for one, two in zip(found["dvc"], found["dbdflow"], strict=True))
    return [
        f"| the miniature from nothing: `dvc repro` / `dbdflow reproduce --jobs 2`, same dvc.lock ({every}) "
        f"| {plain:.0f} s / {parallel:.0f} s: {parallel / plain:.2f} | at most 0.75 |",
        f"| deciding that nothing has to run (29 stages, median of {REPEATS}) | {decided:.1f} s | at most 3 s |",
    ]


ROWS: dict[str, Callable[[Path, int], list[str]]] = {
    "sleep": sleep_rows,
    "overhead": overhead_rows,
    "miniature": miniature_rows,
}

if __name__ == "__main__":
    main()
