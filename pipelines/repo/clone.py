"""A second checkout of the repository that shares DVC's cache, for work that leaves the workspace alone."""

import shutil
from collections.abc import Callable, Container
from dataclasses import dataclass
from pathlib import Path

from components.common.storage import link_or_copy
from components.common.yaml_files import dump_yaml, read_yaml
from pipelines.repo import costs, dag
from pipelines.repo.lock_file import LOCK, recorded_stages
from pipelines.repo.revisions import clone_at, dvc, git

INBOXES = ("data/archives", "data/external")
"""What a person brings in: ignored by git, so that a clone lacks it."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Clone:
    """Another checkout of the repository, under `.dbdflow`.

    Attributes:
        root: the user's checkout.
        folder: the clone; the name of the experiment that it becomes is that of the folder.
        head: the commit that is checked out.
        changes: patch of tracked files over that commit.
        params: text of `params.yaml`, None for the commit's own.
        lock: the `dvc.lock` that it begins with, None for the commit's own.
        everything: whether it begins with all outputs that the cache has.
    """

    root: Path
    folder: Path
    head: str
    changes: str = ""
    params: str | None = None
    lock: Path | None = None
    everything: bool = True

    @property
    def name(self) -> str:
        return self.folder.name

    def make(self, say: Say) -> None:
        """Clone the repository, unless an interrupted run of the same request left its clone."""
        if self.folder.exists():
            say(f"{self.folder}: goes on where it was")
            return
        say(f"{self.folder}: an experiment, the workspace stays as it is")
        new = self.folder.with_name(f".{self.folder.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        new.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._fill(new)
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)
            raise
        new.rename(self.folder)

    def _fill(self, new: Path) -> None:
        clone_at(self.root, new, self.head)
        if self.changes:
            git(new, "apply", "--whitespace=nowarn", "-", given=self.changes)
        if self.params is not None:
            (new / "params.yaml").write_text(self.params, encoding="utf-8")
        self._share(new)

    def _share(self, new: Path) -> None:
        """Give the clone DVC's cache and what git ignores in the inboxes; check out what the cache has."""
        from dvc.repo import Repo

        with Repo(str(self.root)) as repo, Repo(str(new)) as other, other.config.edit("local") as local:
            local.update(repo.config.read("local"))
            local["cache"]["dir"] = str(cache_of(self.root))
            for name, each in repo.config["remote"].items():  # what DVC pulls for a stage is held to its hash, too
                local["remote"][name] = {**local["remote"].get(name, {}), "url": each["url"], "verify": True}
        share_inboxes(self.root, new)
        if self.lock is not None and recorded_stages(self.lock.parent):
            shutil.copy2(self.lock, new / "dvc.lock")
        if self.everything and (new / "dvc.lock").exists():
            dvc(new, "checkout", "--quiet", "--force", "--allow-missing")

    def save(self) -> None:
        """Make a DVC experiment of the clone, known to the repository.

        Results that the clone began with, and that its params or code no longer give, are no part of it.
        """
        made = self._drop_stages(dag.read(self.folder, data=False).to_do())  # DVC refuses outputs that are not there
        kept = ["--include-untracked", costs.FILE] if (self.folder / costs.FILE).exists() else []
        dvc(self.folder, "exp", "save", "--force", "--name", self.name, *kept, *made)
        git(self.root, "fetch", "--quiet", "--force", str(self.folder), "refs/exps/*:refs/exps/*")

    def _drop_stages(self, late: Container[str]) -> list[str]:
        """Take stages out of dvc.lock; those that stay in it."""
        stages = recorded_stages(self.folder)
        kept = {stage: entry for stage, entry in stages.items() if stage not in late}
        if kept != stages:
            path = self.folder / LOCK
            path.write_text(dump_yaml(read_yaml(path) | {"stages": kept}), encoding="utf-8")
        return list(kept)

    def remove(self) -> None:
        """Let go of it, if it is there."""
        shutil.rmtree(self.folder, ignore_errors=True)


def changed_files(root: Path) -> str:
    """The workspace's changes to tracked files, `params.yaml` apart, as a patch."""
    return git(root, "diff", "--binary", "HEAD", "--", ".", ":!params.yaml")


def share_inboxes(source: Path, target: Path) -> None:
    """Give another checkout what lies in the inboxes and git ignores, as far as it lacks it."""
    for file in ignored(source):
        if not (target / file).exists():
            (target / file).parent.mkdir(parents=True, exist_ok=True)
            link_or_copy(source / file, target / file)


def ignored(root: Path) -> list[str]:
    """Files of the inboxes that git ignores, relative to the checkout."""
    names = git(root, "ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--", *INBOXES)
    return [name for name in names.split("\0") if name]


def cache_of(root: Path) -> Path:
    from dvc.repo import Repo

    with Repo(str(root)) as repo:
        return Path(repo.cache.local.path).parents[1]  # DVC 3 keeps files under `files/md5`
