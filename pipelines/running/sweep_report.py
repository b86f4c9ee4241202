"""The report of one setting of a sweep, with mean and spread over its seeds."""

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from components.common.errors import InputError
from pipelines.repo.clone import Clone
from pipelines.repo.fingerprint import load
from pipelines.running.reproduction import child_environment
from pipelines.system import environment


def report_over_seeds(
    first: Clone, kept: Mapping[Any, Path], out: Path, part: Mapping[str, str], say: Callable[[str], None]
) -> None:
    """Make the page of the first seed anew, with the scores of the others beside its own.

    Nothing is done where the page is there, where seeds were not swept, or where points have no stage `report`.

    Args:
        first: clone of the first seed; made again if it is gone.
        kept: seed -> folder with a point's `scores` and `dvc.lock`, the first one first.
        out: folder to make.
        part: `name` and `axes` of the sweep, for MLflow.
        say: takes a line for the person who waits.

    Raises:
        InputError: the stage failed; the points are kept, and the same sweep goes on with this page.
    """
    seeds = list(kept)
    locked = load(kept[seeds[0]] / "dvc.lock")["stages"]
    if out.exists() or len(seeds) == 1 or "report" not in locked:
        return
    say(f"{out}: the report over {len(seeds)} seeds")
    if not first.folder.exists():
        replace(first, lock=kept[seeds[0]] / "dvc.lock").make(lambda line: None)
    for seed in seeds[1:]:
        shutil.copytree(kept[seed] / "scores", first.folder / "data/scores/seeds" / str(seed), dirs_exist_ok=True)
    words = shlex.split(locked["report"]["cmd"])
    words[words.index("--out") + 1] = str(out)
    title = f"{out.name} over {len(seeds)} seeds"
    point = json.dumps({**part, "point": title, "values": title})
    variables = environment.for_children() | child_environment(terminal=False) | {"DBDFLOW_SWEEP": point}
    command = [sys.executable, *words[1:]]
    done = subprocess.run(command, cwd=first.folder, env=variables, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr or done.stdout).strip().rpartition("\n")[2]
        raise InputError(f"{out}: the report over seeds was not made ({last}); run the same sweep again")
