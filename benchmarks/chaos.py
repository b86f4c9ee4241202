"""Kills a random process of a reproduction at a random moment, resumes it, and compares: writes benchmarks/CHAOS.md.

Each round begins with nothing but the smoke preset, kills one process with -9 (the reproduction, DVC, a stage; every
fifth round under `dbdflow up` and through a deployment: also the server, the worker, the flow run), looks what is left
ten seconds later, and reproduces again. In the end dvc.lock and the report's numbers have to be those of an undisturbed
run, and no process, lock or RUNNING run may be left.

    python benchmarks/chaos.py [--rounds 30] [--seed 0]
"""

import argparse
import fcntl
import hashlib
import json
import os
import platform
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
from parallel import PROJECT, clone, environment

WITH_SERVERS = 5  # every so many rounds
LEFT = 10.0  # seconds after which nothing of a killed reproduction may be left
LIMIT = 900.0  # seconds for whatever has to end by itself
OUTS = ("raw", "prepared", "weights", "teacher_cache", "models", "predictions", "scores", "report")
GO_ON = ("server", "mlflow")
"""Killed, these do not end the reproduction (and a worker does not end one that it did not start)."""


def until(condition: Callable[[], object], seconds: float) -> bool:
    """Wait for a condition; whether it came true."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def kind_of(process: psutil.Process) -> str | None:
    """What a process of a checkout is."""
    words = process.cmdline()[1:6]
    text = " ".join(words)
    for kind, told in (
        ("mlflow", "pipelines.tracking.mlflow_server"),
        ("stage", "-m pipelines.stages."),
        ("dvc", "dvc_kept.py"), ("up", "dbdflow up"), ("reproduce", "dbdflow reproduce"), ("server", "prefect.server"),
        ("worker", "prefect worker"), ("flow", "prefect.flow_engine"), ("flow", "prefect.engine"),
        ("flow", "flow-run execute"),
    ):  # fmt: skip
        if told in text:
            return kind
    return None


class Checkout:
    """The checkout that is disturbed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        clone(folder)
        shutil.copy(folder / "presets/smoke.yaml", folder / "params.yaml")
        subprocess.run(
            ["git", "-c", "user.name=c", "-c", "user.email=c@c", "commit", "-qam", "smoke"], cwd=folder, check=True
        )
        self.environment = environment(folder, DBDFLOW_CHAOS=str(folder))

    def start(self, *command: str, log: str) -> "subprocess.Popen[bytes]":
        with (self.folder.parent / log).open("ab") as output:
            return subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=output, stderr=output)

    def processes(self) -> dict[str, list[psutil.Process]]:
        """Live processes of this checkout by kind."""
        found: dict[str, list[psutil.Process]] = {}
        for process in psutil.process_iter():
            try:
                mine = process.environ().get("DBDFLOW_CHAOS") == str(self.folder)
                if mine and process.status() != psutil.STATUS_ZOMBIE and (kind := kind_of(process)):
                    found.setdefault(kind, []).append(process)
            except psutil.Error:
                continue
        return found

    def reproducing(self) -> list[psutil.Process]:
        found = self.processes()
        return [process for kind in ("reproduce", "flow", "dvc", "stage") for process in found.get(kind, [])]

    def reset(self) -> None:
        """Forget everything but MLflow's runs."""
        for name in OUTS:
            shutil.rmtree(self.folder / "data" / name, ignore_errors=True)
        for name in (".dvc/cache", ".dvc/tmp", ".dbdflow/scratch", ".dbdflow/durations"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        for name in ("dvc.lock", ".dbdflow/dvc.lock"):
            (self.folder / name).unlink(missing_ok=True)

    def result(self) -> tuple[bytes, str]:
        """dvc.lock, hash of the report's numbers."""
        lock = (self.folder / "dvc.lock").read_bytes()
        return lock, hashlib.sha256((self.folder / "data/report/tables.csv").read_bytes()).hexdigest()

    def running_runs(self) -> int:
        database = self.folder / ".dbdflow/mlflow/mlflow.db"
        if not database.exists():
            return 0
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30) as connection:
            return int(connection.execute("select count(*) from runs where status = 'RUNNING'").fetchone()[0])

    def locks(self) -> list[str]:
        """Locks that are stuck."""
        stuck = []
        for name in (".dvc/tmp/lock", ".dvc/tmp/rwlock.lock", ".dbdflow/reproduce.lock", ".dbdflow/mlflow.lock"):
            with (self.folder / name).open("a") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    stuck.append(name)
        listed = json.loads((self.folder / ".dvc/tmp/rwlock").read_text(encoding="utf-8"))
        return stuck + [path for mode in listed.values() for path in mode]


@dataclass
class Round:
    """What one round did, and what was wrong."""

    number: int
    moment: float
    victim: str = "nothing"
    left: float = 0.0
    wrong: str = ""


