"""A branch that is followed: each of its commits that reruns a stage is reproduced, in a clone.

What was seen lies in `.dbdflow/watch/<branch>`: `history.jsonl`, a line a commit, and `dvc.lock` as the last
reproduction left it, so that the next commit reruns what changed and no more. DVC alone says what that is.
"""

import hashlib
import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from components.common.errors import InputError
from pipelines.repo.clone import Clone, Say, share_inboxes
from pipelines.repo.recovery import copy_whole
from pipelines.repo.revisions import git
from pipelines.running.reproduction import Summary, look, reproduce
from pipelines.running.walk import Submit, plainly
from pipelines.system import environment, locks
from pipelines.system.stopping import Stop


@dataclass(frozen=True)
class Seen:
    """A commit that was looked at.

    Attributes:
        commit: 40 hex digits.
        subject: first line of its message.
        status: UNCHANGED (nothing to rerun), FINISHED, FAILED or KILLED (stopped: it goes on when looked at again).
        message: how it ended.
        experiment: the DVC experiment that holds the result, if there is one.
        time: local, ISO 8601.
    """

    commit: str
    subject: str
    status: str
    message: str
    experiment: str | None
    time: str


@dataclass(frozen=True)
class Branch:
    """A branch of a remote (a name that git knows, an address, or `.` for this repository)."""

    remote: str
    branch: str

    @cached_property
    def key(self) -> str:
        digest = hashlib.sha256(json.dumps([self.remote, self.branch]).encode()).hexdigest()[:6]
        return f"{re.sub(r'[^A-Za-z0-9]+', '-', self.branch).strip('-')}-{digest}"

    @property
    def folder(self) -> Path:
        return environment.state() / "watch" / self.key

    @property
    def lock(self) -> Path:
        return self.folder / "dvc.lock"

    def __str__(self) -> str:
        return f"{self.remote}/{self.branch}"

    def fetch(self, root: Path) -> str:
        """The commit that the branch is at now; no branch of the user's moves.

        Raises:
            InputError: no such remote or branch, or it cannot be reached.
        """
        kept = f"refs/dbdflow/watch/{self.key}"
        git(root, "fetch", "--quiet", "--no-tags", "--force", "--", self.remote, f"refs/heads/{self.branch}:{kept}")
        return git(root, "rev-parse", kept).strip()

    def last(self) -> Seen | None:
        try:
            lines = (self.folder / "history.jsonl").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return None
        for line in reversed(lines):
            try:
                return Seen(**json.loads(line))
            except (ValueError, TypeError):
                continue  # half a line of a process that was killed
        return None

    def keep(self, seen: Seen) -> None:
        with (self.folder / "history.jsonl").open("a", encoding="utf-8") as history:
            history.write(json.dumps(asdict(seen)) + "\n")


@dataclass(frozen=True)
class Follower:
    """How commits are reproduced: the stages that are wanted, at most `jobs` at once."""

    branch: Branch
    only: tuple[str, ...] = ()
    jobs: int | None = None
    submit: Submit = plainly
    say: Say = print

    def follow(self, stop: Stop, *, again: bool = False) -> Iterator[tuple[Seen, Summary | None]]:
        """Reproduce where the branch is, until it is where it was; `again`: also what failed or is done already.

        Raises:
            InputError: the branch cannot be fetched, or is followed already.
        """
        root = environment.root()
        busy = f"{self.branch}: another process follows it already; it takes what is new when it is ready"
        with locks.held(self.branch.folder / "watch.lock", busy):
            while not stop.is_set():
                commit, last = self.branch.fetch(root), self.branch.last()
                if last is not None and last.commit == commit and last.status != "KILLED" and not again:
                    return
                again = False
                seen, summary = self._look(root, commit, last, stop)
                self.branch.keep(seen)
                yield seen, summary

    def _look(self, root: Path, commit: str, last: Seen | None, stop: Stop) -> tuple[Seen, Summary | None]:
        subject = git(root, "log", "-1", "--format=%s", commit).strip()
        self.say(f"{self.branch}: {commit[:10]} {subject}")
        clone = Clone(
            root,
            environment.state() / "experiments" / f"watch-{self.branch.key}-{commit[:10]}",
            commit,
            lock=self._lock(root, commit, last),
        )
        for other in clone.folder.parent.glob(f"watch-{self.branch.key}-*"):
            if other != clone.folder:  # of a commit that was interrupted before the branch moved on
                shutil.rmtree(other, ignore_errors=True)
        summary, experiment = None, None
        try:
            clone.make(self.say)
            if not look(clone.folder, self.only).to_do():
                status, message = "UNCHANGED", "nothing that a stage depends on has changed"
            else:
                summary = self._reproduce(clone, stop)
                status, message = summary.status, "\n".join(summary.lines())
        except InputError as error:
            status, message = "KILLED" if stop.is_set() else "FAILED", str(error)
        if status in ("UNCHANGED", "FINISHED"):
            copy_whole(clone.folder / "dvc.lock", self.branch.lock)
        if status == "FINISHED":
            clone.save()
            experiment = clone.name
        if status != "KILLED":
            clone.remove()
        return Seen(commit, subject, status, message, experiment, time.strftime("%Y-%m-%dT%H:%M:%S")), summary

    def _reproduce(self, clone: Clone, stop: Stop) -> Summary:
        summary = reproduce(clone.folder, only=self.only, jobs=self.jobs, say=self.say, submit=self.submit, stop=stop)
        share_inboxes(clone.folder, clone.root)
        return summary

    def _lock(self, root: Path, commit: str, last: Seen | None) -> Path | None:
        """The `dvc.lock` to begin with: the last reproduction's, unless the branch brings a new one of its own."""
        if last is not None and self.branch.lock.exists():
            diff = [
                "git",
                "diff",
                "--quiet",
                last.commit,
                commit,
                "--",
                "dvc.lock",
            ]  # a lost commit: no
            if subprocess.run(diff, cwd=root, capture_output=True, check=False).returncode == 0:
                return self.branch.lock
        return None if git(root, "ls-tree", commit, "--", "dvc.lock") else root / "dvc.lock"
