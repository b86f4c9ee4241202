"""From a rehearsal of the paper's preset to its real counts on an H100: time, memory, disk, from what was measured.

What a GPU does is not measured here: it comes from the assumptions below, and every one is printed with the result.
"""

import json
import os
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.archives import Counts
from components.common.storage import write_whole
from components.params import Params, load_params

ROOT = Path(__file__).parent.parent
STEP = 0.12
"""Seconds of a stage-1 step of ours on an H100: batch 6, 320x320, ResNeSt101, measured there on 2026-11-28."""
FORWARD = 1 / 3
"""Of a step that its forward pass takes: the backward pass costs twice that."""
NETWORK = 10e6
"""Bytes a second that the authors' servers give."""
PUBLISHED = Counts()
ARCHIVES = 144e6 + 2e6 + 79e6 + 1382e6
"""Bytes of the sets' archives: benchmarks/READY.md, whose random photographs are about as large as real ones."""
DOWNLOAD_AND_PREPARE = 293.0
"""Seconds at the published counts, two cores, a server on the loopback: benchmarks/READY.md."""
SCORED = 9.3 / 1605
"""Seconds to score a map of EBD's size: benchmarks/SCORING.md. The other sets' are smaller."""
BASELINES = {"dbdf": 0.53, "lbp": 0.40, "hifst": 2.15}
"""CPU seconds a photograph of 640x480: benchmarks/BASELINES.md."""
CHECKPOINT = 600_000_000
"""Bytes of one: ResNeSt101's DFFNet, and Adam's two moments of each weight."""
SMALL = 640 * 480
PIXELS = {"cuhk": 427 * 640, "dut": 320 * 320, "ctcug": 360 * 480, "ebd": 1024 * 1600}


@dataclass(frozen=True)
class Measured:
    """What a rehearsal took.

    Attributes:
        commit: of the clone.
        seconds, cpu_seconds: of all its sessions.
        load: of the machine, mean, others' work included.
        stages: stage -> wall seconds of its process.
        peaks: stage -> bytes of its process's own memory, at most.
        disk: folder, or folder of a set -> bytes on disk.
    """

    commit: str
    seconds: float
    cpu_seconds: float
    load: float
    stages: Mapping[str, float]
    peaks: Mapping[str, int]
    disk: Mapping[str, int]

    @classmethod
    def of(
        cls, clone: Path, seconds: float, cpu_seconds: float, loads: Sequence[float], peaks: Mapping[str, int]
    ) -> "Measured":
        """Of a clone in which it has ended."""
        commit = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=clone, capture_output=True, text=True, check=True
        ).stdout.strip()
        durations = (clone / ".dbdflow" / "durations").glob("*.json")
        stages = {path.stem: float(json.loads(path.read_text())["seconds"]) for path in sorted(durations)}
        data = clone / "data"
        parts = [*(data / "raw").iterdir(), *(data / "prepared").iterdir()]
        parts += [each for each in data.iterdir() if each.name not in ("raw", "prepared")]
        disk = {str(each.relative_to(data)): on_disk(each) for each in parts if each.is_dir()}
        disk |= {name: on_disk(clone / name) for name in (".dvc/cache", ".dbdflow")}
        return cls(commit, seconds, cpu_seconds, statistics.mean(loads or [0.0]), stages, peaks, disk)


