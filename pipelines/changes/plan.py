"""What a change reruns, from git alone: DVC's verdict on one revision's files against what another revision's gave.

No outputs are needed, as `dvc repro --allow-missing` needs none: what dvc.lock of the base says of them counts.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.common.errors import InputError
from pipelines.changes.markdown import code, plain, table
from pipelines.changes.run import preset_params, result_name
from pipelines.repo import costs, dag
from pipelines.repo.costs import Costs
from pipelines.repo.fingerprint import Pipeline
from pipelines.repo.lock_file import LOCK
from pipelines.repo.revisions import changed_lines, checked_out, commit_of, experiment_commit, short
from pipelines.running.console import brief
from pipelines.system.environment import EXTERNAL


@dataclass(frozen=True)
class Plan:
    """What reruns between two revisions.

    Attributes:
        base, head: as they were named.
        to_do: stage that is out of date at the head by the base's results -> why; those after it too.
        stages: number of all stages at the head.
        gone: stages of the base that the head lacks.
        due: stages of `to_do` that are out of date at the base for the same reasons: the change has no part in it.
        made: stages of `to_do` whose result the head's own dvc.lock has.
        locked: whether the base has results; without them its files are compared.
        costs: what stages cost when they last ran.
    """

    base: str
    head: str
    to_do: Mapping[str, Sequence[str]]
    stages: int
    gone: Sequence[str]
    due: frozenset[str]
    made: frozenset[str]
    locked: bool
    costs: Costs


@dataclass(frozen=True)
class Base:
    """What a plan compares with: a dvc.lock, whether it is one of results, the stages and costs known there.

    `why`: stages that are out of date there by their own dvc.lock -> reasons.
    """

    lock: bytes
    locked: bool
    stages: Sequence[str]
    why: Mapping[str, Sequence[str]]
    costs: Costs


def make_plan(root: Path, base: str, head: str, preset: str | None = None) -> Plan:
    """Compare two revisions of the repository at `root`, with a preset's params if one is named.

    Raises:
        InputError: no such revision or preset, or DVC cannot read one of them.
    """
    before, after = commit_of(root, base), commit_of(root, head)
    source, lines = base_of(root, before, preset), changed_lines(root, before, after)
    with checked_out(root, after) as folder:
        other = put_preset(root, folder, after, preset)
        own = (folder / LOCK).read_bytes() if (folder / LOCK).exists() and not other else source.lock
        found = with_lock(folder, source.lock, lines)
        to_do = found.to_do()
        left = to_do if own == source.lock else with_lock(folder, own, lines).to_do()
        known = {**costs.left(), **source.costs, **costs.read(folder / costs.FILE)}
    gone = [stage for stage in source.stages if stage not in found.upstream]
    made = frozenset(to_do.keys() - left.keys())
    due = already_due(found, source.why)
    return Plan(short(base), short(head), to_do, len(found.upstream), gone, due, made, source.locked, known)


def already_due(found: dag.Dag, base: Mapping[str, Sequence[str]]) -> frozenset[str]:
    """Stages that are out of date at the head as they are at the base, by themselves and by those before them."""
    to_do, due = found.to_do(), set[str]()
    for stage in to_do:
        same = list(found.why.get(stage, ())) == list(base.get(stage, ()))
        if same and found.upstream[stage] & to_do.keys() <= due:
            due.add(stage)
    return frozenset(due)


def base_of(root: Path, commit: str, preset: str | None) -> Base:
    """The results that `ci run` made of a commit, else those of its dvc.lock, else its files."""
    run = experiment_commit(root, result_name(commit, preset))
    with checked_out(root, run or commit) as folder:
        other = run is None and put_preset(root, folder, commit, preset)
        locked = (folder / LOCK).exists() and not other
        lock = (folder / LOCK).read_bytes() if locked else lock_of_files(folder)
        why = with_lock(folder, lock, {}).why if locked else {}
        return Base(lock, locked, list(Pipeline(folder).stages()), why, costs.read(folder / costs.FILE))


def put_preset(root: Path, folder: Path, commit: str, preset: str | None) -> bool:
    """Give a checkout of a commit a preset's params; whether they are another experiment's than its own were."""
    params = preset_params(root, commit, preset)
    if params is not None:
        (folder / "params.yaml").write_text(params, encoding="utf-8")
    return params is not None


def with_lock(folder: Path, lock: bytes, lines: Mapping[str, str]) -> dag.Dag:
    """The graph of a checkout by a dvc.lock, with reasons as git sees them.

    A file's reason says how many lines changed; the inbox, which git ignores, counts by git's files.
    """
    (folder / LOCK).write_bytes(lock)
    found = dag.read(folder, data=False)
    reasons = {
        stage: [word for reason in why if (word := with_lines(reason, lines))] for stage, why in found.why.items()
    }
    return dag.Dag(found.upstream, {stage: why for stage, why in reasons.items() if why})


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


def in_words(plan: Plan) -> Iterator[str]:
    """The plan in lines for a terminal."""
    yield f"{plan.base} -> {plan.head}: {verdict(plan)}"
    last = {stage: f"{plan.costs[stage]}" if stage in plan.costs else "not timed yet" for stage in plan.to_do}
    wide, high = (max(map(len, words), default=0) for words in (plan.to_do, last.values()))
    for stage, why in plan.to_do.items():
        note = f"  [{remark}]" if (remark := remark_on(stage, plan)) else ""
        yield f"  {stage:{wide}}  {last[stage]:{high}}  {brief(why, 4)}{note}"
    yield from notes(plan)


def markdown(plan: Plan) -> Iterator[str]:
    """The plan in lines of Markdown."""
    yield f"**{verdict(plan)}**"
    if plan.to_do:
        last = {stage: str(plan.costs.get(stage, "not timed yet")) for stage in plan.to_do}
        noted = {stage: f" ({remark})" if (remark := remark_on(stage, plan)) else "" for stage in plan.to_do}
        rows = [(code(s), code(brief(why, 4)) + noted[s], plain(last[s])) for s, why in plan.to_do.items()]
        yield from ("", *table(("stage", "why", "last time"), rows))
    yield from (f"\n{plain(line)}" for line in notes(plan))


def remark_on(stage: str, plan: Plan) -> str:
    """What sets a stage apart from others that rerun, if anything does."""
    if stage in plan.made:
        return "its result is in dvc.lock"
    return "out of date before this change" if stage in plan.due else ""


def verdict(plan: Plan) -> str:
    """How many stages rerun, and how many would without the change."""
    changed = len(plan.to_do) - len(plan.due)
    late = f"; {len(plan.due)} more were out of date before it" if plan.due else ""
    if not changed:
        rest = f"all {plan.stages} stages" if not plan.due else f"{plan.stages - len(plan.due)} of {plan.stages} stages"
        return f"nothing reruns by this change: {rest} stay as they are{late}"
    return f"{changed} of {plan.stages} stages rerun, {plan.stages - len(plan.to_do)} stay as they are{late}"


def notes(plan: Plan) -> Iterator[str]:
    """What else there is to know."""
    if total := costs.summed(plan.costs, plan.to_do):
        yield total
    if plan.gone:
        yield f"no longer there: {', '.join(plan.gone)}"
    if not plan.locked:
        yield f"{plan.base} has no results (dvc.lock): compared are the files of the two revisions, not results"
