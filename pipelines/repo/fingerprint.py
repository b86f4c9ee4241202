"""What a stage's result depends on, as one hash: its command, its dependencies' contents, its parameters' values.

Read from dvc.yaml, params.yaml and dvc.lock without importing DVC (1 s): of the templating only `${path.to.value}`,
`${key}`, `${item}`, `${item.field}` and `foreach` are known. Outputs of other stages count by their hash in
dvc.lock, which DVC writes as each stage ends; every other dependency by its content.
"""

import hashlib
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from components.common.errors import InputError
from components.common.names import data_below
from components.common.yaml_files import read_yaml
from pipelines.repo.lock_file import PAUSES, recorded_stages
from pipelines.repo.outputs import outputs_of

EXPRESSION = re.compile(r"\$\{\s*([^}]+?)\s*\}")


@dataclass(frozen=True)
class Fingerprint:
    """The DVC stage that a process is, if it is one, and the hash (64 hex digits) of all that it depends on."""

    dvc_stage: str | None
    digest: str


def fingerprint(dvc_stage: str | None, module: str, arguments: list[str], folder: Path) -> Fingerprint:
    """Hash what a stage depends on.

    A stage started by hand (`dvc_stage` None) is looked up in dvc.yaml by its command, so that it shares checkpoints
    with DVC's; if it is not there, it depends on all of params.yaml, dvc.lock and the code.

    Raises:
        InputError: dvc.yaml uses a template that is not known here, or a parameter that does not exist.
    """
    pipeline = Pipeline(folder)
    name = dvc_stage or pipeline.find(module, arguments)
    definition = pipeline.stages().get(name) if name else None
    if definition is None:
        return Fingerprint(dvc_stage, digest([module, arguments, everything(folder)]))
    if dvc_stage:  # what it needs is made
        pipeline.wait_for_deps(definition)
    return Fingerprint(name, pipeline.digest(definition))


def digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def everything(folder: Path) -> list[str]:
    files = (folder / "params.yaml", folder / "dvc.lock", folder / "components")
    return [content_hash(path) for path in files]


def content_hash(path: Path) -> str:
    """Hash of a file's bytes, or of a folder's file names and bytes (junk left out); `missing` if there is none."""
    if path.is_dir():
        files = [file for file in data_below(path) if "__pycache__" not in file.parts]
        return digest([[file.relative_to(path).as_posix(), content_hash(file)] for file in files])
    if not path.is_file():
        return "missing"
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Pipeline:
    """dvc.yaml, params.yaml and dvc.lock of one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.definition = load(folder / "dvc.yaml")
        self.scope = load(folder / "params.yaml")
        for values in self.definition.get("vars", ()):
            self.scope = self.scope | (values if isinstance(values, dict) else load(folder / values))
        self.outs = recorded_outs(folder)

    def stages(self) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
        """Every stage's definition, templates unresolved, with what its templates may name."""
        found = {}
        for name, definition in self.definition.get("stages", {}).items():
            if "foreach" not in definition:
                found[name] = (definition, self.scope)
                continue
            for key, item in items(resolve(definition["foreach"], self.scope)):
                found[f"{name}@{key}"] = (definition["do"], self.scope | {"key": key, "item": item})
        return found

    def wait_for_deps(self, definition: tuple[dict[str, Any], dict[str, Any]]) -> None:
        """Read dvc.lock again while it lacks what stages made of the dependencies: DVC, which writes it in place, may
        be at it, and its beginning looks like a whole one."""
        deps = [str(path) for path in resolve(*definition).get("deps", ())]
        outs = (out for stage, scope in self.stages().values() for out in resolve(stage.get("outs", []), scope))
        paths = {next(iter(out)) if isinstance(out, dict) else str(out) for out in outs}
        made = {path for path in paths if any(overlap(path, dep) for dep in deps)}
        for pause in PAUSES:
            if made <= self.outs.keys():
                return
            time.sleep(pause)
            self.outs = recorded_outs(self.folder)

    def digest(self, definition: tuple[dict[str, Any], dict[str, Any]]) -> str:
        """Hash of what a stage depends on, 64 hex digits; `definition` is as `stages` gives it."""
        stage = resolve(*definition)
        deps = {str(path): self.content(str(path)) for path in stage.get("deps", ())}
        return digest([stage["cmd"], deps, self.values(stage.get("params", ()))])

    def find(self, module: str, arguments: list[str]) -> str | None:
        """The stage whose command is `... -m module arguments`."""
        wanted = [module, *arguments]
        for name, (definition, scope) in self.stages().items():
            words = str(resolve(definition.get("cmd", ""), scope)).split()
            if words[-len(wanted) :] == wanted:
                return name
        return None

    def content(self, path: str) -> str:
        """Hash of a dependency: what dvc.lock has for the output that it is, lies in or holds, else of its content."""
        for candidate in (PurePosixPath(path), *PurePosixPath(path).parents):
            if str(candidate) in self.outs:
                return self.outs[str(candidate)]
        if held := {out: md5 for out, md5 in self.outs.items() if PurePosixPath(out).is_relative_to(path)}:
            return digest(sorted(held.items()))
        return content_hash(self.folder / path)

    def values(self, params: list[Any]) -> dict[str, Any]:
        """Values of the parameters that a stage names: keys of params.yaml, or `{file: keys}`."""
        found: dict[str, Any] = {}
        for entry in params:
            named = entry if isinstance(entry, dict) else {"params.yaml": [entry]}
            for file, keys in named.items():
                values = load(self.folder / file)
                found |= {f"{file}:{key}": look_up(values, key) for key in keys or ()}
                if not keys:
                    found[file] = values
        return found


