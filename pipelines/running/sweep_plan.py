"""What the points of a sweep have in common: two stages of two points are one if all that they depend on is equal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from pipelines.repo.clone import Clone
from pipelines.repo.dag import Dag
from pipelines.repo.fingerprint import Pipeline, content_hash, digest, overlap, resolve
from pipelines.running.experiments import Request, of_request

Axes = Mapping[str, Sequence[Any]]
"""Key of params.yaml -> the values that it takes."""


@dataclass(frozen=True)
class Point:
    """One combination of values."""

    values: Mapping[str, Any]
    clone: Clone

    @property
    def title(self) -> str:
        return assignments(self.values)


@dataclass(frozen=True)
class Node:
    """A stage of the sweep: the point that runs it, and all points that it is a part of."""

    stage: str
    owner: int
    points: tuple[int, ...]
    name: str
    """The stage, and the values by which it differs from the other ones of its name."""


def assignments(values: Mapping[str, Any]) -> str:
    """`key=value, ...` as a person writes it."""
    return ", ".join(f"{key}={value}" for key, value in values.items())


def points_of(root: Path, axes: Axes) -> list[Point]:
    """Every combination of the axes' values, the last axis first to change.

    Raises:
        InputError: an unknown key, or a value that does not fit.
    """
    combinations = [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]
    return [Point(values, of_request(root, Request(values=values))) for values in combinations]


def identities(folder: Path, upstream: Mapping[str, frozenset[str]]) -> dict[str, str]:
    """Stage -> hash of its command, parameters and source files, and of the same of every stage before it.

    `upstream`: each stage after those that it needs.
    """
    pipeline = Pipeline(folder)
    stages = {name: resolve(*definition) for name, definition in pipeline.stages().items() if name in upstream}
    made = [path for stage in stages.values() for path in outs_of(stage)]
    found: dict[str, str] = {}
    for name, before in upstream.items():
        stage = stages[name]
        sources = [str(path) for path in stage.get("deps", ()) if not any(overlap(str(path), out) for out in made)]
        content = {path: content_hash(folder / path) for path in sources}
        own = [stage["cmd"], content, pipeline.values(stage.get("params", ())), outs_of(stage)]
        found[name] = digest([*own, sorted(found[each] for each in before)])
    return found


def outs_of(stage: Mapping[str, Any]) -> list[str]:
    """Paths of a stage's outputs, metrics and plots."""
    listed = [out for kind in ("outs", "metrics", "plots") for out in stage.get(kind, ())]
    return [str(path) for out in listed for path in (out if isinstance(out, dict) else (out,))]


@dataclass
class Plan:
    """What the points have in common.

    Attributes:
        nodes: name -> node; each after those that it needs.
        upstream: name -> names that it needs directly.
        of: (point, stage) -> the name of its node.
        why: names that have to run -> reasons in words.
    """

    nodes: dict[str, Node] = field(default_factory=dict)
    upstream: dict[str, frozenset[str]] = field(default_factory=dict)
    of: dict[tuple[int, str], str] = field(default_factory=dict)
    why: dict[str, list[str]] = field(default_factory=dict)


def plan(points: Sequence[Point], graphs: Sequence[Dag]) -> Plan:
    """Merge the points' graphs: one node for all stages of one identity, run by the first point that has it."""
    found, hashes = Plan(), [identities(p.clone.folder, g.upstream) for p, g in zip(points, graphs, strict=True)]
    to_do = [graph.to_do() for graph in graphs]
    sharing: dict[str, list[int]] = {}
    for number, stages in enumerate(hashes):
        for identity in stages.values():
            sharing.setdefault(identity, []).append(number)
    for number, (graph, stages) in enumerate(zip(graphs, hashes, strict=True)):
        for stage, before in graph.upstream.items():
            numbers = sharing[stages[stage]]
            name = node_name(stage, [points[each].values for each in numbers], len(numbers) == len(points))
            found.of[number, stage] = name
            if numbers[0] == number:
                found.nodes[name] = Node(stage, number, tuple(numbers), name)
                found.upstream[name] = frozenset(found.of[number, each] for each in before)
                if reasons := to_do[number].get(stage):
                    found.why[name] = reasons
    return found


def node_name(stage: str, values: Sequence[Mapping[str, Any]], shared_by_all: bool) -> str:
    """A stage and the values that all points with it have in common.

    >>> node_name("train@a", [{"beta": 1, "seed": 0}, {"beta": 3, "seed": 0}], shared_by_all=False)
    'train@a [seed=0]'
    """
    common = {key: value for key, value in values[0].items() if all(each[key] == value for each in values)}
    return stage if shared_by_all or not common else f"{stage} [{assignments(common)}]"


def axes_text(axes: Axes) -> str:
    """The axes as a person writes them.

    >>> axes_text({"seed": [0, 1]})
    'seed=0,1'
    """
    return " ".join(f"{key}={','.join(map(str, values))}" for key, values in axes.items())
