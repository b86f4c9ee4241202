"""The paper's preset at its full size, rehearsed: archives, weights, 16 trainings, every stage; writes REHEARSAL.md.

A clone of this checkout runs presets/paper.yaml (ResNeSt101, 320x320) as a person would who has the data: archives of
random photographs in the published layouts and sizes, but few; random weights in the published formats; both from a
local server that answers for the real addresses, or imported by hand where they have none. Three values differ: one
epoch in both stages, and `prepare.partial`, as there are fewer photographs than were published. An epoch is two steps.

    python benchmarks/rehearsal.py [--folder FOLDER] [--only STAGE ...]

Interrupted, the same command goes on where it was. After `--only` the record says that it is not whole.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil
import timm
import torch
import torchvision
from ruamel.yaml import YAML

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.archives import Counts, build, zipped  # noqa: E402
from benchmarks.parallel import environment  # noqa: E402
from benchmarks.projection import Measured, page  # noqa: E402
from benchmarks.ready import publish  # noqa: E402
from components.acquire.sources import CHECKPOINTS, MIDAS  # noqa: E402
from components.common.storage import write_json  # noqa: E402
from components.models.published import to_published  # noqa: E402
from components.models.registry import build_model  # noqa: E402
from pipelines.system import processes  # noqa: E402
from tests.data.webserver import Server, serving  # noqa: E402

OUT = ROOT / "benchmarks" / "REHEARSAL.md"
COUNTS = Counts(te1=3, tr1=12, motion=1, te2=2, dut_test=3, dut_train=4, ctcug=3, ebd=4)
"""12 to 17 photographs in each training split: two whole batches of six."""
BACKBONES = {"resnest101e": "resnest101-22405ba7.pth", "vgg16": "vgg16-397923af.pth"}
CHANGES = (("stage1", "epochs", 1), ("stage2", "epochs", 1), ("prepare", "partial", True))
STAGE = "pipelines.stages."


@dataclass
class Spent:
    """What all sessions of a rehearsal took: one that was interrupted is gone on with."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    loads: list[float] = field(default_factory=list)
    """Of the machine, others' work included, every two seconds."""
    peaks: dict[str, int] = field(default_factory=dict)
    """Stage -> the most memory of its own that its process was seen to have, bytes."""


class Watch(threading.Thread):
    """Keeps the books in a file: time, and every two seconds the load and the memory of the stages below this process.

    They are right to two seconds also where this process is killed.
    """

    def __init__(self, kept: Path) -> None:
        super().__init__(daemon=True)
        self.kept, self.over = kept, threading.Event()
        self.spent = Spent(**json.loads(kept.read_text())) if kept.exists() else Spent()
        self.before, self.begun = (self.spent.seconds, self.spent.cpu_seconds), (time.monotonic(), cpu_seconds())
        self.start()

    def run(self) -> None:
        while not self.over.wait(2.0):
            self.look()

    def look(self) -> None:
        self.spent.seconds = self.before[0] + time.monotonic() - self.begun[0]
        self.spent.cpu_seconds = self.before[1] + cpu_seconds() - self.begun[1]
        self.spent.loads.append(os.getloadavg()[0])
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                if name := stage_of(process.cmdline()):
                    memory = process.memory_info()
                    own = memory.rss - memory.shared  # without files that are mapped
                    self.spent.peaks[name] = max(self.spent.peaks.get(name, 0), own)
        write_json(self.kept, asdict(self.spent))

    def end(self) -> Spent:
        self.over.set()
        self.join()
        self.look()
        return self.spent


def cpu_seconds() -> float:
    """CPU seconds of this process and of all below it, also of those that have ended and were waited for."""
    total = 0.0
    me = psutil.Process()
    for process in [me, *me.children(recursive=True)]:
        with suppress(psutil.Error):
            used = process.cpu_times()
            total += used.user + used.system + used.children_user + used.children_system
    return total


def stage_of(command: Sequence[str]) -> str:
    """The stage that a process is, as dvc.yaml names it; empty if none.

    >>> stage_of(["python", "-m", "pipelines.stages.predict", "--run", "pdnet", "--prepared", "data/prepared"])
    'predict@pdnet'
    >>> stage_of(["python", "-m", "pipelines.stages.report", "--out", "data/report"])
    'report'
    """
    if len(command) < 3 or command[1] != "-m" or not command[2].startswith(STAGE):
        return ""
    stage, own = command[2].removeprefix(STAGE), command[3:5]
    if stage == "train_stage1" and "--teacher" in command:
        stage = "train_stage1_depth"
    return f"{stage}@{own[1]}" if own[:1] in (["--run"], ["--set"], ["--method"]) else stage


