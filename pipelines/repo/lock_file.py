"""`dvc.lock`: what DVC records of every stage, read without DVC; and how to get it back where it is broken."""

import re
import time
from pathlib import Path
from typing import Any

from components.common.errors import InputError
from components.common.yaml_files import read_yaml

LOCK = "dvc.lock"
MARKERS = re.compile(rb"^(<{7}|={7}|>{7}|\|{7})( |$)", re.MULTILINE)
"""What git leaves in a file in which two sides of a merge differ."""
PAUSES = (0.1, 0.3, 0.6)
"""Seconds until a dvc.lock that is not whole is read again: DVC, which writes it in place, may be at it."""


def recorded_stages(folder: Path) -> dict[str, Any]:
    """What dvc.lock records of every stage; empty if there is no such file.

    Raises:
        InputError: it holds merge markers, is empty, or is half a one.
    """
    path = folder / LOCK
    stages, fault = read_lock(path)
    for pause in PAUSES:
        if fault:
            time.sleep(pause)
            stages, fault = read_lock(path)
    if fault:
        raise broken(path, fault)
    return stages


def read_lock(path: Path) -> tuple[dict[str, Any], str]:
    """The stages in a dvc.lock, and what is wrong with it; empty if nothing is."""
    check_merged(path)
    try:
        found = read_yaml(path)
    except FileNotFoundError:
        return {}, ""
    except InputError:
        return {}, "no whole YAML"
    if not found:
        return {}, "empty"
    stages = found.get("stages", {}) if isinstance(found, dict) else None
    if isinstance(stages, dict) and all(map(is_entry, stages.values())):
        return stages, ""
    return {}, "half a file"


def is_entry(entry: Any) -> bool:  # noqa: ANN401 (YAML)
    """Whether this is what DVC writes of one stage."""
    if not isinstance(entry, dict) or "cmd" not in entry:
        return False
    deps, outs = entry.get("deps", []), entry.get("outs", [])
    lists = isinstance(deps, list) and isinstance(outs, list)
    return lists and all(isinstance(each, dict) and "path" in each for each in (*deps, *outs))


def check_merged(path: Path) -> None:
    """Make sure that no merge is left open in a dvc.lock, which need not be there.

    Raises:
        InputError: it holds merge markers.
    """
    text = path.read_bytes() if path.exists() else b""
    if found := MARKERS.search(text):
        line = text.count(b"\n", 0, found.start()) + 1
        raise InputError(
            f"{path}: line {line} is a merge marker ({found[1].decode()}); take one side as a whole, `git checkout "
            f"--ours {LOCK}` or `--theirs`, then `dbdflow reproduce`: what that side lacks comes from DVC's run cache"
        )


def broken(path: Path, found: str) -> InputError:
    """What is the matter with a dvc.lock, and how to get it back."""
    return InputError(
        f"{path}: {found}, expected what DVC records of every stage; `dbdflow reproduce` puts the last whole one back, "
        f"`git checkout {LOCK}` the one that was committed"
    )
