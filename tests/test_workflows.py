"""The GitHub workflows: by GitHub's schema, thin, and with no secrets, GPU or write access for code of forks."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from pipelines.cli import main
from pipelines.commands.ci import MARKER

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".github" / "workflows"
WORKFLOWS = {path.stem: YAML(typ="safe", pure=True).load(path.read_text()) for path in sorted(FOLDER.glob("*.yml"))}
SAME_REPOSITORY = "github.event.pull_request.head.repo.full_name == github.repository"


def jobs(name: str) -> list[dict[str, Any]]:
    return list(WORKFLOWS[name]["jobs"].values())


def commands(name: str) -> list[str]:
    return [step["run"] for job in jobs(name) for step in job["steps"] if "run" in step]


def test_they_fit_githubs_schema(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]
    assert set(WORKFLOWS) == {"change", "comment", "paper", "tests"}
    done = subprocess.run([*command, *FOLDER.glob("*.yml")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    (tmp_path / "wrong.yml").write_text((FOLDER / "change.yml").read_text().replace("runs-on", "run-on"))
    assert subprocess.run([*command, tmp_path / "wrong.yml"], capture_output=True, check=False).returncode == 1


@pytest.mark.parametrize("name", ["change", "paper"])
def test_they_call_commands_and_options_that_exist(name: str) -> None:
    called = [words for line in commands(name) if (words := line.partition(" ci ")[2])]
    assert len(called) >= 2
    for words in called:
        command, *options = (word for word in words.partition(" >>")[0].split() if word.isalpha() or word[0] == "-")
        told = CliRunner().invoke(main, ["ci", command, "--help"])
        assert told.exit_code == 0, told.output
        for option in (each for each in options if each.startswith("--")):
            assert re.search(rf"^  {option}\b", told.stdout, re.MULTILINE), f"{command} {option}"


def test_code_of_a_fork_gets_no_secret_no_gpu_and_no_right_to_write() -> None:
    assert all("pull_request_target" not in each["on"] for each in WORKFLOWS.values())
    assert "secrets." not in (FOLDER / "change.yml").read_text()
    assert [job["runs-on"] for job in jobs("change")] == ["ubuntu-latest"] * 2
    for name in ("change", "paper"):
        assert WORKFLOWS[name]["permissions"] == {"contents": "read"}
        assert not any("permissions" in job for job in jobs(name))
    (paper,) = jobs("paper")
    by_hand, _, by_label = paper["if"].partition(" || ")
    assert by_hand == "github.event_name == 'workflow_dispatch'"
    assert by_label.startswith(f"({SAME_REPOSITORY} &&")


def test_the_comment_is_posted_without_code_of_the_pull_request() -> None:
    assert "uses" not in "".join(step for job in jobs("comment") for each in job["steps"] for step in each)
    assert WORKFLOWS["comment"]["permissions"] == {"actions": "read", "pull-requests": "write"}
    assert WORKFLOWS["comment"]["on"]["workflow_run"]["workflows"] == ["change", "paper"]
    (job,) = jobs("comment")
    before, _, after = MARKER.partition("{}")
    assert job["env"]["MARKER"].startswith(before)
    assert job["env"]["MARKER"].endswith(after)


def test_nothing_that_a_pull_request_says_is_put_into_a_script() -> None:
    """`${{ }}` in a script is replaced before the shell reads it: a branch's name could be a command."""
    assert not any("${{" in line for name in WORKFLOWS for line in commands(name))


def test_a_change_of_what_can_move_a_number_starts_it() -> None:
    paths = WORKFLOWS["change"]["on"]["pull_request"]["paths"]
    assert paths == ["params.yaml", "presets/**", "dvc.yaml", "components/**", "requirements.lock"]
