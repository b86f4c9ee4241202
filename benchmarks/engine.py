"""The engine: what Dask costs and gains, and whether nothing is lost on the way; writes benchmarks/ENGINE.md.

1. cost: seconds a step of walks of 100, 1,000 and 5,000 steps that do nothing.
2. sleep: a graph of 300 steps that sleep on 16 workers, against the longest way through it and a 16th of its sum.
3. miniature: CPU seconds from nothing, by a commit from before the engine and by this one, and dvc.lock beside that of
   `dvc repro`.
   two: its wall time, one step at once and two.
4. apart: two network namespaces with a cable and an S3 store between them, no disk in common: the miniature, worked out
   in the other one, and its dvc.lock (needs root).
5. cut: two steps on two machines, and the cable to one of them cut (needs root).
6. photographs: `dbdflow predict` of 20,000 photographs of 64 pixels on two workers, one killed every 30 s: all there,
   each once.

    python benchmarks/engine.py [--only cost sleep miniature two apart cut photographs] [--before COMMIT]

Rows of parts that are not run stay as they are in the file.
"""

import argparse
import json
import os
import platform
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Timer

import numpy as np
import pandas
from parallel import PROJECT, clone, environment
from PIL import Image

from pipelines.running import engine
from pipelines.running.done import Done
from pipelines.running.resources import Machine, Need
from pipelines.running.walk import Step, Tell, Walk, ranks
from pipelines.system.stopping import Stop

TABLE = PROJECT / "benchmarks" / "ENGINE.md"
SIZES = (100, 1000, 5000)
WORKERS, STEPS = 16, 300


@dataclass(frozen=True)
class Sleep:
    """A step that sleeps."""

    name: str
    seconds: float

    def __call__(self, given: Mapping[str, str], tell: Tell, stop: Stop) -> Done:
        time.sleep(self.seconds)
        return Done(self.name, "ran", self.seconds)


class Silent:
    """Watches nothing."""

    def begin(self, step: str) -> None: ...
    def line(self, step: str, line: str) -> None: ...
    def end(self, done: Done) -> None: ...


def layered(count: int, seconds: Callable[[], float], width: int = 20) -> dict[str, tuple[float, frozenset[str]]]:
    """Steps in layers, each after two of the layer before: name -> how long it sleeps, what it needs."""
    draw = random.Random(0)
    found: dict[str, tuple[float, frozenset[str]]] = {}
    for number in range(count):
        first = (number // width - 1) * width
        before = draw.sample(range(first, first + width), 2) if first >= 0 else []
        found[f"s@{number}"] = (seconds(), frozenset(f"s@{each}" for each in before))
    return found


def walked(graph: Mapping[str, tuple[float, frozenset[str]]], workers: int) -> float:
    """Seconds that a walk takes on workers with a core each, in this process."""
    machine = Machine(workers, 0, workers)
    steps = [Step(name, Sleep(name, sleep), Need(), {"core": 1}, before) for name, (sleep, before) in graph.items()]
    with engine.embedded(machine, workers) as started:
        begun = time.monotonic()
        seconds = {name: sleep for name, (sleep, _) in graph.items()}
        done = Walk(started.client, steps, seconds=seconds, watcher=Silent(), stop=Stop()).go()
        taken = time.monotonic() - begun
    assert all(each.well for each in done.values())
    return taken


def cost(folder: Path, before: str) -> list[str]:
    """Milliseconds a step, by how many there are."""
    found = {count: 1000 * walked(layered(count, lambda: 0.0), 2) / count for count in SIZES}
    told = ", ".join(f"{count:,}: {each:.1f} ms" for count, each in found.items())
    return [f"| scheduling, a step of a walk of so many | {told} | at most 20 ms, and linear |"]


def sleep(folder: Path, before: str) -> list[str]:
    """How near a walk comes to what its graph allows."""
    draw = random.Random(1)
    graph = layered(STEPS, lambda: draw.uniform(0.5, 3.0))
    longest = max(
        ranks({name: each[1] for name, each in graph.items()}, {n: each[0] for n, each in graph.items()}).values()
    )
    bound = max(longest, sum(each for each, _ in graph.values()) / WORKERS)
    taken = walked(graph, WORKERS)
    return [
        f"| {STEPS} steps that sleep 0.5 to 3 s, {WORKERS} workers | {taken:.1f} s, its bound (the longest way "
        f"{longest:.1f} s, a {WORKERS}th of the sum) {bound:.1f} s: {bound / taken:.2f} | at least 0.9 |"
    ]


def measured(folder: Path, *words: str, **more: str) -> tuple[float, float]:
    """CPU seconds of a command and all that it starts, and wall seconds; it has to succeed."""
    begun, used = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        words, cwd=folder, env=environment(folder, **more), capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(words)} in {folder} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    return now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime, time.monotonic() - begun


