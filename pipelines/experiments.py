"""What was asked to be reproduced: the workspace as it is, or an experiment that leaves it alone.

An experiment (another preset, other values) runs in a clone of the repository under `.dbdflow/experiments`, with the
workspace's changes to tracked files, its inboxes and DVC's cache, and ends as a DVC experiment (`dvc exp show`, `dvc
exp apply`). DVC's own `exp run --temp` would run it one stage at a time. Interrupted, the clone stays, and the same
request goes on in it.
"""

import hashlib
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.errors import InputError
from pipelines import environment
from pipelines.journal import link_or_copy
from pipelines.reproduction import Around, Summary, plainly, reproduce, told_plan
from pipelines.stopping import Stop

INBOXES = ("data/archives", "data/external")
"""What a person brings in: ignored by git, so that a clone lacks it."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Request:
    """What to reproduce; see `pipelines.reproduce.reproduce`."""

    preset: str | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    only: tuple[str, ...] = ()
    jobs: int | None = None

    @property
    def experiment(self) -> bool:
        return bool(self.preset or self.values)


def run(request: Request, *, around: Around = plainly, stop: Stop | None = None, say: Say = print) -> Summary:
    """Reproduce what was asked for.

    Raises:
        InputError: a preset, key or stage that does not exist, a value out of range, no git repository.
    """
    root = environment.root()
    if not request.experiment:
        return reproduce(root, only=request.only, jobs=request.jobs, say=say, around=around, stop=stop)
    clone = Clone(root, request)
    clone.make(say)
    summary = reproduce(clone.folder, only=request.only, jobs=request.jobs, say=say, around=around, stop=stop)
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
        return told_plan(root, request.only)
    clone = Clone(root, request, suffix="-dry")
    try:
        clone.make(lambda line: None)
        return told_plan(clone.folder, request.only)
    finally:
        shutil.rmtree(clone.folder, ignore_errors=True)


class Clone:
    """The checkout of one experiment, named after all that it starts from."""

    def __init__(self, root: Path, request: Request, suffix: str = "") -> None:
        self.root = root
        self.params = changed_params(root, request)
        self.head = git(root, "rev-parse", "HEAD").strip()
        self.changes = git(root, "diff", "--binary", "HEAD", "--", ".", ":!params.yaml")
        told = json.dumps([self.head, self.changes, self.params]).encode()
        self.name = f"{request.preset or 'set'}-{hashlib.sha256(told).hexdigest()[:10]}"
        self.folder = environment.state() / "experiments" / f"{self.name}{suffix}"

    def make(self, say: Say) -> None:
        """Clone the repository, unless an interrupted run of the same request left its clone."""
        if self.folder.exists():
            say(f"{self.folder}: goes on where it was")
            return
        say(f"{self.folder}: an experiment, the workspace stays as it is")
        new = self.folder.with_name(f".{self.folder.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        new.parent.mkdir(parents=True, exist_ok=True)
        git(self.root, "clone", "--quiet", "--shared", "--no-checkout", str(self.root), str(new))
        git(new, "checkout", "--quiet", "--detach", self.head)
        if self.changes:
            git(new, "apply", "--whitespace=nowarn", "-", given=self.changes)
        (new / "params.yaml").write_text(self.params, encoding="utf-8")
        self._share(new)
        new.rename(self.folder)

    def _share(self, new: Path) -> None:
        """Give the clone DVC's cache and what git ignores in the inboxes; check out what the cache has."""
        from configobj import ConfigObj  # DVC's own format; `dvc config` takes a second

        local = ConfigObj(str(self.root / ".dvc" / "config.local"))
        local["cache"] = {**local.get("cache", {}), "dir": str(cache_of(self.root))}
        local.filename = str(new / ".dvc" / "config.local")
        local.write()
        share_inboxes(self.root, new)
        if (self.root / "dvc.lock").exists():  # also where git does not know it yet
            shutil.copy2(self.root / "dvc.lock", new / "dvc.lock")
            dvc(new, "checkout", "--quiet", "--force", "--allow-missing")

    def save(self) -> None:
        """Make a DVC experiment of the clone, known to the repository."""
        dvc(self.folder, "exp", "save", "--force", "--name", self.name)
        git(self.root, "fetch", "--quiet", "--force", str(self.folder), "refs/exps/*:refs/exps/*")

    def remove(self) -> None:
        shutil.rmtree(self.folder)


def changed_params(root: Path, request: Request) -> str:
    """The text of params.yaml that a request asks for.

    Raises:
        InputError: no such preset; an unknown key; a value that does not fit.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    from components.params import parse_params

    source = root / "presets" / f"{request.preset}.yaml" if request.preset else root / "params.yaml"
    if not source.is_file():
        known = ", ".join(sorted(path.stem for path in (root / "presets").glob("*.yaml")))
        raise InputError(f"{source}: no such preset; presets: {known}")
    yaml = YAML()
    try:
        params = yaml.load(source.read_text(encoding="utf-8"))
    except YAMLError as error:
        raise InputError(f"{source}: not valid YAML: {error}") from error
    for key, value in request.values.items():
        put(params, key, value)
    parse_params(json.loads(json.dumps(params)), f"{source.name} with {', '.join(request.values) or 'nothing set'}")
    text = io.StringIO()
    yaml.dump(params, text)
    return text.getvalue()


def put(params: dict[str, Any], key: str, value: object) -> None:
    """Set `a.b.c`; an unknown key is put too, and refused by the check that follows."""
    *sections, last = key.split(".")
    for name in sections:
        inner = params.get(name)
        if not isinstance(inner, dict):
            inner = params[name] = {}
        params = inner
    params[last] = value


def share_inboxes(source: Path, target: Path) -> None:
    """Give another checkout what lies in the inboxes and git ignores, as far as it lacks it."""
    for file in ignored(source):
        if not (target / file).exists():
            (target / file).parent.mkdir(parents=True, exist_ok=True)
            link_or_copy(source / file, target / file)


def ignored(root: Path) -> list[str]:
    """Files of the inboxes that git ignores, relative to the checkout."""
    told = git(root, "ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--", *INBOXES)
    return [name for name in told.split("\0") if name]


def cache_of(root: Path) -> Path:
    from dvc.repo import Repo

    with Repo(str(root)) as repo:
        return Path(repo.cache.local.path).parents[1]  # DVC 3 keeps files under `files/md5`


def git(folder: Path, *words: str, given: str | None = None) -> str:
    return called(folder, ["git", *words], given)


def dvc(folder: Path, *words: str) -> str:
    return called(folder, [sys.executable, "-m", "dvc", *words], None)


def called(folder: Path, command: Sequence[str], given: str | None) -> str:
    """Output of a command that has to succeed.

    Raises:
        InputError: it did not.
    """
    done = subprocess.run(command, cwd=folder, input=given, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise InputError(f"{' '.join(command[:4])} .. in {folder} failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout
