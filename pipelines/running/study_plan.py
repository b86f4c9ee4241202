"""What the study has to do: its processes, in order, where their results lie, and what they cost."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from components.catalog.sets import CUHK
from components.common import ledger
from components.common.errors import InputError
from components.common.storage import read_json
from components.common.yaml_files import read_yaml
from components.params import parse_params
from components.study.design import SCORES, Places, Row, changed, design

PRESET = Path("presets/study.yaml")
INBOX = Path("data/archives")
ENCODER = "mobilenetv2_100"
TIME = "time.json"
"""Of a run: seconds of a core that each epoch took."""
SECOND_STAGE = 1.2
"""How long a run with two teachers takes, in runs without, before one has been timed."""
RUN = re.compile(r"(?P<row>\w+)-(?P<seed>\d+)-[0-9a-f]{8}")
"""A run's folder."""
PHOTOGRAPHS = 604
"""Of CUHK-TR-1."""


def preset(scale: str) -> dict[str, Any]:
    """The values of a scale of the study.

    Raises:
        InputError: it is not there, or is no params file.
    """
    try:
        values: dict[str, Any] = read_yaml(PRESET)
    except FileNotFoundError as error:
        raise InputError(f"{PRESET}: no such file; `git checkout {PRESET}` brings it back") from error
    parse_params(values, str(PRESET))
    return changed(values, design().scales[scale])


def places(folder: Path, values: dict[str, Any]) -> Places:
    """Where the study has its things: what is of other values or inputs lies elsewhere."""
    inputs = f"{ledger.imported(INBOX, CUHK.name)} {ledger.imported(INBOX, ENCODER, 'backbones')}"
    told = repr([inputs, *(values[key] for key in ("image_size", "download", "prepare", "depth_teacher"))])
    shared = folder / f"shared-{hashlib.sha256(told.encode()).hexdigest()[:8]}"
    return Places(inputs, shared / "prepared", INBOX, shared / "depth_teacher", folder / "runs", shared / "probe.json")


@dataclass(frozen=True)
class Task:
    """One process: what it makes, where that is when it is done, and the tasks that come before."""

    name: str
    done: Path
    needs: tuple[str, ...] = ()


@dataclass
class Plan:
    """What there is to do in a folder.

    Attributes:
        folder: for all that is made, of every scale.
        scale: of `claims.yaml`.
        rows: rows and seeds, in order.
    """

    folder: Path
    scale: str
    rows: Sequence[tuple[Row, int]]

    def __post_init__(self) -> None:
        self.preset = preset(self.scale)
        self.places = places(self.folder, self.preset)

    def out(self, row: Row, seed: int) -> Path:
        """Folder of a run."""
        return self.places.run(row, seed, row.params(self.preset, seed))

    def tasks(self) -> list[Task]:
        """All processes, in order; a row that a later one builds on comes before it."""
        teacher = Task("depth_teacher", self.places.depth_teacher, ("data",))
        shared = [Task("data", self.places.prepared / "cuhk"), teacher]
        runs: dict[str, Task] = {}
        for row, seed in self.rows:
            first = [f"{row.first}-{seed}"] if row.first else []
            if first and first[0] not in runs:
                runs[first[0]] = Task(first[0], self.out(design().row(row.first), seed) / SCORES, ("depth_teacher",))
            runs[f"{row.name}-{seed}"] = Task(
                f"{row.name}-{seed}", self.out(row, seed) / SCORES, ("depth_teacher", *first)
            )
        return [*shared, *runs.values()]

    def left(self) -> list[Task]:
        """What is not done."""
        return [task for task in self.tasks() if not task.done.exists()]

    def done(self) -> dict[tuple[str, int], Path]:
        """The folders of all runs that are done, of every row and seed, asked for or not."""
        found = [RUN.fullmatch(path.parent.name) for path in (self.folder / "runs").glob(f"*/{SCORES}")]
        seeds = sorted({int(each["seed"]) for each in found if each})
        runs = {(row.name, seed): self.out(row, seed) for row, seed in design().order(seeds)}
        return {run: out for run, out in runs.items() if (out / SCORES).exists()}

    def spent(self) -> dict[Path, float]:
        """Minutes of a core that each run has taken, by its folder."""
        return {path.parent: sum(read_json(path)["seconds"]) / 60 for path in (self.folder / "runs").glob(f"*/{TIME}")}

    def minutes(self, tasks: Sequence[Task]) -> dict[Task, float] | None:
        """Minutes of a core that each run will take: as its row took, else as such rows did, else as probed."""
        known: dict[str, list[float]] = {}
        spent = self.spent()
        for row, seed in self.rows:
            folder = self.out(row, seed)
            if folder in spent and (folder / SCORES).exists():
                known.setdefault(row.name, []).append(spent[folder])
        first = mean(mean(known[name]) / self.weight(name) for name in known) if known else self.probed()
        if first is None:
            return None
        rows = {task: task.name.rpartition("-")[0] for task in tasks}
        whole = {task: mean(known[name]) if name in known else first * self.weight(name) for task, name in rows.items()}
        return {task: max(0.0, minutes - spent.get(task.done.parent, 0.0)) for task, minutes in whole.items()}

    def weight(self, name: str) -> float:
        """A row's cost beside a first stage's."""
        return SECOND_STAGE if design().row(name).first else 1.0

    def probed(self) -> float | None:
        """Minutes of a first stage, by the probe; None before it has run."""
        path = self.places.probe
        if not path.exists():
            return None
        stage1 = self.preset["stage1"]
        steps: int = PHOTOGRAPHS // stage1["batch_size"] * stage1["epochs"]
        seconds: float = read_json(path)["seconds_a_step"]
        return seconds * steps / 60

    def check(self) -> None:
        """Refuse to begin without what a person brings in.

        Raises:
            InputError: it is not there; says what to do.
        """
        photographs, encoder = INBOX / CUHK.name, INBOX / ledger.BACKBONES_FOLDER / f"{ENCODER}.safetensors"
        for what, path in {f"{CUHK.name} FOLDER": photographs, f"{ENCODER} FILE": encoder}.items():
            if not path.exists():
                raise InputError(f"{path}: not there; say `dbdflow import {what}` first (docs/cuhk.md says what of)")
        if not (photographs / CUHK.depth).exists():
            raise InputError(
                f"{photographs}: no folder {CUHK.depth}/ of depth maps beside the photographs, which the depth teacher "
                f"learns from; say `dbdflow import {CUHK.name} FOLDER` of one that has it (docs/cuhk.md says how)"
            )