def lock(checkout: Path) -> bytes:
    return (checkout / "dvc.lock").read_bytes()


REPRODUCE = (sys.executable, "-m", "pipelines.cli", "reproduce", "--jobs")


def miniature(folder: Path, before: str) -> list[str]:
    """The miniature of `before`, from nothing, one step at once: by that commit, by this one, and by DVC alone."""
    clones = {name: clone(folder / name) for name in ("before", "one", "dvc")}
    subprocess.run(["git", "checkout", "-q", before], cwd=clones["before"], check=True)
    for each in ("one", "dvc"):
        shutil.copy(clones["before"] / "params.yaml", clones[each])
    was = measured(clones["before"], *REPRODUCE, "1", PYTHONPATH=str(clones["before"]))
    one = measured(clones["one"], *REPRODUCE, "1")
    measured(clones["dvc"], "dvc", "repro")
    return [
        f"| the miniature of {before} from nothing, one step at once, CPU: that commit / this one | {was[0]:.0f} s / "
        f"{one[0]:.0f} s: {one[0] / was[0]:.2f} | at most 1.05 |",
        f"| dvc.lock of this one, and of `dvc repro` | {same(clones['one'], clones['dvc'])} | the same |",
    ]


def two(folder: Path, before: str) -> list[str]:
    """The miniature from nothing, one step at once and two."""
    clones = {count: clone(folder / count) for count in ("1", "2")}
    one, both = (measured(checkout, *REPRODUCE, count) for count, checkout in clones.items())
    return [
        f"| the miniature from nothing, wall time, one step at once / two | {one[1]:.0f} s / {both[1]:.0f} s: "
        f"{both[1] / one[1]:.2f} | at most 0.65 |",
        f"| its dvc.lock | {same(*clones.values())} | the same |",
    ]


def same(*checkouts: Path) -> str:
    """Whether the bytes of their `dvc.lock` are."""
    return "the same bytes" if len({lock(checkout) for checkout in checkouts}) == 1 else "DIFFERENT"


# ---- two machines with a cable and a store between them

HERE, THERE = "10.77.0.1", "10.77.0.2"
SPACE = "dbdflow-there"
KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}


@contextmanager
def cable() -> Iterator[None]:
    """A network namespace that reaches this one by a cable, and nothing else."""
    for words in (
        f"netns add {SPACE}",
        f"link add dbdhere type veth peer name dbdthere netns {SPACE}",
        f"address add {HERE}/24 dev dbdhere",
        "link set dbdhere up",
        f"-n {SPACE} address add {THERE}/24 dev dbdthere",
        f"-n {SPACE} link set dbdthere up",
        f"-n {SPACE} link set lo up",
    ):
        subprocess.run(["ip", *words.split()], check=True)
    try:
        yield
    finally:
        subprocess.run(["ip", "netns", "delete", SPACE], check=False)


@contextmanager
def running(folder: Path, name: str, *words: str, **more: str) -> Iterator[None]:
    """A process while the block runs."""
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            words, cwd=folder, env=os.environ | more, stdout=log, stderr=log, start_new_session=True
        )
    try:
        time.sleep(5)
        yield
    finally:
        os.killpg(process.pid, 15)
        process.wait()


