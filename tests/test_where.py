"""Where a command is called: in a sub-folder, outside any checkout, without git, with a broken dvc.lock."""

import os
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from components.common.errors import InputError
from dbdflow.detector import WEIGHTS
from pipelines.cli import main
from pipelines.repo import lock_file, recovery
from pipelines.repo.lock_file import recorded_stages
from pipelines.repo.outputs import Output, fits, recorded
from pipelines.repo.revisions import repository
from pipelines.running.detectors import unknown, weights_of
from pipelines.system import environment

ANYWHERE = {"export", "label", "look", "predict", "prepare", "score", "worker"}
CHECKOUT = {
    "import": ["import", "ctcug", "photos"],
    "status": ["status"],
    "study": ["study"],
    "up": ["up", "--check"],
}
"""Commands that need a checkout, and no git."""
REPOSITORY = {
    "ci plan": ["ci", "plan"],
    "ci run": ["ci", "run"],
    "ci comment": ["ci", "comment", "--out", "comment.md"],
    "diff": ["diff", "HEAD"],
    "log": ["log"],
    "pull": ["pull"],
    "push": ["push"],
    "reproduce": ["reproduce"],
    "reproduce --dry": ["reproduce", "--dry"],
    "sweep": ["sweep", "seed=0,1"],
    "verify": ["verify"],
}
"""Commands that need git."""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, in no checkout."""
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def unpacked(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout, as from a zip: no `.git`. The working folder is one in it."""
    root = here / "project"
    for folder in (".dvc", "docs/notes"):
        (root / folder).mkdir(parents=True)
    monkeypatch.chdir(root / "docs")
    return root