def on_disk(folder: Path) -> int:
    """Bytes of the files below a folder, each file once."""
    found = [path.lstat() for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return sum(size for _, size in {(each.st_ino, 512 * each.st_blocks) for each in found})


def tested(counts: Counts) -> dict[str, int]:
    """Set -> photographs that maps are made of."""
    return {"cuhk": counts.te1 + counts.te2, "dut": counts.dut_test, "ctcug": counts.ctcug, "ebd": counts.ebd}


def steps_an_epoch(split: str, counts: Counts, batch: int) -> int:
    """Whole batches of a training split."""
    cuhk2 = counts.te1 + counts.tr1 - counts.te2
    images = {"CUHK-TR-1": counts.tr1, "CUHK-TR-2": cuhk2, "DUT-TR": counts.dut_train}
    return sum(images[name] for name in split.split(" & ")) // batch


def trainings(params: Params, counts: Counts, epochs: int) -> dict[str, tuple[str, int, float]]:
    """Run -> its stage, its steps, seconds a step on an H100 with teachers that see every batch."""
    found = {}
    for name, run in params.first_runs.items():
        depth = name in params.stage1_depth_runs
        each = STEP * (1 + FORWARD * depth)
        steps = epochs * steps_an_epoch(run.train, counts, params.stage1.batch_size)
        found[name] = (f"train_stage1{'_depth' * depth}@{name}", steps, each)
    for name, second in params.stage2_runs.items():
        split = params.stage1_runs[second.teacher].train
        steps = epochs * steps_an_epoch(split, counts, params.stage2.batch_size)
        found[name] = (f"distill_stage2@{name}", steps, STEP * (1 + 2 * FORWARD))
    return found


def all_stages(params: Params) -> int:
    """How many stages the preset has; each of four sets is downloaded and prepared."""
    models = len(params.first_runs) + len(params.stage2_runs) + len(params.published)
    scored = len(params.baselines) + len(params.predicted) + len(params.evaluated)
    return 2 * 4 + len(params.cached_sets) + models + scored + len(("depth_teacher", "external", "report"))


def checkpoint_seconds(folder: Path, size: int) -> float:
    """Seconds to write a checkpoint: weights and two moments, `size` bytes in all, flushed to the disk."""
    data = memoryview(np.zeros(size, np.uint8))
    begun = time.perf_counter()
    write_whole(folder / "checkpoint", data)
    taken = time.perf_counter() - begun
    (folder / "checkpoint").unlink()
    return taken


MADE_BY = {
    "models": ("train_stage1", "train_stage1_depth", "distill_stage2", "published"),
    "predictions": ("predict", "baseline"),
    "scores": ("evaluate",),
}
"""Folder -> the stages that fill it."""


def of_group(measured: Measured, *groups: str) -> list[float]:
    """Seconds of the stages of some groups that have run."""
    return [seconds for stage, seconds in measured.stages.items() if stage.partition("@")[0] in groups]


def for_all(found: Sequence[float], count: int) -> float:
    """The sum for `count` stages of a kind, by those that have run."""
    return count * statistics.mean(found) if found else 0.0


def projected_time(measured: Measured, params: Params, checkpoint: float) -> list[tuple[str, float, str]]:
    """What, hours, how it comes about."""
    runs = trainings(params, PUBLISHED, params.stage1.epochs)
    own = for_all(of_group(measured, *MADE_BY["models"][:3]), len(runs))
    arithmetic = sum(steps * each for _, steps, each in runs.values())
    saved = params.stage1.epochs * len(runs) * checkpoint
    photographs = sum(tested(PUBLISHED).values())
    maps = for_all(of_group(measured, "predict"), len(params.predicted))
    forward = len(params.predicted) * photographs * STEP * FORWARD / params.stage1.batch_size
    pixels = sum(count * PIXELS[name] for name, count in tested(PUBLISHED).items()) / SMALL
    scored = for_all(of_group(measured, "evaluate"), len(params.evaluated))
    fetched = ARCHIVES + measured.disk.get("archives", 0)
    return [
        (f"{len(runs)} trainings: steps", arithmetic, f"{sum(steps for _, steps, _ in runs.values()):,} steps"),
        ("trainings: all else", own, "start, weights, decoding, two steps on this CPU: as measured here, whole"),
        ("trainings: checkpoints", saved, f"{checkpoint:.1f} s each as measured here, one an epoch"),
        ("maps: forward passes", forward, f"{len(params.predicted)} runs x {photographs} photographs"),
        ("maps: all else", maps, "start and weights: as measured here, whole"),
        ("download and prepare", DOWNLOAD_AND_PREPARE, "READY.md: two cores, no network's time"),
        ("the network", fetched / NETWORK, f"{fetched / 1e9:.1f} GB"),
        ("scores", len(params.evaluated) * photographs * SCORED + scored, "SCORING.md, and starts as measured"),
        ("classical methods", pixels * sum(BASELINES.values()), "CPU time of one core; BASELINES.md, by pixels"),
    ]


def ratios(counts: Counts) -> dict[str, float]:
    """Folder -> how many times as many photographs it holds at the published counts."""
    held = [
        {
            "raw/cuhk": each.te1 + each.tr1 + each.motion,
            "prepared/cuhk": each.te1 + each.tr1,
            "raw/dut": each.dut_train + each.dut_test,
            "prepared/dut": each.dut_train + each.dut_test,
            "raw/ctcug": each.ctcug,
            "prepared/ctcug": each.ctcug,
            "raw/ebd": each.ebd,
            "prepared/ebd": each.ebd,
            "predictions": sum(tested(each).values()),
            "scores": sum(tested(each).values()),
        }
        for each in (PUBLISHED, counts)
    ]
    return {name: held[0][name] / held[1][name] for name in held[0]}


def projected_disk(measured: Measured, counts: Counts, params: Params) -> list[tuple[str, int, float]]:
    """Folder, bytes here, bytes at the published counts; teachers that see every batch leave no cache."""
    times = ratios(counts) | {"teacher_cache": 0.0}
    models = len(params.first_runs) + len(params.stage2_runs) + len(params.published)
    made = {"models": models, "predictions": len(params.evaluated), "scores": len(params.evaluated)}
    for folder, count in made.items():
        times[folder] = times.get(folder, 1.0) * count / max(1, len(of_group(measured, *MADE_BY[folder])))
    rows = [
        (name, size, size * times.get(name, 1.0))
        for name, size in measured.disk.items()
        if name not in ("archives", ".dvc/cache", ".dbdflow", "examples", "external")
    ]
    outputs = sum(size for _, size, _ in rows), sum(size for _, _, size in rows)
    inbox = measured.disk.get("archives", 0)
    rows.append(("archives", inbox, inbox + ARCHIVES))
    here = measured.disk[".dvc/cache"]
    rows.append((".dvc/cache", here, here * outputs[1] / outputs[0]))
    rows.append((".dbdflow", measured.disk[".dbdflow"], measured.disk[".dbdflow"]))
    return rows


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table of Markdown."""
    return [f"| {' | '.join(each)} |" for each in (head, ["---"] * len(head), *rows)]


def page(measured: Measured, counts: Counts) -> str:
    """REHEARSAL.md."""
    params = load_params(ROOT / "presets" / "paper.yaml")
    checkpoint = checkpoint_seconds(ROOT, CHECKPOINT)
    hours = projected_time(measured, params, checkpoint)
    serial = sum(seconds for what, seconds, _ in hours if what != "classical methods")
    disk = projected_disk(measured, counts, params)
    groups: dict[str, list[float]] = {}
    for stage, seconds in measured.stages.items():
        groups.setdefault(stage.partition("@")[0], []).append(seconds)
    most = {
        group: max((peak for stage, peak in measured.peaks.items() if stage.partition("@")[0] == group), default=0)
        for group in groups
    }
    ran, every = len(measured.stages), all_stages(params)
    ended = (
        f"{'Ended green' if ran == every else '**Not whole**'}: {ran} of {every} stages in "
        f"**{measured.seconds / 60:.0f} minutes** of wall time, {measured.cpu_seconds / 60:.0f} CPU minutes; mean load "
        f"of the machine {measured.load:.1f} (others too)."
    )
    if ran != every:
        ended += " What has not run is projected by others of its kind; what it would fetch is not in the disk."
    assumed = (
        f"Assumed: a stage-1 step {STEP} s (measured on an H100, 2026-11-28, before any captured step); a forward pass "
        "is a third of a step; in stage 2 both teachers' come on top "
        f"({STEP * (1 + 2 * FORWARD):.2f} s), for R-DFFNet one; authors' servers give {NETWORK / 1e6:.0f} MB/s; "
        f"{params.stage1.epochs} epochs."
    )
    memory = (
        f"Main memory: {max(most.values(), default=0) / 1e9:.1f} GB for the largest stage, with its activations, which "
        "lie on the GPU there. GPU memory is not measured here; on the CPU, in bfloat16, a step holds 2.8 GiB "
        "in stage 1 and 3.1 in stage 2 (RESULTS.md), and teachers that see every batch add 0.6 GB of weights and a "
        "forward pass."
    )
    stages = [
        [
            name,
            str(len(each)),
            f"{statistics.median(each):.0f}",
            f"{sum(each):.0f}",
            f"{most[name] / 1e9:.1f} GB" if most[name] else "not seen",
        ]
        for name, each in groups.items()
    ]
    times = [[what, f"{seconds / 3600:.2f}", how] for what, seconds, how in hours]
    times.append(["**in all, without the classical methods**", f"**{serial / 3600:.1f}**", "they run on other cores"])
    space = [[name, f"{here / 1e9:.2f} GB", f"{there / 1e9:.2f} GB"] for name, here, there in disk]
    sums = (sum(float(row[which]) for row in disk) / 1e9 for which in (1, 2))
    space.append(["**in all**", *(f"**{each:.1f} GB**" for each in sums)])
    lines = [
        "# The paper's preset at its full size, rehearsed",
        "",
        f"{time.strftime('%Y-%m-%d')}, commit {measured.commit}, `make rehearsal`, {os.cpu_count()} CPU cores. "
        "presets/paper.yaml with one epoch of two steps and `prepare.partial: true`; all else as it is.",
        "",
        ended,
        "",
        *table(["stage", "how many", "seconds each, median", "in all", "main memory, at most"], stages),
        "",
        "## Projected: the published counts on one H100, not measured",
        "",
        assumed,
        "",
        *table(["what, one after another", "hours", "how"], times),
        "",
        *table(["disk", "here", "projected"], space),
        "",
        memory,
        "",
    ]
    return "\n".join(lines)
