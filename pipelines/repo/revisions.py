"""Revisions of the checkout: what a name means to git or DVC, and the files of a revision in a folder of their own."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from components.common.errors import InputError
from pipelines.system import environment


def repository() -> Path:
    """The checkout that the command is about, which DVC and clones of it need to be a git repository of its own.

    Raises:
        InputError: no checkout, no repository, no commit in it, or git is not to be had.
    """
    root = environment.checkout()
    if not (root / ".git").exists():
        raise InputError(
            f"{root}: no git repository (a zip of the project is none); reproduce, sweep, verify, push, pull, diff, "
            "log, ci and DVC itself need one: say `git init && git add --all`, then `git commit -m unpacked` there; "
            "predict, score, label, prepare, import, status and up work without"
        )
    git(root, "rev-parse", "--git-dir")
    try:
        git(root, "rev-parse", "--verify", "HEAD")
    except InputError as error:
        raise InputError(f"{root}: no commit yet; say `git add --all`, then `git commit -m unpacked` there") from error
    return root


def git(folder: Path, *words: str, given: str | None = None) -> str:
    return called(folder, ["git", *words], given, f"git {words[0]}")


def dvc(folder: Path, *words: str) -> str:
    verb = next(word for word in words if not word.startswith("-"))
    return called(folder, [sys.executable, "-m", "dvc", *words], None, f"dvc {verb}")


def called(folder: Path, command: Sequence[str], given: str | None, name: str) -> str:
    """Output of a command that has to succeed; bytes that are no UTF-8 and line ends go through it unchanged.

    `name` is what a message calls it.

    Raises:
        InputError: it did not.
    """
    env = os.environ | {"GIT_TERMINAL_PROMPT": "0"}  # nobody is there to answer
    words = None if given is None else given.encode("utf-8", "surrogateescape")
    try:
        done = subprocess.run(command, cwd=folder, env=env, input=words, capture_output=True, check=False)
    except FileNotFoundError as error:
        raise InputError(f"{command[0]}: no such program on the PATH; install it") from error
    if done.returncode != 0:
        message = (done.stderr or done.stdout).decode("utf-8", "replace").strip()
        raise InputError(f"{name} in {folder} failed: {message}")
    return done.stdout.decode("utf-8", "surrogateescape")


def experiment_commit(root: Path, name: str) -> str | None:
    """The commit of the newest DVC experiment of a name, None if there is none."""
    refs = git(root, "for-each-ref", "--sort=-committerdate", "--format=%(objectname) %(refname)", "refs/exps/")
    for line in refs.splitlines():
        commit, _, reference = line.partition(" ")
        if reference.rpartition("/")[2] == name and not reference.startswith("refs/exps/exec/"):
            return commit
    return None


def commit_of(root: Path, name: str) -> str:
    """The full hash of the commit that a branch, tag, hash or DVC experiment names.

    Raises:
        InputError: there is no such revision here.
    """
    try:
        return git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}").strip()
    except InputError as error:
        if found := experiment_commit(root, name):
            return found
        raise InputError(
            f"{name!r}: no such revision in {root}; expected a branch, tag, commit or DVC experiment (`git log`, "
            "`dvc exp list`; in CI check out the whole history, `fetch-depth: 0`)"
        ) from error


def short(name: str) -> str:
    """A revision's name to show: a whole hash by its first ten digits."""
    return name[:10] if re.fullmatch(r"[0-9a-f]{40}", name) else name


def clone_at(root: Path, folder: Path, commit: str) -> None:
    """Clone a repository without copying its objects, and check a commit out."""
    git(root, "clone", "--quiet", "--shared", "--no-checkout", str(root), str(folder))
    git(folder, "checkout", "--quiet", "--detach", commit)


@contextmanager
def checked_out(root: Path, commit: str) -> Iterator[Path]:
    """A folder with the files of a commit, a repository of its own, until the end of the block."""
    with tempfile.TemporaryDirectory(prefix="dbdflow-") as temporary:
        folder = Path(temporary) / "checkout"
        clone_at(root, folder, commit)
        yield folder


def changed_lines(root: Path, base: str, head: str) -> dict[str, str]:
    """File -> how many of its lines differ between two commits, as `+2 -1`."""
    found = {}
    entries = git(root, "diff", "--numstat", "-z", "--no-renames", base, head)
    for entry in filter(None, entries.split("\0")):
        added, removed, path = entry.split("\t", 2)
        found[path] = "binary" if added == "-" else f"+{added} -{removed}"
    return found


def git_commit() -> tuple[str | None, bool]:
    """The commit that is checked out and whether tracked files differ from it (dvc.lock apart: a run changes it)."""
    try:
        commit = git(Path(), "rev-parse", "HEAD").strip()
        return commit, bool(
            git(Path(), "--no-optional-locks", "status", "--porcelain", "-uno", "--", ".", ":!dvc.lock")
        )
    except InputError:
        return None, False