def published_weights(path: Path, name: str, backbone: str) -> bytes:
    """A published file of a network, its weights random."""
    if not path.exists():
        torch.manual_seed(0)
        torch.save(to_published(name, build_model(name, backbone).state_dict()), path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)
    return path.read_bytes()


def backbone_weights(folder: Path) -> dict[str, Path]:
    """The files that a person downloads for both backbones, by the names that they have, their weights random."""
    makers = {"resnest101e": lambda: timm.create_model("resnest101e"), "vgg16": torchvision.models.vgg16}
    for name, file in BACKBONES.items():
        if not (folder / file).exists():
            torch.manual_seed(0)
            torch.save(makers[name]().state_dict(), folder / f"{file}.part")
            (folder / f"{file}.part").replace(folder / file)
    return {name: folder / file for name, file in BACKBONES.items()}


def serve_all(folder: Path, server: Server) -> None:
    """Everything that can be fetched, at its real address; made where it is not there yet."""
    world = folder / "world"
    if not (world / "made").exists():
        build(world, COUNTS)
        zipped(world / "bundle.zip", world / "bundle", world / "bundle")
        (world / "made").touch()
    publish(world, server)
    server.serve(MIDAS.addresses[0], published_weights(folder / "midas.pt", "midas", "resnext101_32x8d"))
    checkpoint = published_weights(folder / "dffnet.pth", "dffnet", "resnest101e")
    for archive in CHECKPOINTS.values():
        server.serve(archive.addresses[0], checkpoint)


def checkout(folder: Path) -> Path:
    """The clone, with the preset in the place of its params; what a person brings by hand is imported."""
    clone = folder / "clone"
    if (clone / "imported").exists():
        return clone
    if not clone.exists():
        subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
    yaml = YAML()
    params = yaml.load(clone / "presets/paper.yaml")
    for section, key, value in CHANGES:
        params[section][key] = value
    yaml.dump(params, clone / "params.yaml")
    world = folder / "world"
    brought = {"dut": (world / "bundle.zip", "--partial"), "ctcug": (world / "ctcug", "--partial")}
    brought |= {name: (path, "--anyway") for name, path in backbone_weights(folder).items()}
    for item, (path, option) in brought.items():
        run(clone, {}, "import", item, str(path), option)
    (clone / "imported").touch()
    return clone


def run(clone: Path, server: Mapping[str, str], *words: str) -> None:
    """A command of the clone's, to its end; it prints for itself."""
    command = [sys.executable, "-m", "pipelines.cli", *words]
    quiet = {"OMP_WAIT_POLICY": "passive"}  # threads that wait leave the cores to others' work
    process = processes.start_tied(command, cwd=clone, env=environment(clone, **server, **quiet))
    try:
        code = process.wait()
    finally:
        process.terminate()
        process.wait()  # its stages end before the server does
    if code:
        sys.exit(f"error: {' '.join(words)}: ended with {code}; the same command goes on where it was")


def rehearse(folder: Path, only: Sequence[str]) -> Measured:
    """Run what is left to run; what it took, with what earlier sessions did."""
    folder.mkdir(parents=True, exist_ok=True)
    watch = Watch(folder / "spent.json")
    try:
        with serving(folder) as server:
            serve_all(folder, server)
            clone = checkout(folder)
            words = [word for stage in only for word in ("--only", stage)]
            run(clone, server.environment, "reproduce", *words)
    finally:
        spent = watch.end()
    return Measured.of(clone, spent.seconds, spent.cpu_seconds, spent.loads, spent.peaks)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=ROOT / ".dbdflow" / "rehearsal", help="20 GB; kept")
    parser.add_argument("--only", nargs="+", default=[], metavar="STAGE")
    chosen = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):  # also where it was started in the background
        signal.signal(number, signal.default_int_handler)
    try:
        measured = rehearse(chosen.folder.resolve(), chosen.only)
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on where it was")
    text = page(measured, COUNTS)
    OUT.write_text(text, encoding="utf-8")
    print(text)
    print(f"{OUT}; {chosen.folder} may be removed, its report is {chosen.folder}/clone/data/report/index.html")


if __name__ == "__main__":
    main()