def call(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def says(result: Result) -> str:
    """The one line of a call that failed for where it was called."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr.removeprefix("error: ").strip()


def test_every_command_is_one_of_three_kinds() -> None:
    named = {words[0] for words in (*CHECKOUT.values(), *REPOSITORY.values())} | ANYWHERE
    assert named == set(main.list_commands(click.Context(main)))


@pytest.mark.parametrize("command", [*CHECKOUT, *REPOSITORY])
def test_outside_a_checkout_it_is_said(here: Path, command: str) -> None:
    expected = f"{here}: neither a checkout of the project nor in one (no folder .dvc here or above); "
    assert says(call(*(CHECKOUT | REPOSITORY)[command])).startswith(expected)
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("command", REPOSITORY)
def test_what_needs_git_says_how_to_get_it(unpacked: Path, command: str) -> None:
    message = says(call(*REPOSITORY[command]))
    assert message.startswith(f"{unpacked}: no git repository (a zip of the project is none); ")
    assert "`git init && git add --all`, then `git commit -m unpacked`" in message
    assert sorted(path.name for path in unpacked.iterdir()) == [".dvc", "docs"]


@pytest.mark.parametrize(
    ("command", "code", "told"),
    [
        ("import", 2, "photos: no such file or folder"),
        ("status", 2, "../params.yaml: no such file"),
        ("study", 2, "presets/study.yaml: no such file"),
        ("up", 1, "nothing runs here"),
    ],
)
def test_what_needs_no_git_goes_on_without(unpacked: Path, command: str, code: int, told: str) -> None:
    result = call(*CHECKOUT[command])
    assert (result.exit_code, told in result.output) == (code, True), result.output


def git(root: Path, *words: str) -> None:
    own = {f"GIT_{who}_{what}": "a@b.invalid" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    subprocess.run(["git", *words], cwd=root, env=os.environ | own, check=True, capture_output=True)


def test_the_two_commands_make_it_a_repository(unpacked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(unpacked.parent, "init")  # of something else
    with pytest.raises(InputError, match="no git repository"):
        repository()
    (unpacked / "params.yaml").write_text("seed: 0")
    git(unpacked, "init")
    with pytest.raises(InputError, match=f"^{unpacked}: no commit yet; say `git add --all`"):
        repository()
    git(unpacked, "add", "--all")
    git(unpacked, "commit", "-m", "unpacked")
    assert repository() == unpacked
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match=r"^git: no such program on the PATH; install it"):
        repository()


@pytest.mark.parametrize("folder", [".", "docs", "docs/notes", ".dvc"])
def test_the_checkout_is_found_upwards(unpacked: Path, monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    (unpacked / "docs/.git").mkdir()  # a repository within it is none of DVC's
    (unpacked / "docs/pyproject.toml").touch()
    monkeypatch.chdir(unpacked / folder)
    assert environment.checkout() == unpacked
    assert environment.state() == unpacked / ".dbdflow"
    assert environment.seen_from_here(Path("data/models")).resolve() == unpacked / "data/models"


def test_paths_of_the_checkout_are_told_from_where_one_is(unpacked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert str(environment.seen_from_here(Path("data/models"))) == "../data/models"
    monkeypatch.chdir(unpacked)
    assert str(environment.seen_from_here(Path("data/models"))) == "data/models"
    monkeypatch.chdir(unpacked.parent)
    assert str(environment.seen_from_here(Path("data/models"))) == "data/models"


def test_a_working_folder_that_was_removed(unpacked: Path) -> None:
    (unpacked / "docs/notes").rmdir()
    (unpacked / "docs").rmdir()
    assert says(call("status")) == "the working folder is not there any more; go to one that is (`cd`)"


def test_runs_are_found_from_a_sub_folder(unpacked: Path) -> None:
    for run in ("dffnet", "pdnet"):
        (unpacked / "data/models" / run).mkdir(parents=True)
        (unpacked / "data/models" / run / "model.safetensors").touch()
    assert weights_of("dffnet") == Path("../data/models/dffnet/model.safetensors")
    assert "runs in data/models: dffnet, pdnet; " in str(unknown("none"))


@pytest.mark.parametrize(
    ("folder", "word", "named"),
    [
        (".", "data/models", ["data/models/a", "data/models/b"]),
        (".", "./data/models/a/", ["data/models/a"]),
        (".", "data/models/a/card.json", []),
        (".", "data/mod", []),
        (".", ".", ["data/models/a", "data/models/b", "data/raw"]),
        (".", "train", ["data/models/a", "data/models/b"]),
        ("data/models", "a", ["data/models/a"]),
        ("data/models", ".", ["data/models/a", "data/models/b"]),
        ("data/models", "data/models/a", []),
        ("data/models", "train@b", ["data/models/b"]),
        ("data/models", "../raw", ["data/raw"]),
        ("data/models/a", ".", ["data/models/a"]),
        ("data/models/a", "..", ["data/models/a", "data/models/b"]),
        ("docs", "../data/models/b", ["data/models/b"]),
    ],
)
def test_outputs_are_named_from_where_one_is(
    unpacked: Path, monkeypatch: pytest.MonkeyPatch, folder: str, word: str, named: list[str]
) -> None:
    outs = [
        Output("train@a", "data/models/a", "0"),
        Output("train@b", "data/models/b", "0"),
        Output("download", "data/raw", "0"),
    ]
    (unpacked / folder).mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(unpacked / folder)
    assert [out.path for out in outs if fits(out, word, unpacked)] == named


def test_predict_and_score_outside_without_git_and_dvc(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights that ship are those of the installed package (tests/test_shipped.py predicts by them)."""
    assert weights_of("small") == WEIGHTS / "small.safetensors"
    for name in ("dvc", "scmrepo", "git", "pygit2", "dulwich", "prefect", "mlflow"):
        monkeypatch.setitem(sys.modules, name, None)  # importing it fails
    monkeypatch.setenv("PATH", "")
    (here / "photos").mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)).save("photos/a.png")
    done = call("predict", "photos", "--model", "lbp")
    told = "1 maps in maps (white = in focus)\nmaps/index.html and maps/photographs.parquet\n"
    assert (done.exit_code, done.stdout) == (0, told), done.output
    assert np.asarray(Image.open("maps/a.png")).shape == (24, 32)
    (here / "labels").mkdir()
    label = np.zeros((24, 32), np.uint8)
    label[:12] = 255
    Image.fromarray(label).save("labels/a.png")
    Image.fromarray(label).save("maps/a.png")
    done = call("score", "--maps", "maps", "--labels", "labels")
    assert (done.exit_code, done.stdout.splitlines()[0]) == (0, "MAE    0.0000"), done.output
    assert says(call("label", "photos", "--out", "proposals")).startswith("photos")
    assert sorted(path.name for path in here.iterdir()) == ["labels", "maps", "photos"]


