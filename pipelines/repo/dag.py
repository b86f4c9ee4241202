"""DVC's own graph and its own verdict on every stage. DVC takes 1 s to import."""

import difflib
import re
from collections.abc import Iterable, Mapping
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.common.errors import InputError
from pipelines.repo.fingerprint import flatten, load, look_up, overlap
from pipelines.repo.lock_file import recorded_stages

WORDS = {"modified": "changed", "deleted": "is missing", "new": "is new", "not in cache": "is not in the cache"}
USES = re.compile(r"\(PID (\d+)\): (.+)")
"""How DVC names who holds a path that it wants to read."""


@dataclass(frozen=True)
class Dag:
    """The stages of one checkout as they are now.

    Attributes:
        upstream: stage -> the stages that it depends on directly; every stage after those, as `dvc repro` runs them.
        why: stage that is out of date by itself -> reasons in words.
    """

    upstream: Mapping[str, frozenset[str]]
    why: Mapping[str, list[str]]

    def ancestors(self, stages: Iterable[str]) -> set[str]:
        """The stages, and all that they depend on."""
        found: set[str] = set()
        waiting = list(stages)
        while waiting:
            if (stage := waiting.pop()) not in found:
                found.add(stage)
                waiting += self.upstream[stage]
        return found

    def only(self, words: Iterable[str]) -> "Dag":
        """The part that makes the stages `words` (a stage, or what stands before its @).

        Raises:
            InputError: no such stage.
        """
        wanted = self.ancestors(stage for word in words for stage in self._named(word))
        return Dag(
            {stage: upstream for stage, upstream in self.upstream.items() if stage in wanted},
            {stage: why for stage, why in self.why.items() if stage in wanted},
        )

    def _named(self, word: str) -> list[str]:
        found = [stage for stage in self.upstream if word in (stage, stage.partition("@")[0])]
        if not found:
            known = {*self.upstream, *(stage.partition("@")[0] for stage in self.upstream)}
            near = difflib.get_close_matches(word, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; stages: {', '.join(self.upstream)}"
            raise InputError(f"dvc.yaml has no stage {word!r}{hint}")
        return found

    def to_do(self) -> dict[str, list[str]]:
        """Stages that are out of date, with why; those after one of them may turn out to be up to date."""
        found: dict[str, list[str]] = {}
        for stage, upstream in self.upstream.items():
            after = [f"after {before}" for before in sorted(upstream & found.keys())]
            if reasons := list(self.why.get(stage, [])) or after:
                found[stage] = reasons
        return found


def read(root: Path, *, data: bool = True) -> Dag:
    """Ask DVC, which waits for its lock while another DVC process of this checkout writes.

    Args:
        root: the checkout.
        data: whether outputs that are not here are a reason to run; without it git's files alone decide, and what
            dvc.lock says of the outputs.

    Raises:
        InputError: dvc.yaml or params.yaml is not there or no YAML, a stage runs, or DVC cannot read the checkout.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo, lock_repo

    for name in ("dvc.yaml", "params.yaml"):
        if not (root / name).is_file():
            raise InputError(f"{root / name}: no such file; run inside the checkout, or bring it back (`git checkout`)")
        load(root / name)  # of what is wrong in it DVC says less
    try:
        # DVC tells paths from where one is, and reads its files anew for each lock.
        with chdir(root), Repo(str(root), _wait_for_lock=True) as repo, lock_repo(repo):
            lock = recorded_stages(root)
            upstream, made = ordered(repo), outputs(repo)
            status = repo.status()
    except DvcException as error:
        if running := USES.search(str(error)):
            raise InputError(
                f"{root}: process {running[1]} is at work in it ({running[2].strip()}), and DVC says nothing of what "
                "is just being written; ask again when it has ended"
            ) from error
        cause = " ".join(f" ({error.__cause__})".split()) if error.__cause__ else ""
        raise InputError(f"DVC cannot read {root}: {error}{cause and ' '}{cause}") from error
    if not data:
        status = {stage: without_data(entries, made) for stage, entries in status.items()}
    why = {named(stage): reasons(entries, lock.get(named(stage)), root) for stage, entries in status.items()}
    if not data:
        for stage, reason in made_anew(lock, upstream):
            why[stage] = [*why.get(stage, []), reason]
    return Dag(upstream, why)


def outputs(repo: Any) -> frozenset[str]:  # noqa: ANN401 (DVC is untyped)
    """Paths of every stage's outputs, as DVC's status tells them."""
    return frozenset(str(out) for out in repo.index.outs)


def without_data(entries: list[Any], made: Iterable[str]) -> list[Any]:
    """DVC's verdict on one stage without what it says of outputs, of this stage or of those before it."""
    kept: list[Any] = []
    for entry in entries:
        if isinstance(entry, str):
            kept.append(entry)
        elif deps := entry.get("changed deps"):
            sources = {path: state for path, state in deps.items() if not any(overlap(path, out) for out in made)}
            kept.append({"changed deps": sources})
    return kept


def made_anew(lock: dict[str, Any], upstream: Mapping[str, frozenset[str]]) -> Iterable[tuple[str, str]]:
    """Stages of dvc.lock that used another version of an output than the one that its stage made last."""
    outs = {out["path"]: out.get("md5") for stage in upstream for out in lock.get(stage, {}).get("outs", ())}
    for stage in upstream:
        for dep in lock.get(stage, {}).get("deps", ()):
            used, made = dep.get("md5"), outs.get(dep["path"])
            if used and made and used != made:
                yield stage, f"{dep['path']} was made anew since"


def named(addressing: str) -> str:
    """A stage's name without its file, which DVC puts before it when the file lies in another folder.

    >>> named("../clone/dvc.yaml:report")
    'report'
    """
    return addressing.rpartition(":")[2]


def ordered(repo: Any) -> dict[str, frozenset[str]]:  # noqa: ANN401 (DVC is untyped)
    """Each stage's direct dependencies, in the order in which `dvc repro` runs the stages."""
    import networkx

    graph = repo.index.graph  # its edges point upstream
    return {
        named(stage.addressing): frozenset(named(before.addressing) for before in graph.successors(stage))
        for stage in networkx.dfs_postorder_nodes(graph)
    }


def reasons(entries: list[Any], locked: dict[str, Any] | None, root: Path) -> list[str]:
    """DVC's verdict on one stage in words."""
    if locked is None:
        return ["never ran"]
    found: list[str] = []
    for entry in entries:
        if isinstance(entry, str):
            found.append(entry)  # `changed command`, `always changed`
            continue
        for path, state in (pair for changed in entry.values() for pair in changed.items()):
            if isinstance(state, dict):
                found += moved(path, state, locked, root)
            else:
                found.append(f"{path} {WORDS.get(state, state)}")
    return found


def moved(file: str, states: dict[str, str], locked: dict[str, Any], root: Path) -> list[str]:
    """The parameters of one file that differ from those of the last run, with both values."""
    before, now = locked.get("params", {}).get(file, {}), load(root / file)
    old = {key: before[key] for key in states if key in before}
    return differing(old, {key: value(now, key) for key, state in states.items() if state != "deleted"})


def differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Parameters that differ, nested ones by themselves, with both values."""
    before, after = flatten(dict(old)), flatten(dict(new))
    return [
        f"{name}: {before.get(name, 'absent')} -> {after.get(name, 'absent')}"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]


def value(values: dict[str, Any], key: str) -> Any:  # noqa: ANN401 (YAML)
    try:
        return look_up(values, key)
    except InputError:
        return "absent"
