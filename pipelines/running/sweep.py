"""A sweep: the DAG at many points of its parameters, in one walk in which points share what is equal.

Every point is an experiment in a clone of its own (`pipelines.repo.clone.Clone`). Of stages that are one (see
`sweep_plan`), one point runs it; the others take its entry of `dvc.lock` and its outputs from DVC's cache.
Killed, the same sweep goes on where it was.
"""

import json
import shutil
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from components.common.storage import atomic_dir
from pipelines.repo import costs, recovery
from pipelines.repo.clone import Say, share_inboxes
from pipelines.repo.fingerprint import digest, load
from pipelines.repo.lock_file import LOCK, recorded_stages
from pipelines.running import engine
from pipelines.running.console import Console
from pipelines.running.done import Done
from pipelines.running.entries import Brings, bring
from pipelines.running.launch import StageRun
from pipelines.running.reproduction import Summary, child_environment, look, new_logs
from pipelines.running.resources import Limits, Machine, Need, read_needs, stage_need
from pipelines.running.sweep_plan import Axes, Node, Plan, Point, assignments, axes_text, plan, points_of
from pipelines.running.sweep_report import report_over_seeds
from pipelines.running.walk import Step, Submit, Tell, Walk, plainly
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

    def run(self, jobs: int | None, stop: Stop, submit: Submit = plainly) -> Summary:
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
            running = Running(self, jobs, stop, submit)
            done = running.walk()
            for number, point in enumerate(self.waiting):
                recovery.repair(point.clone.folder, self.say)
                costs.keep(point.clone.folder, running.ran(number, done))
                if not stop.is_set() and running.complete(number, done):
                    running.bring_all(number)
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

    def __init__(self, sweep: Sweep, jobs: int | None, stop: Stop, submit: Submit) -> None:
        self.sweep, self.points, self.stop, self.submit, self.jobs = sweep, sweep.waiting, stop, submit, jobs
        self.graphs = [look(point.clone.folder, sweep.only) for point in self.points]
        self.plan = plan(self.points, self.graphs)
        self.logs = new_logs()
        self.console = Console(self.plan.why)
        self.variables = [self._variables(point) for point in self.points]

    def _variables(self, point: Point) -> dict[str, str]:
        (self.logs / point.clone.name).mkdir()
        part = {
            "name": self.sweep.name,
            "axes": axes_text(self.sweep.axes),
            "point": point.clone.name,
            "values": point.title,
        }
        return child_environment(self.console.terminal) | {"DBDFLOW_SWEEP": json.dumps(part)}  # for MLflow

    def walk(self) -> dict[str, Done]:
        """Run every node that is out of date."""
        seconds, nodes = costs.seconds(), self.plan.nodes
        with engine.started(self.jobs) as started:
            self.console.say(f"{len(self.points)} points: {counted(self.plan)}; {started.words}; logs in {self.logs}")
            return Walk(
                started.client,
                self.steps(started.machine),
                seconds={name: seconds[node.stage] for name, node in nodes.items() if node.stage in seconds},
                watcher=self.console,
                stop=self.stop,
                submit=self.submit,
            ).go()

    def steps(self, machine: Machine) -> list[Step]:
        """A step a node."""
        needs, limits = read_needs(), Limits.of(self.sweep.root)
        found = []
        for name in self.plan.why:
            node = self.plan.nodes[name]
            need = stage_need(node.stage, needs)
            stages = self.graphs[node.owner].ancestors([node.stage]) - {node.stage}
            work = NodeRun(self.run_of(name, need), self.brings(node.owner, stages))
            units = limits.units(need, machine)
            found.append(Step(name, work, need, units, self.plan.upstream[name], self.log(node)))
        return found

    def run_of(self, name: str, need: Need) -> StageRun:
        """A node as a stage of its owner's clone."""
        node = self.plan.nodes[name]
        folder = self.points[node.owner].clone.folder
        return StageRun(folder, node.stage, name, need.hours, self.variables[node.owner])

    def brings(self, point: int, stages: Iterable[str]) -> Brings:
        """The stages of a point that other points own, with their clones."""
        nodes = {stage: self.plan.nodes[self.plan.of[point, stage]] for stage in sorted(stages)}
        return {stage: self.points[node.owner].clone.folder for stage, node in nodes.items() if node.owner != point}

    def bring_all(self, point: int) -> None:
        """Give a point's clone all that other points own."""
        bring(self.points[point].clone.folder, self.brings(point, self.graphs[point].upstream))

    def log(self, node: Node) -> Path:
        return self.logs / self.points[node.owner].clone.name / f"{node.stage}.log"

    def paths(self) -> dict[str, Path]:
        """Where each node's log is."""
        return {name: self.log(node) for name, node in self.plan.nodes.items()}

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


@dataclass(frozen=True)
class NodeRun:
    """Runs a stage once what it needs of other checkouts has been brought to its own."""

    stage: StageRun
    brings: Brings

    def __call__(self, given: Mapping[str, str], tell: Tell, stop: Stop) -> Done:
        if not self.stage.root.exists():
            here = f"{socket.gethostname()} does not see {self.stage.root}: the points of a sweep need a shared disk"
            return Done(self.stage.name, "failed", cause=here)
        bring(self.stage.root, self.brings)
        return self.stage(given, tell, stop)
