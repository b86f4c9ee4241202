"""Stages on machines that do not see the checkout: with nothing between them but Dask and a DVC remote.

Who reproduces leaves the commit and the changes to it with the scheduler. A worker that does not see the checkout makes
a clone of its own of them, pulls what a stage needs, runs it, pushes what came out, and leaves its entry of `dvc.lock`
with the scheduler, from where everybody takes it over.
"""

import io
import json
import socket
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from components.common.errors import InputError
from components.common.storage import atomic_dir, write_whole
from pipelines.repo.fingerprint import digest
from pipelines.repo.lock_file import LOCK, recorded_stages
from pipelines.repo.remote import has_remote
from pipelines.repo.revisions import dvc, git
from pipelines.running import entries
from pipelines.running.done import Done
from pipelines.running.launch import StageRun
from pipelines.running.walk import Tell
from pipelines.system import environment
from pipelines.system.stopping import Stop

if TYPE_CHECKING:
    from distributed import Client

Papers = Mapping[str, Any]
"""A checkout as it is left with the scheduler: a commit, its objects, changes, entries, DVC's local settings."""


def papers_of(root: Path) -> Papers:
    """What is left of a checkout."""
    from dvc.repo import Repo

    packed = io.BytesIO()
    with tempfile.TemporaryDirectory(prefix="dbdflow-") as folder:
        git(root, "clone", "--quiet", "--bare", "--depth", "1", root.resolve().as_uri(), f"{folder}/git")
        with tarfile.open(fileobj=packed, mode="w") as archive:
            archive.add(f"{folder}/git", "git")
    with Repo(str(root)) as repo:
        settings = json.loads(json.dumps(repo.config.read("local")))
    return {
        "commit": git(root, "rev-parse", "HEAD").strip(),
        "git": packed.getvalue(),
        "changes": git(root, "diff", "--binary", "HEAD", "--", ".", f":!{LOCK}"),
        "entries": recorded_stages(root),
        "settings": settings,
    }


def leave(client: "Client", key: str, root: Path) -> None:
    """Leave a checkout with the scheduler, where it has a DVC remote to reach it by."""
    if has_remote(root):
        client.set_metadata([key, "papers"], papers_of(root))


def made_apart(client: "Client", key: str) -> dict[str, Any]:
    """Stage -> its entry of `dvc.lock`, of those that were made apart."""
    found: dict[str, Any] = client.get_metadata([key, "entries"], default={})
    return found


@dataclass(frozen=True)
class Anywhere:
    """Runs a stage in its checkout where a worker sees that, else in a clone of the worker's own.

    Attributes:
        stage: in its checkout.
        needed: the stages whose outputs it uses.
        seen: a file that whoever shares the checkout's disk sees; its name is that of what is left with the scheduler.
    """

    stage: StageRun
    needed: frozenset[str]
    seen: Path

    def __call__(self, given: Mapping[str, str], tell: Tell, stop: Stop) -> Done:
        from distributed import get_client

        try:
            if not self.seen.exists():
                return self._apart(get_client(), given, tell, stop)
            entries.fetch(self.stage.root, made_apart(get_client(), self.seen.name))
        except (InputError, OSError) as error:  # OSError: no room for a clone
            said = " ".join(str(error).split())
            return Done(self.stage.name, "failed", cause=f"{socket.gethostname()}: {said}")
        return self.stage(given, tell, stop)

    def _apart(self, client: "Client", given: Mapping[str, str], tell: Tell, stop: Stop) -> Done:
        papers = client.get_metadata([self.seen.name, "papers"], default=None)
        if papers is None:
            raise InputError(
                f"does not see {self.stage.root}, and that has no DVC remote to share outputs by; name one "
                "(docs/sharing.md), or put the checkout on a disk that both see"
            )
        folder = clone_of(papers, self.seen.name)
        tell(f"runs on {socket.gethostname()} in {folder}")
        entries.fetch(folder, made_apart(client, self.seen.name), self.needed)
        own = {**self.stage.environment, "DVC_ROOT": str(folder)}
        done = replace(self.stage, root=folder, environment=own)(given, tell, stop)
        if done.well:
            dvc(folder, "--wait-for-lock", "push", "--quiet", self.stage.stage)
            entry = entries.entry_of(folder, self.stage.stage)
            client.set_metadata([self.seen.name, "entries", self.stage.stage], entry)
        return done


def clone_of(papers: Papers, key: str) -> Path:
    """This machine's clone of a checkout that was left with the scheduler; it stays, with its cache and checkpoints.

    What `dvc.lock` has there is taken over once for each `key`, before anything runs for it.
    """
    folder = environment.state() / "apart" / digest([papers["commit"], papers["changes"]])[:12]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if not folder.exists():
            with atomic_dir(folder) as new:
                unpack(papers, new)
        asked = folder / ".dvc" / "tmp" / "asked"
        if not asked.exists() or asked.read_text(encoding="utf-8") != key:
            entries.add_entries(folder, papers["entries"])
            write_whole(asked, key)
    return folder


def unpack(papers: Papers, new: Path) -> None:
    """Fill an empty folder with a checkout that was left with the scheduler."""
    from dvc.repo import Repo

    with tempfile.TemporaryDirectory(prefix="dbdflow-") as folder:
        with tarfile.open(fileobj=io.BytesIO(papers["git"])) as archive:
            archive.extractall(folder, filter="data")
        git(new, "clone", "--quiet", f"{folder}/git", ".")
    if papers["changes"]:
        git(new, "apply", "--whitespace=nowarn", "-", given=papers["changes"])
    with Repo(str(new)) as repo, repo.config.edit("local") as local:
        local.update(papers["settings"])
        local["cache"]["dir"] = str(environment.state() / "apart" / "cache")
