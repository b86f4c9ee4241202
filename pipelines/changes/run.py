"""A commit's result as CI makes it: what exists is pulled, what is missing runs, in a clone beside the workspace.

It ends as a DVC experiment named after commit and preset, which `ci comment` and `diff` read; the workspace, its
params.yaml and its dvc.lock stay as they are.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from components.common.errors import InputError
from components.common.yaml_files import parse_yaml
from pipelines.repo import dag
from pipelines.repo.clone import Clone, share_inboxes
from pipelines.repo.dag import Dag
from pipelines.repo.lock_file import recorded_stages
from pipelines.repo.remote import has_remote
from pipelines.repo.revisions import commit_of, dvc, experiment_commit, git
from pipelines.running.reproduction import reproduce
from pipelines.system import environment
from pipelines.system.stopping import Stop

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Asked:
    """What is to be run.

    Attributes:
        preset: its params in the place of params.yaml, unless params.yaml already is that experiment by its `name`.
        jobs: stages at once; None: as many as cores.
        push: whether what came out goes to the default DVC remote.
    """

    preset: str | None = None
    jobs: int | None = None
    push: bool = False


def result_name(commit: str, preset: str | None) -> str:
    """Name of the DVC experiment with the result of a commit."""
    return f"ci-{preset or 'params'}-{commit[:10]}"


def run(root: Path, revision: str, asked: Asked, *, stop: Stop, say: Callable[[str], None] = print) -> int:
    """Make the result of a revision, unless it is there; an exit code.

    Raises:
        InputError: no such revision or preset; DVC cannot read it; the remote does not take what came out.
    """
    commit = commit_of(root, revision)
    name = result_name(commit, asked.preset)
    if experiment_commit(root, name):
        say(f"{revision}: its result is there, experiment {name}")
        return 0
    folder = environment.state() / "experiments" / name
    clone = Clone(root, folder, commit, params=preset_params(root, commit, asked.preset))
    clone.make(say)
    summary = reproduce(clone.folder, jobs=asked.jobs, say=say, stop=stop, look=pulled)
    say("\n".join([f"{revision}:", *summary.lines()]))
    if summary.status == "FINISHED":
        finish(clone, push=asked.push, say=say)
    return summary.code


def finish(clone: Clone, *, push: bool, say: Callable[[str], None]) -> None:
    """Push what came out of a clone if asked to, and keep it as an experiment; what git has already needs none."""
    if push and has_remote(clone.folder):
        dvc(clone.folder, "push", "--run-cache")
    changed = git(clone.folder, "status", "--porcelain", "--", "dvc.lock", "params.yaml")
    share_inboxes(clone.folder, clone.root)
    if changed:
        clone.save()
        say(f"experiment {clone.name} (`dvc exp show`)")
    clone.remove()


def preset_params(root: Path, commit: str, preset: str | None) -> str | None:
    """The text of a preset at a commit; None where its params.yaml is that experiment already, or none was asked for.

    Raises:
        InputError: the commit has no such preset.
    """
    if preset is None:
        return None
    found = git(root, "show", f"{commit}:params.yaml")
    if experiment_of(found) == preset:
        return None
    try:
        text = git(root, "show", f"{commit}:presets/{preset}.yaml")
    except InputError as error:
        raise InputError(f"--preset {preset}: commit {commit[:10]} has no presets/{preset}.yaml") from error
    parse_yaml(text, f"presets/{preset}.yaml of commit {commit[:10]}")
    return text


def experiment_of(params: str) -> str | None:
    """`name` of a params file."""
    found = parse_yaml(params, "params.yaml")
    return str(found.get("name")) if isinstance(found, dict) else None


def pulled(root: Path, only: Sequence[str]) -> Dag:
    """The graph of a fresh checkout after what its stages need has been pulled: what cannot be had has to run too.

    An output that is not here is no reason to run a stage; that a stage which has to run needs it, and neither DVC's
    cache nor the remote has it, is.
    """
    assert not only, only
    found, tried = dag.read(root, data=False), set[str]()
    while True:
        to_do = found.to_do()
        needed = {before for stage in to_do for before in found.upstream[stage]} - to_do.keys()
        wanted = (needed | {stage for stage in to_do if stage not in found.why}) - tried
        pull(root, sorted(wanted))
        tried |= wanted
        if not (lacking := [stage for stage in sorted(needed) if not has_outputs(root, stage)]):
            return found
        found = Dag(found.upstream, {**found.why, **{stage: ["its output is not at hand"] for stage in lacking}})


def pull(root: Path, stages: Iterable[str]) -> None:
    """Bring the outputs of stages into a checkout, as far as the cache and the remote have them."""
    known = recorded_stages(root)
    wanted = [stage for stage in stages if stage in known]
    if wanted and has_remote(root):
        try:
            dvc(root, "pull", "--allow-missing", "--run-cache", *wanted)
        except InputError as error:
            log.warning("%s", error)


def has_outputs(root: Path, stage: str) -> bool:
    """Whether the outputs that dvc.lock names for a stage are there."""
    outs = recorded_stages(root).get(stage, {}).get("outs", ())
    return all((root / out["path"]).exists() for out in outs)
