"""What was asked to be reproduced: the workspace as it is, or an experiment that leaves it alone.

An experiment (another preset, other values) runs in a clone of the repository under `.dbdflow/experiments`, with the
workspace's changes to tracked files, its inboxes and DVC's cache, and ends as a DVC experiment (`dvc exp show`, `dvc
exp apply`). DVC's own `exp run --temp` would run it one stage at a time. Interrupted, the clone stays, and the same
request goes on in it.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.common.errors import InputError
from components.common.yaml_files import dump_yaml, parse_yaml, read_commented
from pipelines.repo.clone import Clone, Say, changed_files, share_inboxes
from pipelines.repo.revisions import git
from pipelines.running.reproduction import Summary, plan_lines, reproduce
from pipelines.running.walk import Submit, plainly
from pipelines.system import environment
from pipelines.system.stopping import Stop


@dataclass(frozen=True)
class Request:
    """What to reproduce; see `pipelines.flows.reproduce.reproduce`."""

    preset: str | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    only: tuple[str, ...] = ()
    jobs: int | None = None

    @property
    def experiment(self) -> bool:
        return bool(self.preset or self.values)


def run(request: Request, *, submit: Submit = plainly, stop: Stop | None = None, say: Say = print) -> Summary:
    """Reproduce what was asked for.

    Raises:
        InputError: a preset, key or stage that does not exist, a value out of range, no git repository.
    """
    root = environment.root()
    if not request.experiment:
        return reproduce(root, only=request.only, jobs=request.jobs, say=say, submit=submit, stop=stop)
    clone = of_request(root, request)
    clone.make(say)
    summary = reproduce(clone.folder, only=request.only, jobs=request.jobs, say=say, submit=submit, stop=stop)
    share_inboxes(clone.folder, root)  # what was fetched on the way is the workspace's too
    if summary.status == "FINISHED":
        clone.save()
        clone.remove()
        say(f"experiment {clone.name}: see `dvc exp show`; `dvc exp apply {clone.name}` brings it into the workspace")
    return summary


def plan(request: Request) -> list[str]:
    """What would run and why, without running it."""
    root = environment.root()
    if not request.experiment:
        return plan_lines(root, request.only)
    clone = of_request(root, request, suffix="-dry")
    try:
        clone.make(lambda line: None)
        return plan_lines(clone.folder, request.only)
    finally:
        clone.remove()


def of_request(root: Path, request: Request, suffix: str = "") -> Clone:
    """The clone for a request, named after all that it starts from; it begins with the workspace's `dvc.lock`."""
    params = changed_params(root, request)
    head, changes = git(root, "rev-parse", "HEAD").strip(), changed_files(root)
    identity = json.dumps([head, changes, params]).encode()
    name = f"{request.preset or 'set'}-{hashlib.sha256(identity).hexdigest()[:10]}"
    folder = environment.state() / "experiments" / f"{name}{suffix}"
    return Clone(root, folder, head, changes, params, lock=root / "dvc.lock")


def changed_params(root: Path, request: Request) -> str:
    """The text of params.yaml that a request asks for.

    Raises:
        InputError: no such preset; an unknown key; a value that does not fit.
    """
    from components.params import parse_params

    source = root / "presets" / f"{request.preset}.yaml" if request.preset else root / "params.yaml"
    if not source.is_file() or (request.preset and Path(request.preset).name != request.preset):
        known = ", ".join(sorted(path.stem for path in (root / "presets").glob("*.yaml")))
        raise InputError(f"{source}: no such preset; presets: {known}")
    params = read_commented(source)
    if not isinstance(params, dict):
        raise InputError(f"{source}: found {type(params).__name__}, expected a mapping of sections")
    for key, value in request.values.items():
        put(params, key, value)
    text, where = dump_yaml(params), f"{source.name} with {', '.join(request.values) or 'nothing set'}"
    parse_params(parse_yaml(text, where), where)
    return text


def put(params: dict[str, Any], key: str, value: object) -> None:
    """Set `a.b.c`; an unknown key is put too, and refused by the check that follows."""
    *sections, last = key.split(".")
    for name in sections:
        inner = params.get(name)
        if not isinstance(inner, dict):
            inner = params[name] = {}
        params = inner
    params[last] = value
