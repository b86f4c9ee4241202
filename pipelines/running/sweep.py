"""A sweep: the DAG at many points of its parameters, in one walk in which points share what is equal.

Every point is an experiment in a clone of its own (`pipelines.repo.clone.Clone`). Of stages that are one (see
`sweep_plan`), one point runs it; the others take its entry of `dvc.lock` and its outputs from DVC's cache.
Killed, the same sweep goes on where it was.
"""

import json
import shutil
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from components.common.storage import atomic_dir, write_whole
from components.common.yaml_files import dump_yaml
from pipelines.repo import costs, recovery
from pipelines.repo.clone import Say, share_inboxes
from pipelines.repo.fingerprint import digest, load
from pipelines.repo.lock_file import LOCK, recorded_stages
from pipelines.repo.revisions import dvc
from pipelines.running.console import Console
from pipelines.running.launch import Launcher
from pipelines.running.reproduction import Around, Summary, child_environment, look, new_logs, plainly
from pipelines.running.resources import Lease, Slots, read_needs, stage_need
from pipelines.running.sweep_plan import Axes, Node, Plan, Point, assignments, axes_text, plan, points_of
from pipelines.running.sweep_report import report_over_seeds
from pipelines.running.walk import Done, Walk
from pipelines.system import environment
from pipelines.system.stopping import Stop


@dataclass(frozen=True)
class SweepSummary(Summary):
    """How a sweep ended; `paths`: stage, as it is named here -> its log."""

    paths: Mapping[str, Path]

    def log(self, stage: str) -> Path | None:
        return self.paths.get(stage)


class Sweep:
    """One sweep of a checkout.

    Attributes:
        name: of all that it starts from: the same sweep has the same name.
        folder: where its results lie: `points/<experiment>` with `scores` and `dvc.lock`, and the tables.
    """

    def __init__(self, root: Path, axes: Axes, only: Sequence[str], say: Say) -> None:
        self.root, self.axes, self.only, self.say = root, axes, tuple(only), say
        self.points = points_of(root, axes)
        self.name = f"sweep-{digest([[point.clone.name for point in self.points], self.only])[:10]}"
        self.folder = environment.state() / "sweeps" / self.name

    def kept(self, point: Point) -> Path:
        """Where the results of a point lie once it is done."""
        return self.folder / "points" / point.clone.name

    def is_done(self) -> bool:
        """Whether every point has its results."""
        return all(self.kept(point).exists() for point in self.points)

    @cached_property
    def waiting(self) -> list[Point]:
        """The points that are not done."""
        return [point for point in self.points if not self.kept(point).exists()]

    def plan_lines(self) -> list[str]:
        """What would run, without running it."""
        made = [point for point in self.waiting if not point.clone.folder.exists()]
        try:
            for point in made:
                point.clone.make(lambda line: None)
            found = plan(self.waiting, [look(point.clone.folder, self.only) for point in self.waiting])
        finally:
            for point in made:
                point.clone.remove()
        points = {name: len(found.nodes[name].points) for name in found.why}
        lines = [f"  {name}" + f" (once for {count} points)" * (count > 1) for name, count in points.items()]
        return [f"{len(self.points)} points, {len(self.waiting)} to do: {counted(found)}", *lines]

    def run(self, jobs: int | None, stop: Stop, around: Around = plainly) -> Summary:
        """Make what is not made, keep the results and save an experiment a point.

        Raises:
            InputError: no such stage, or a file of the project cannot be read.
        """
        begun = time.monotonic()
        self.folder.mkdir(parents=True, exist_ok=True)
        with recovery.alone(self.folder.parent, self.say, stop):  # two sweeps may share points
            if not self.waiting:
                self.finish()
                stages = sum(len(load(self.kept(point) / "dvc.lock")["stages"]) for point in self.points)
                return Summary({}, stages, time.monotonic() - begun, None, stop)
            for point in self.waiting:
                point.clone.make(self.say)
                recovery.repair(point.clone.folder, self.say)
            running = Running(self, jobs, stop, around)
            done = running.walk()
            for number, point in enumerate(self.waiting):
                recovery.repair(point.clone.folder, self.say)
                costs.keep(point.clone.folder, running.ran(number, done))
                if not stop.is_set() and running.complete(number, done):
                    running.bring(number, running.graphs[number].upstream)
                    self.keep(point)
            if self.is_done():
                self.finish()
        seconds, stages = time.monotonic() - begun, len(running.plan.nodes)
        return SweepSummary(done, stages, seconds, running.logs, stop, running.paths())

    def finish(self) -> None:
        """Write what is about all points, as far as it is not there, and let go of the clones."""
        from components.report.over_seeds import SEED, Sample, settings, tables

        samples = [Sample(point.values, self.kept(point) / "scores") for point in self.points]
        tables(samples, self.folder, f"Sweep {axes_text(self.axes)}")
        for setting, seeds in settings(samples):
            points = [self.points[samples.index(sample)] for sample in seeds.values()]
            kept = {point.values.get(SEED): self.kept(point) for point in points}
            part = {"name": self.name, "axes": axes_text(self.axes)}
            out = self.folder / "report" / (assignments(setting) or "as it is")
            report_over_seeds(points[0].clone, kept, out, part, self.say)
        for point in self.points:
            point.clone.remove()

    def keep(self, point: Point) -> None:
        """Save a point as an experiment, and keep what the tables need."""
        clone = point.clone
        share_inboxes(clone.folder, self.root)
        clone.save()
        self.kept(point).parent.mkdir(parents=True, exist_ok=True)
        with atomic_dir(self.kept(point)) as new:
            shutil.copy2(clone.folder / LOCK, new / LOCK)
            for scores in scores_of(recorded_stages(clone.folder)):
                target = new / scores.relative_to("data")
                target.parent.mkdir(parents=True, exist_ok=True)
                copy = shutil.copytree if (clone.folder / scores).is_dir() else shutil.copy2
                copy(clone.folder / scores, target)
        self.say(f"experiment {clone.name}: {point.title}")


