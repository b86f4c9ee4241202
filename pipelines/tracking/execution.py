"""Who runs what: what a stage's run in MLflow is tagged with."""

import shlex
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Execution:
    """One execution of a stage.

    Attributes:
        stage: the function; `name` is what people call it, `command` its words.
        dvc_stage: DVC's name of it, if it has one.
        deps_hash: of what it depends on, 64 hex digits.
        owner: its process, as `processes.Owner` writes it; empty if it is over.
        reproduction: the process that reproduces, or a name: what all of its stages share.
        commit: that it started from, if there is one; `dirty` whether files differed from it.
        params: of the experiment, flat.
        sweep: the point of a sweep that it belongs to (`running.sweep`), if any.
        began: unix milliseconds.
    """

    stage: str
    name: str
    command: str
    dvc_stage: str | None
    deps_hash: str
    owner: str
    reproduction: str
    commit: str | None
    dirty: bool
    params: dict[str, str]
    sweep: dict[str, str] | None
    began: int

    def tags(self) -> dict[str, str]:
        """Of its run."""
        known = {
            "dbdflow.kind": "stage",
            "dbdflow.stage": self.stage,
            "dbdflow.owner": self.owner,
            "dvc.stage": self.dvc_stage,
            "dvc.deps_hash": self.deps_hash,
            **source(self.command),
        }
        return self.git_tags() | {key: value for key, value in known.items() if value}

    def git_tags(self) -> dict[str, str]:
        """The commit, where there is one."""
        if self.commit is None:
            return {}
        return {
            "mlflow.source.git.commit": self.commit,
            "git.commit": self.commit,
            "git.dirty": str(self.dirty),
        }


def command_of(pid: int) -> str:
    """The words of a process, programs without their folders; empty if it is gone."""
    try:
        words = psutil.Process(pid).cmdline()
    except psutil.Error:
        return ""
    return shlex.join([*(Path(word).name for word in words[:2]), *words[2:]])


def source(command: str) -> dict[str, str]:
    return {"mlflow.source.name": command, "mlflow.source.type": "LOCAL"} if command else {}