def play(checkout: Checkout, number: int, dice: random.Random, length: float, reference: tuple[bytes, str]) -> Round:
    """One round."""
    checkout.reset()
    served = number % WITH_SERVERS == WITH_SERVERS - 1
    up = start_up(checkout) if served else None
    found = Round(number, dice.uniform(0.5, length * (1.7 if served else 1.0)))
    begun = start(checkout, served)
    started = time.monotonic()
    if until(lambda: not served and begun.poll() is not None, found.moment):  # it ended by itself
        found.moment = time.monotonic() - started
    kill(checkout, dice, found)
    stops = found.victim not in (*GO_ON, *(() if served else ("worker",)))
    killed = time.monotonic()
    if not until(lambda: not checkout.reproducing(), LEFT if stops else LIMIT):
        found.wrong = f"left after {LEFT if stops else LIMIT} s: {checkout.reproducing()}"
    found.left = time.monotonic() - killed
    begun.wait()
    if up is not None:
        up.send_signal(signal.SIGINT)
        up.wait()
    again = checkout.start("dbdflow", "reproduce", "--jobs", "2", log="resumed.log")
    code = again.wait(LIMIT)
    found.wrong = found.wrong or wrong_after(checkout, code, reference)
    return found


def wrong_after(checkout: Checkout, code: int, reference: tuple[bytes, str]) -> str:
    """What is not as it has to be after the resumed reproduction; empty if nothing."""
    if code:
        return f"the resumed reproduction ended with code {code}"
    if checkout.result()[0] != reference[0]:
        return "another dvc.lock"
    if checkout.result()[1] != reference[1]:
        return "other numbers in the report"
    if not until(lambda: not checkout.running_runs(), 60):
        return f"{checkout.running_runs()} RUNNING runs"
    if not until(lambda: not checkout.processes(), 30):
        return f"processes left: {checkout.processes()}"
    return f"stuck: {stuck}" if (stuck := checkout.locks()) else ""


def start_up(checkout: Checkout) -> "subprocess.Popen[bytes]":
    up = checkout.start("dbdflow", "up", log="up.log")
    if not until(lambda: b"deployed from" in (checkout.folder.parent / "up.log").read_bytes(), 180):
        sys.exit("dbdflow up did not come up")
    (checkout.folder.parent / "up.log").write_bytes(b"")
    return up


def start(checkout: Checkout, served: bool) -> "subprocess.Popen[bytes]":
    """Begin a reproduction; under `dbdflow up` through its worker."""
    if not served:
        return checkout.start("dbdflow", "reproduce", "--jobs", "2", log="first.log")
    checkout.environment["PREFECT_API_URL"] = (checkout.folder / ".dbdflow/prefect_api_url").read_text()
    words = ["deployment", "run", "reproduce/workspace", "--param", "jobs=2"]
    deployed = checkout.start(sys.executable, "-m", "prefect", *words, log="first.log")
    del checkout.environment["PREFECT_API_URL"]
    deployed.wait()
    until(checkout.reproducing, 60)
    return deployed


def kill(checkout: Checkout, dice: random.Random, found: Round) -> None:
    """kill -9 one process, each kind with the same chance."""
    there = {kind: those for kind, those in checkout.processes().items() if kind != "up"}
    if there and checkout.reproducing():
        found.victim = dice.choice(sorted(there))
        process = dice.choice(sorted(there[found.victim], key=lambda each: each.pid))
        process.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it, and so would `up`
    dice, begun = random.Random(chosen.seed), time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        checkout = Checkout(Path(name) / "checkout")
        start_of = time.monotonic()
        if code := checkout.start("dbdflow", "reproduce", "--jobs", "2", log="undisturbed.log").wait():
            sys.exit(f"the undisturbed reproduction ended with code {code}")
        length, reference = time.monotonic() - start_of, checkout.result()
        print(f"undisturbed: {length:.0f} s", flush=True)
        rounds = []
        for number in range(chosen.rounds):
            rounds.append(play(checkout, number, dice, length, reference))
            print(rounds[-1], flush=True)
            if rounds[-1].victim == "nothing":  # the machine was slower when it was measured
                length = min(length, rounds[-1].moment)
            if rounds[-1].wrong:
                kept = Path(tempfile.mkdtemp(prefix="chaos-"))
                shutil.copytree(name, kept / "kept", symlinks=True)
                print(f"kept in {kept}", flush=True)
            write(rounds, chosen.seed, length, time.monotonic() - begun)
    sys.exit(any(each.wrong for each in rounds))


def write(rounds: list[Round], seed: int, length: float, seconds: float) -> None:
    well = sum(not each.wrong for each in rounds)
    lines = [
        "# Chaos: one process killed with -9, then resumed",
        "",
        f"{time.strftime('%Y-%m-%d')}, `python benchmarks/chaos.py --rounds {len(rounds)} --seed {seed}`, "
        f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}; "
        f"{seconds / 60:.0f} min in all; an undisturbed run of the smoke preset takes {length:.0f} s.",
        "",
        f"**{well} of {len(rounds)}** ended with the `dvc.lock` and the report's numbers of an undisturbed run, no "
        "process, no lock and no RUNNING run left. Every fifth round ran through a deployment under `dbdflow up`.",
        "",
        "| round | killed after | what | gone after | wrong |",
        "|---|---|---|---|---|",
    ]
    for each in rounds:
        goes_on = "(goes on) " if each.victim in (*GO_ON, "nothing") else ""
        lines.append(
            f"| {each.number} | {each.moment:.1f} s | {each.victim} | {goes_on}{each.left:.1f} s "
            f"| {each.wrong or 'no'} |"
        )
    (PROJECT / "benchmarks" / "CHAOS.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