# ---- dvc.lock

WHOLE = """schema: '2.0'
stages:
  toy@first:
    cmd: python -m pipelines.stages.toy
    deps:
    - path: data/in.txt
      md5: 5d41402abc4b2a76b9719d911017c592
      size: 5
    outs:
    - path: data/out
      md5: 7d793037a0760186574b0282f2f435e7.dir
      size: 9
      nfiles: 1
"""
MERGED = WHOLE.replace("      size: 5\n", "<<<<<<< HEAD\n      size: 5\n=======\n      size: 6\n>>>>>>> other\n")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "empty"),
        ("\n\n", "empty"),
        ("# nothing\n", "empty"),
        ("a: [b", "no whole YAML"),
        (WHOLE[: WHOLE.index("5d41402")] + "[", "no whole YAML"),
        ("schema: '2.0'\nstages:\n", "half a file"),
        ("schema: '2.0'\nsta", "no whole YAML"),
        ("sche", "half a file"),
        ("- a\n- b\n", "half a file"),
        (WHOLE[: WHOLE.index("    cmd")], "half a file"),
        (WHOLE[: WHOLE.index("    - path: data/in")], "half a file"),
        (WHOLE[: WHOLE.index("path: data/in") + 2], "half a file"),
    ],
)
def test_a_broken_lock_says_how_to_get_it_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, found: str
) -> None:
    monkeypatch.setattr(lock_file, "PAUSES", ())
    (tmp_path / "dvc.lock").write_text(text)
    with pytest.raises(InputError) as caught:
        recorded_stages(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}/dvc.lock: {found}, expected what DVC records of every stage; `dbdflow reproduce` puts the last "
        "whole one back, `git checkout dvc.lock` the one that was committed"
    )


def test_an_output_without_its_hash(tmp_path: Path) -> None:
    (tmp_path / "dvc.lock").write_text(WHOLE[: WHOLE.index("      md5: 7d79")])
    with pytest.raises(InputError, match="lock: no hash of data/out, expected what DVC records"):
        recorded(tmp_path)


def test_merge_markers_are_a_persons_to_resolve(tmp_path: Path) -> None:
    (tmp_path / ".dbdflow").mkdir()
    (tmp_path / ".dbdflow/dvc.lock").write_text(WHOLE)
    (tmp_path / "dvc.lock").write_text(MERGED)
    said: list[str] = []
    for read in (recorded_stages, lambda root: recovery.repair(root, said.append)):
        with pytest.raises(InputError) as caught:
            read(tmp_path)
        assert str(caught.value).startswith(f"{tmp_path}/dvc.lock: line 8 is a merge marker (<<<<<<<); take one side")
        assert "`git checkout --ours dvc.lock` or `--theirs`, then `dbdflow reproduce`" in str(caught.value)
    assert (tmp_path / "dvc.lock").read_text() == MERGED
    assert said == []


def test_a_whole_lock_and_none(tmp_path: Path) -> None:
    assert recorded_stages(tmp_path) == {}
    (tmp_path / "dvc.lock").write_text("schema: '2.0'\n")
    assert recorded_stages(tmp_path) == {}
    (tmp_path / "dvc.lock").write_text(WHOLE)
    assert recorded_stages(tmp_path)["toy@first"]["outs"][0]["size"] == 9


def test_a_lock_that_is_being_written_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dvc.lock").write_text(WHOLE[:40])
    monkeypatch.setattr(lock_file.time, "sleep", lambda _: (tmp_path / "dvc.lock").write_text(WHOLE))
    assert list(recorded_stages(tmp_path)) == ["toy@first"]
