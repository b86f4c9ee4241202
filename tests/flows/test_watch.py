"""A branch is followed: a commit that matters, one that does not, one that is broken; real repositories, no server."""

import os
import shutil
from pathlib import Path

import pytest

from components.common.errors import InputError
from pipelines.running.watching import Branch, Follower, Seen
from pipelines.system.stopping import Stop
from tests.flows.conftest import Checkout

pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")  # DVC's, of its own library

ENVIRONMENT = {"RAN": os.devnull}
STAGES = {
    "first": {"cmd": "echo first >> $RAN; cp data/in.txt data/first", "deps": ["data/in.txt"], "outs": ["data/first"]},
    "second": {
        "cmd": "echo second >> $RAN; grep epochs params.yaml > data/second",
        "deps": ["data/first"],
        "params": ["toy.epochs"],
        "outs": ["data/second"],
    },
}


class Followed:
    """A repository that others push to, and a checkout that follows its branch `main`."""

    def __init__(self, checkout: Checkout, ran: Path) -> None:
        self.checkout, self.ran = checkout, ran
        self.writer = Checkout(checkout.root.with_name("writer"))
        self.git(checkout, "branch", "--move", "main")
        self.git(checkout, "clone", "--quiet", str(checkout.root), str(self.writer.root))
        self.git(self.writer, "config", "user.email", "toy@example.invalid")
        self.git(self.writer, "config", "user.name", "toy")
        self.git(checkout, "remote", "add", "origin", str(self.writer.root))
        self.branch = Branch("origin", "main")

    def git(self, checkout: Checkout, *words: str) -> str:
        done = checkout.run("git", *words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def commit(self, path: str, text: str) -> str:
        self.writer.write(path, text)
        self.git(self.writer, "add", path)
        self.git(self.writer, "commit", "--quiet", "--message", f"changes {path}")
        return self.git(self.writer, "rev-parse", "HEAD").strip()

    def look(self) -> list[Seen]:
        return [seen for seen, _ in Follower(self.branch, say=lambda line: None).follow(Stop())]

    def stages(self) -> list[str]:
        """Those that ran since this was asked last."""
        found = self.ran.read_text().split() if self.ran.exists() else []
        self.ran.unlink(missing_ok=True)
        return sorted(found)


@pytest.fixture
def followed(checkout: Checkout, template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Followed:
    """The checkout is reproduced; its `dvc.lock` is not committed."""
    monkeypatch.setenv("RAN", str(tmp_path / "ran"))
    found = Checkout(tmp_path / "followed")
    shutil.copytree(template, found.root)
    monkeypatch.chdir(found.root)
    return Followed(found, tmp_path / "ran")


def test_a_commit_that_matters_is_reproduced_and_one_that_does_not_is_not(followed: Followed) -> None:
    readme = followed.commit("README.md", "hello")
    (seen,) = followed.look()
    assert (seen.commit, seen.status, seen.experiment) == (readme, "UNCHANGED", None)
    assert followed.look() == [], "the branch is where it was"
    assert followed.stages() == []

    params = (followed.writer.root / "params.yaml").read_text().replace("epochs: 3", "epochs: 4")
    changed = followed.commit("params.yaml", params)
    (seen,) = followed.look()
    assert (seen.commit, seen.status) == (changed, "FINISHED")
    assert seen.message.startswith("2 stages, 1 out of date: 1 ran, in ")
    assert followed.stages() == ["second"]
    assert followed.branch.last() == seen
    listed = followed.checkout.run("dvc", "exp", "list", "--name-only", "--all-commits").stdout.split()
    assert listed == [seen.experiment]
    assert followed.git(followed.checkout, "status", "--porcelain", "--untracked-files=no") == ""
    assert list((followed.checkout.root / ".dbdflow/experiments").iterdir()) == []


def test_a_commit_that_cannot_be_reproduced_is_told_once(followed: Followed) -> None:
    followed.commit("dvc.yaml", "stages: [")
    (seen,) = followed.look()
    assert (seen.status, " failed: " in seen.message) == ("FAILED", True)
    assert followed.look() == []
    assert list((followed.checkout.root / ".dbdflow/experiments").iterdir()) == []
    with pytest.raises(InputError, match="couldn't find remote ref refs/heads/none"):
        next(Follower(Branch("origin", "none")).follow(Stop()))