def apart(folder: Path, before: str) -> list[str]:
    """The miniature, asked for here, worked out there."""
    asked, there = clone(folder / "asked"), folder / "there"
    there.mkdir()
    store = f"[core]\n  remote = store\n['remote \"store\"']\n  url = s3://outputs/store\n  endpointurl = http://{HERE}:9000\n"
    (asked / ".dvc" / "config.local").write_text(store, encoding="utf-8")
    python, own = [sys.executable, "-m"], engine.variables()
    empty = f'mount -t tmpfs none {asked} && exec "$@"'  # no disk in common
    hidden = ["ip", "netns", "exec", SPACE, "unshare", "--mount", "sh", "-c", empty, "sh"]
    worker = [*hidden, *python, "pipelines.cli", "worker", f"tcp://{HERE}:8786"]
    lone = KEYS | own | {"DVC_ROOT": str(there), "PYTHONPATH": str(PROJECT)}
    with (
        cable(),
        running(folder, "s3", *python, "moto.server", "--host", HERE, "--port", "9000"),
        running(folder, "scheduler", *engine.scheduler_command(HERE, 8786, 8787), **own),
        running(folder, "worker", *worker, **lone),
    ):
        make = "import boto3; boto3.client('s3', endpoint_url='http://10.77.0.1:9000').create_bucket(Bucket='outputs')"
        subprocess.run([sys.executable, "-c", make], env=os.environ | KEYS, check=True)
        told = {"DBDFLOW_SCHEDULER": f"tcp://{HERE}:8786", **KEYS}
        _, taken = measured(asked, sys.executable, "-m", "pipelines.cli", "reproduce", **told)
    left = list((there / ".dbdflow" / "apart").glob("*/dvc.lock"))
    alone = clone(folder / "alone")
    measured(alone, sys.executable, "-m", "pipelines.cli", "reproduce")
    return [
        f"| two network namespaces, a cable and an S3 store between them, no disk: the miniature asked for in one, "
        f"worked out in the other ({len(left)} clone there), {taken:.0f} s; its dvc.lock beside that of one machine | "
        f"{same(asked, alone)} | the same |"
    ]


class Times:
    """When steps begin, seconds."""

    def __init__(self) -> None:
        self.begun, self.order = time.monotonic(), list[tuple[str, float]]()

    def begin(self, step: str) -> None:
        self.order.append((step, time.monotonic() - self.begun))

    def line(self, step: str, line: str) -> None: ...
    def end(self, done: Done) -> None: ...


def cut(folder: Path, before: str) -> list[str]:
    """Two steps on two machines; the cable to one of them is cut while it works."""
    python, own = [sys.executable, "-m"], engine.variables() | {"DVC_ROOT": str(folder), "PYTHONPATH": str(PROJECT)}
    worker = [*python, "pipelines.cli", "worker", f"tcp://{HERE}:8786", "--parts", str(os.cpu_count())]
    inside = ["ip", "netns", "exec", SPACE]
    with (
        cable(),
        running(folder, "scheduler", *engine.scheduler_command(HERE, 8786, 8787), **own),
        running(folder, "near", *worker, **own),
    ):
        far = subprocess.Popen([*inside, *worker], env=os.environ | own, stderr=subprocess.DEVNULL)
        os.environ |= {"DBDFLOW_SCHEDULER": f"tcp://{HERE}:8786", "DVC_ROOT": str(folder)}
        time.sleep(10)
        with engine.started(None) as started:
            steps = [
                Step(f"s@{number}", Sleep(f"s@{number}", 30), Need(), {"core": 1}, frozenset()) for number in range(2)
            ]
            times = Times()
            Timer(5, subprocess.run, [["ip", "link", "set", "dbdhere", "down"]]).start()
            done = Walk(started.client, steps, seconds={}, watcher=times, stop=Stop()).go()
        ended = far.wait(60)
        del os.environ["DBDFLOW_SCHEDULER"], os.environ["DVC_ROOT"]
    ran = sum(each.well for each in done.values())
    again = times.order[-1][1] - 5
    return [
        f"| two steps of 30 s on two machines, the cable to one cut after 5 s | {ran} of 2 done; the lost one began "
        f"again {again:.0f} s after the cut, when the other machine was free; the cut worker ended itself "
        f"(code {ended}) | all done |"
    ]


# ---- many photographs