def scores_of(stages: Mapping[str, Any]) -> list[Path]:
    """The scores that stages made which dvc.lock holds; older ones may lie beside them."""
    outs = [Path(out["path"]) for entry in stages.values() for out in entry.get("outs", [])]
    return [path for path in outs if path.is_relative_to("data/scores")]


class Running:
    """The walk of one sweep over the points that are not done."""

    def __init__(self, sweep: Sweep, jobs: int | None, stop: Stop, around: Around) -> None:
        self.points, self.stop, self.around, self.jobs = sweep.waiting, stop, around, jobs
        self.graphs = [look(point.clone.folder, sweep.only) for point in self.points]
        self.plan = plan(self.points, self.graphs)
        needs = read_needs()
        self.needs = {name: stage_need(node.stage, needs) for name, node in self.plan.nodes.items()}
        self.slots = Slots.of(sweep.root)
        self.logs = new_logs()
        self.console = Console(len(self.plan.why))
        self.launchers = [self._launcher(point, sweep) for point in self.points]
        self.locks = [threading.Lock() for _ in self.points]
        self.has: list[set[str]] = [set() for _ in self.points]

    def _launcher(self, point: Point, sweep: Sweep) -> Launcher:
        logs = self.logs / point.clone.name
        logs.mkdir()
        part = {"name": sweep.name, "axes": axes_text(sweep.axes), "point": point.clone.name, "values": point.title}
        variables = child_environment(self.console.terminal) | {"DBDFLOW_SWEEP": json.dumps(part)}  # for MLflow
        return Launcher(point.clone.folder, logs, self.stop, variables, self.console.line)

    def walk(self) -> dict[str, Done]:
        """Run every node that is out of date."""
        to_do, nodes, machine = self.plan.why, self.plan.nodes, self.slots.machine
        self.console.say(f"{len(self.points)} points: {counted(self.plan)}; {machine}; logs in {self.logs}")
        seconds = {stage: cost.seconds for stage, cost in costs.left().items()}
        return Walk(
            upstream={name: self.plan.upstream[name] for name in to_do},
            seconds={name: seconds[node.stage] for name, node in nodes.items() if node.stage in seconds},
            run=self.one,
            take=lambda name: self.slots.take(self.needs[name]),
            jobs=self.jobs or machine.cores,
            stop=self.stop,
        ).go()

    def one(self, name: str, lease: Lease) -> Done:
        """Run one node in its owner's clone, once what it needs has been brought there."""
        node = self.plan.nodes[name]
        self.console.begin(name, self.plan.why[name])
        self.bring(node.owner, self.graphs[node.owner].ancestors([node.stage]) - {node.stage})
        launcher, need = self.launchers[node.owner], self.needs[name]
        done = self.around(name, lambda extra: launcher.run(node.stage, need, lease, extra))
        if done.well:
            recovery.keep_lock_file(launcher.root)
        self.console.end(replace(done, stage=name))
        return replace(done, stage=name)

    def bring(self, point: int, stages: Iterable[str]) -> None:
        """Give a point's clone the entries and outputs of stages that other points own."""
        folder = self.points[point].clone.folder
        with self.locks[point]:
            entries = {}
            for stage in sorted(set(stages) - self.has[point]):
                node = self.plan.nodes[self.plan.of[point, stage]]
                if node.owner != point:
                    entries[stage] = self.entry(node)
            if entries:
                add_entries(folder, entries)
                dvc(folder, "--wait-for-lock", "checkout", "--quiet", "--force", *entries)
            self.has[point] |= set(stages)

    def entry(self, node: Node) -> Any:  # noqa: ANN401 (YAML)
        """What the owner's `dvc.lock` says of a node that is done."""
        with recovery.dvc_lock(self.points[node.owner].clone.folder):
            return load(self.points[node.owner].clone.folder / "dvc.lock")["stages"][node.stage]

    def paths(self) -> dict[str, Path]:
        """Where each node's log is."""
        return {name: self.launchers[node.owner].log(node.stage) for name, node in self.plan.nodes.items()}

    def ran(self, point: int, done: Mapping[str, Done]) -> list[str]:
        """The stages that ran in a point's clone."""
        nodes = [self.plan.nodes[name] for name, each in done.items() if each.status == "ran"]
        return [node.stage for node in nodes if node.owner == point]

    def complete(self, point: int, done: Mapping[str, Done]) -> bool:
        """Whether every stage of a point is done."""
        names = [self.plan.of[point, stage] for stage in self.graphs[point].upstream]
        return all(name not in self.plan.why or (name in done and done[name].well) for name in names)


def counted(found: Plan) -> str:
    """How many stages run, and how many that saves."""
    alone = sum(len(found.nodes[name].points) for name in found.why)
    return f"{len(found.why)} stages out of date, {alone} if nothing were shared"


def add_entries(folder: Path, entries: Mapping[str, Any]) -> None:
    """Put stages' entries into a checkout's `dvc.lock`, while no DVC process writes it."""
    path = folder / "dvc.lock"
    with recovery.dvc_lock(folder):
        lock = load(path) or {"schema": "2.0"}
        lock["stages"] = lock.get("stages", {}) | entries
        write_whole(path, dump_yaml(lock))
