"""What a change reruns, from git alone: DVC's verdict on one revision's files against what another revision's gave.

No outputs are needed, as `dvc repro --allow-missing` needs none: what dvc.lock of the base says of them counts.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.errors import InputError
from pipelines import costs, dag
from pipelines.costs import Costs
from pipelines.fingerprint import Pipeline
from pipelines.incoming import EXTERNAL
from pipelines.markdown import code, plain, table
from pipelines.revisions import changed_lines, checked_out, commit_of, short
from pipelines.telling import brief

LOCK = "dvc.lock"


@dataclass(frozen=True)
class Plan:
    """What reruns between two revisions.

    Attributes:
        base, head: as they were named.
        to_do: stage that is out of date at the head by the base's results -> why; those after it too.
        stages: number of all stages at the head.
        gone: stages of the base that the head lacks.
        made: stages of `to_do` whose result the head's own dvc.lock has.
        locked: whether the base has a dvc.lock; without one its files are taken for what its results were made of.
        costs: what stages cost when they last ran.
    """

    base: str
    head: str
    to_do: Mapping[str, Sequence[str]]
    stages: int
    gone: Sequence[str]
    made: frozenset[str]
    locked: bool
    costs: Costs


def make_plan(root: Path, base: str, head: str) -> Plan:
    """Compare two revisions of the repository at `root`.

    Raises:
        InputError: no such revision, or DVC cannot read one of them.
    """
    before, after = commit_of(root, base), commit_of(root, head)
    with checked_out(root, before) as folder:
        locked = (folder / LOCK).exists()
        lock = (folder / LOCK).read_bytes() if locked else lock_of_files(folder)
        known, listed = costs.read(folder / costs.FILE), list(Pipeline(folder).stages())
    with checked_out(root, after) as folder:
        own = (folder / LOCK).read_bytes() if (folder / LOCK).exists() else None
        (folder / LOCK).write_bytes(lock)
        found = dag.read(folder, data=False)
        to_do = judged(found, root, before, after).to_do()
        made: frozenset[str] = frozenset()
        if own is not None and own != lock:
            (folder / LOCK).write_bytes(own)
            made = frozenset(to_do.keys() - judged(dag.read(folder, data=False), root, before, after).to_do().keys())
        known = costs.left() | known | costs.read(folder / costs.FILE)
    gone = [stage for stage in listed if stage not in found.upstream]
    return Plan(short(base), short(head), to_do, len(found.upstream), gone, made, locked, known)


def lock_of_files(folder: Path) -> bytes:
    """A dvc.lock as if every stage had run on the files of a checkout as they are; of outputs it says nothing.

    Raises:
        InputError: DVC cannot read the checkout.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc.stage.serialize import to_lockfile

    entries: dict[str, Any] = {}
    try:
        with Repo(str(folder)) as repo:
            for stage in repo.index.stages:
                for dep in stage.deps:
                    if dep.exists:
                        dep.save()
                entries |= to_lockfile(stage)
    except DvcException as error:
        raise InputError(f"DVC cannot read {folder}: {error}") from error
    return json.dumps({"schema": "2.0", "stages": entries}).encode()  # JSON is YAML too


def judged(found: dag.Dag, root: Path, base: str, head: str) -> dag.Dag:
    """The graph with reasons as git sees them: how many lines changed; the inbox, which git ignores, by git's files."""
    lines = changed_lines(root, base, head)
    why = {}
    for stage, reasons in found.why.items():
        kept = [told for reason in reasons if (told := with_lines(reason, lines))]
        if kept:
            why[stage] = kept
    return dag.Dag(found.upstream, why)


def with_lines(reason: str, lines: Mapping[str, str]) -> str:
    """A reason, and the changed files behind it; empty where only files that git ignores are behind it."""
    path = next((reason.removesuffix(f" {word}") for word in dag.WORDS.values() if reason.endswith(f" {word}")), None)
    if path is None:
        return reason
    files = [name for name in lines if name == path or name.startswith(f"{path}/")]
    if path == str(EXTERNAL) and not files:
        return ""
    if files == [path]:
        return f"{reason} ({lines[path]})"
    return f"{reason} ({brief([f'{name} {lines[name]}' for name in files])})" if files else reason


def told(plan: Plan) -> Iterator[str]:
    """The plan in lines for a terminal."""
    yield f"{plan.base} -> {plan.head}: {verdict(plan)}"
    last = {stage: f"{plan.costs[stage]}" if stage in plan.costs else "not timed yet" for stage in plan.to_do}
    wide, high = (max(map(len, words), default=0) for words in (plan.to_do, last.values()))
    for stage, why in plan.to_do.items():
        note = "  [its result is in dvc.lock]" if stage in plan.made else ""
        yield f"  {stage:{wide}}  {last[stage]:{high}}  {brief(why, 4)}{note}"
    yield from notes(plan)


def markdown(plan: Plan) -> Iterator[str]:
    """The plan in lines of Markdown."""
    yield f"**{verdict(plan)}**"
    if plan.to_do:
        last = {stage: str(plan.costs.get(stage, "not timed yet")) for stage in plan.to_do}
        noted = {stage: " (its result is in dvc.lock)" if stage in plan.made else "" for stage in plan.to_do}
        rows = [(code(s), code(brief(why, 4)) + noted[s], plain(last[s])) for s, why in plan.to_do.items()]
        yield from ("", *table(("stage", "why", "last time"), rows))
    yield from (f"\n{plain(line)}" for line in notes(plan))


def verdict(plan: Plan) -> str:
    """How many stages rerun."""
    if not plan.to_do:
        return f"nothing reruns: all {plan.stages} stages stay as they are"
    return f"{len(plan.to_do)} of {plan.stages} stages rerun, {plan.stages - len(plan.to_do)} stay as they are"


def notes(plan: Plan) -> Iterator[str]:
    """What else there is to know."""
    if total := costs.told(plan.costs, plan.to_do):
        yield total
    if plan.gone:
        yield f"no longer there: {', '.join(plan.gone)}"
    if not plan.locked:
        yield f"{plan.base} has no dvc.lock: compared are the files of the two revisions, not results"