def recorded_outs(folder: Path) -> dict[str, str]:
    """Hash of each output that dvc.lock records, by its path."""
    return {each.path: each.oid for each in outputs_of(recorded_stages(folder)) if each.oid}


def overlap(one: str, other: str) -> bool:
    """Whether two paths are the same, or one lies in the other.

    >>> overlap("data/raw", "data/raw/ebd"), overlap("data/raw", "data/rawer")
    (True, False)
    """
    first, second = PurePosixPath(one), PurePosixPath(other)
    return first.is_relative_to(second) or second.is_relative_to(first)


def items(foreach: dict[str, Any] | list[Any]) -> Iterator[tuple[str, Any]]:
    """Name suffix and value of each turn: a mapping's keys, a list's plain values, the index of a list's others."""
    if isinstance(foreach, dict):
        yield from ((str(key), value) for key, value in foreach.items())
    else:
        for index, value in enumerate(foreach):
            yield str(index if isinstance(value, dict | list) else value), value


def load(path: Path) -> dict[str, Any]:
    """A YAML file's mapping; empty if there is no such file.

    Raises:
        InputError: it is no YAML, or holds something else.
    """
    try:
        value = read_yaml(path)
    except FileNotFoundError:
        return {}
    if value is not None and not isinstance(value, dict):
        raise InputError(f"{path}: found {type(value).__name__}, expected a mapping")
    return value or {}


def resolve(value: Any, scope: dict[str, Any]) -> Any:  # noqa: ANN401 (YAML)
    """Put values in the place of `${...}`, in texts, lists and mappings."""
    if isinstance(value, dict):
        return {resolve(key, scope): resolve(item, scope) for key, item in value.items()}
    if isinstance(value, list):
        return [resolve(item, scope) for item in value]
    if not isinstance(value, str):
        return value
    if whole := EXPRESSION.fullmatch(value):
        return look_up(scope, whole[1])
    return EXPRESSION.sub(lambda match: text(look_up(scope, match[1])), value)


def text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def look_up(values: Any, path: str) -> Any:  # noqa: ANN401 (YAML)
    """The value at `a.b.0`.

    Raises:
        InputError: there is none.
    """
    for step in re.split(r"[.\[\]]+", path.rstrip("]")):
        try:
            values = values[int(step)] if isinstance(values, list) else values[step]
        except (KeyError, IndexError, TypeError, ValueError):
            raise InputError(f"dvc.yaml names `{path}`, which is not in the parameters; found no {step!r}") from None
    return values


def flatten(values: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested parameters as `section.key: text`; lists as JSON."""
    flat: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = json.dumps(value, default=str) if isinstance(value, list | tuple) else str(value)
    return flat