PHOTOGRAPHS, SIDE, KILL = 20_000, 64, 30.0


def photographs(folder: Path, before: str) -> list[str]:
    """A folder of small photographs by LBP, a worker killed and replaced again and again."""
    shoot, out = folder / "shoot", folder / "maps"
    shoot.mkdir()
    (folder / ".dvc").mkdir()
    draw = np.random.default_rng(0)
    for number in range(PHOTOGRAPHS):
        Image.fromarray(draw.integers(0, 256, (SIDE, SIDE, 3), np.uint8)).save(
            shoot / f"{number}.png", compress_level=1
        )
    address, killed = "tcp://127.0.0.1:8796", 0
    python, own = [sys.executable, "-m"], engine.variables() | {"DVC_ROOT": str(folder), "PYTHONPATH": str(PROJECT)}
    words = [*python, "pipelines.cli", "predict", str(shoot), "--model", "lbp", "--out", str(out)]

    def worker() -> "subprocess.Popen[bytes]":
        command = [*python, "pipelines.cli", "worker", address, "--parts", "2"]
        return subprocess.Popen(command, env=os.environ | own, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    with running(folder, "scheduler", *engine.scheduler_command("127.0.0.1", 8796, 8797), **own):
        workers, begun = [worker(), worker()], time.monotonic()
        with (folder / "predict.log").open("wb") as log:
            asked = os.environ | own | {"DBDFLOW_SCHEDULER": address}
            predict = subprocess.Popen(words, env=asked, stdout=log, stderr=log)
        while predict.poll() is None:
            try:
                predict.wait(KILL)
            except subprocess.TimeoutExpired:
                workers[killed % 2].kill()
                workers[killed % 2].wait()
                workers[killed % 2] = worker()
                killed += 1
        taken = time.monotonic() - begun
        for each in workers:
            each.terminate()
            each.wait()
    if predict.returncode:
        sys.exit((folder / "predict.log").read_text(encoding="utf-8")[-2000:])
    table = pandas.read_parquet(out / "photographs.parquet")
    lines = (out / ".predict" / "ledger.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line)["photograph"] for line in lines if "photograph" in line]
    maps = len(list(out.glob("*.png")))
    return [
        f"| {PHOTOGRAPHS:,} photographs of {SIDE} pixels through `dbdflow predict --model lbp` on two workers, one "
        f"killed every {KILL:.0f} s ({killed} times), {taken:.0f} s | {maps:,} maps, {len(rows):,} lines of the "
        f"ledger of {len(set(rows)):,} photographs, {len(table):,} rows of the table | all, "
        "each once |"
    ]


PARTS: dict[str, Callable[[Path, str], list[str]]] = {
    "cost": cost,
    "sleep": sleep,
    "miniature": miniature,
    "two": two,
    "apart": apart,
    "cut": cut,
    "photographs": photographs,
}


def kept(text: str) -> dict[str, str]:
    """Part -> its rows as they stand in the file, with the day and the command."""
    found = {}
    for block in text.split("\n## ")[1:]:
        name, _, body = block.partition("\n")
        found[name] = body.strip()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--before", default="88d72e5", help="a commit from before the engine")
    chosen = parser.parse_args()
    parts = kept(TABLE.read_text(encoding="utf-8")) if TABLE.exists() else {}
    cores = len(os.sched_getaffinity(0))
    head = f"{time.strftime('%Y-%m-%d')}, {platform.machine()}, {cores} cores, Python {platform.python_version()}"
    for part in chosen.only:
        with tempfile.TemporaryDirectory(prefix="dbdflow-engine-") as name:
            found = PARTS[part](Path(name), chosen.before)
            shutil.rmtree(name, ignore_errors=True)
        print("\n".join(found), flush=True)
        command = f"{head}, `python benchmarks/engine.py --only {part}`, load {os.getloadavg()[1]:.1f}"
        parts[part] = "\n".join([command, "", "| | measured | bar |", "|---|---|---|", *found])
        body = [f"\n## {name}\n{rows}\n" for name, rows in parts.items()]
        TABLE.write_text("# The engine\n" + "".join(body), encoding="utf-8")


if __name__ == "__main__":
    main()
