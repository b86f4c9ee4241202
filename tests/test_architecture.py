"""What imports what, and whether `dvc.yaml` knows it: a stage reruns for all that can change a number, and no more."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parent.parent
FRAMEWORKS = {"prefect", "mlflow", "dvc", "pipelines", "dbdflow"}
COMPONENTS = sorted((ROOT / "components").rglob("*.py"))
PIPELINES = sorted((ROOT / "pipelines").rglob("*.py"))
PRESETS = ("smoke", "miniature", "paper", "cuhk", "cuhk_small", "study")
INBOX = "data/archives"
"""What a person brings in; stages follow the hashes of it in its ledger, a parameter file."""
CODE = "${item.code}"
"""Of a method: the files of its code, which the params file names."""
SCHEMA = "components.params"
EXTERNAL = "data/external"
"""Published maps that a person lays there."""
DATA_FILES = [
    path for path in (ROOT / "components").rglob("*") if path.is_file() and path.suffix not in {".py", ".pyc"}
]


def load(path: str) -> dict[str, Any]:
    return YAML(typ="safe", pure=True).load((ROOT / path).read_text(encoding="utf-8"))


STAGES: dict[str, dict[str, Any]] = {name: stage.get("do", stage) for name, stage in load("dvc.yaml")["stages"].items()}
FOREACH: dict[str, Any] = {name: stage.get("foreach") for name, stage in load("dvc.yaml")["stages"].items()}


def module_of(stage: str) -> str:
    """The pipelines module that a stage of dvc.yaml runs."""
    found = re.match(r"python -m pipelines\.stages\.(\w+)", STAGES[stage]["cmd"])
    assert found, STAGES[stage]["cmd"]
    return found[1]


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in (*COMPONENTS, *PIPELINES)}


def nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node that is there at run time: what is imported `if TYPE_CHECKING` is not."""
    yield tree
    for child in ast.iter_child_nodes(tree):
        if not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield from nodes(child)


@cache
def mentioned(path: Path, every: bool = False) -> set[str]:
    """Dotted names that a module imports, at its top or in a function, or holds as text (`module:function`)."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names: set[str] = set()
    for node in ast.walk(tree) if every else nodes(tree):
        match node:
            case ast.Import():
                names |= {alias.name for alias in node.names}
            case ast.ImportFrom(module=str(module), level=0):
                names |= {module} | {f"{module}.{alias.name}" for alias in node.names}
            case ast.ImportFrom():
                raise AssertionError(f"{path}: relative import")
            case ast.Constant(value=str(text)) if re.fullmatch(r"(components|pipelines)(\.\w+)+(:\w+)?", text):
                names.add(text.partition(":")[0])
    return names


def imported(path: Path) -> set[str]:
    """Modules of this project that a module imports, and the packages that they lie in."""
    names = {name for name in mentioned(path) if name in MODULES}
    packages = {".".join(name.split(".")[:i]) for name in names for i in range(1, name.count(".") + 1)}
    return names | packages


@cache
def closure(module: str, without: str = "") -> set[Path]:
    """Files with code that importing and running a module can execute; `without` one module and what it imports."""
    seen: set[str] = set()
    waiting = {module}
    while waiting:
        name = waiting.pop()
        seen.add(name)
        waiting |= imported(MODULES[name]) - seen - {without}
    return {MODULES[name] for name in seen if MODULES[name].read_text().strip()}


@cache
def texts(path: Path) -> set[str]:
    return {
        node.value
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def shipped_methods(stage: str) -> list[dict[str, str]]:
    """The methods that a stage runs because a preset names them."""
    if CODE not in STAGES[stage]["deps"]:
        return []
    return [each for preset in PRESETS for each in load(f"presets/{preset}.yaml")["baselines"].values()]


def needed(stage: str) -> set[Path]:
    """Files of components/ that a stage's numbers depend on: code, and the data files that the code names.

    The schema is none: `params:` follows its values, and what a recipe makes of them where a stage asks for it.
    """
    modules = [
        f"pipelines.stages.{module_of(stage)}",
        *(each["function"].partition(":")[0] for each in shipped_methods(stage)),
    ]
    run = {path for module in modules for path in closure(module, without=SCHEMA)}
    code = {path for path in run if "components" in path.parts}
    if any(".resolved" in path.read_text(encoding="utf-8") for path in run):
        code.add(MODULES["components.recipe"])
    names = set().union(*(texts(path) for path in code))
    return code | {path for path in DATA_FILES if path.name in names}


def declared(stage: str) -> dict[str, set[Path]]:
    """The files behind each dependency on code."""
    found = {}
    methods = [each["code"] for each in shipped_methods(stage)]
    for dep in dict.fromkeys(path for each in STAGES[stage]["deps"] for path in (methods if each == CODE else [each])):
        if not dep.startswith("data/"):
            path = ROOT / dep
            assert path.exists(), dep
            found[dep] = {path} if path.is_file() else {each for each in path.rglob("*") if each.is_file()}
    return found


def test_components_import_no_framework() -> None:
    for path in COMPONENTS:
        found = {name.split(".")[0] for name in mentioned(path, every=True)} & FRAMEWORKS
        assert not found, f"{path} imports {found}"


def test_the_detector_for_python_rests_on_components_alone() -> None:
    files = list((ROOT / "dbdflow").glob("*.py"))
    assert {name.split(".")[0] for path in files for name in mentioned(path, every=True)} == {
        *("collections", "components", "concurrent", "dataclasses", "dbdflow", "functools", "itertools", "numpy", "os"),
        *("pathlib", "PIL", "torch", "typing"),
    }


def test_components_load_no_framework() -> None:
    """Not by way of another package either."""
    modules = [name_of(path) for path in COMPONENTS]
    assert len(modules) > 50
    code = (
        f"import importlib, sys\nfor name in {modules}: importlib.import_module(name)\n"
        f"print(sorted({FRAMEWORKS} & {{name.split('.')[0] for name in sys.modules}}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "[]\n"


LAYERS = {
    "components": (
        "study",
        "report incoming labelling train baselines export",
        "methods",
        "acquire render prepare models maps scoring views",
        "datasets catalog params",
        "recipe",
        "common",
    ),
    "pipelines": (
        "cli",
        "commands",
        "changes flows servers stages",
        "photographs",
        "running harness",
        "repo tracking",
        "system",
    ),
}
"""Packages, and modules that stand alone: each imports only those of lines below its own."""


@pytest.mark.parametrize("top", LAYERS)
def test_packages_import_one_way(top: str) -> None:
    floor = {name: number for number, names in enumerate(LAYERS[top]) for name in names.split()}
    for name, path in MODULES.items():
        if not name.startswith(f"{top}."):
            continue
        here = name.split(".")[1]
        for other in imported(path):
            there = other.split(".")[1] if other.startswith(f"{top}.") else here
            assert there == here or floor[there] > floor[here], f"{name} imports {other}"


def test_networks_and_losses_take_plain_values() -> None:
    for name in ("components.train.losses", "components.train.schedules", "components.models.registry"):
        assert SCHEMA not in {name_of(path) for path in closure(name)}, name


def test_only_tracking_imports_mlflow() -> None:
    importers = {path.parent.name for path in PIPELINES if "mlflow" in {n.split(".")[0] for n in mentioned(path)}}
    assert importers == {"tracking"}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_all_its_code_and_no_other(stage: str) -> None:
    files = declared(stage)
    missing = needed(stage) - set().union(*files.values())
    assert not missing, f"{stage}: not among its deps: {sorted(str(path.relative_to(ROOT)) for path in missing)}"
    superfluous = [dep for dep, paths in files.items() if not paths & needed(stage)]
    assert not superfluous, f"{stage}: does not use {superfluous}"
    assert all(dep.startswith("components/") for dep in files)


def test_every_component_is_some_stages_dependency() -> None:
    """What no stage needs is needed by nobody, or is missed by the two tests above."""
    declared_files = {path for stage in STAGES for paths in declared(stage).values() for path in paths}
    commands = [name for name in MODULES if name.startswith("pipelines.commands.")]
    used = declared_files.union(*map(closure, commands))
    names = set().union(*(texts(path) for path in used if path.suffix == ".py"))
    used |= {path for path in DATA_FILES if path.name in names}
    unused = {path for path in (*COMPONENTS, *DATA_FILES) if path.suffix != ".py" or path.read_text().strip()} - used
    assert not unused


def expanded(stage: str, preset: dict[str, Any]) -> Iterator[dict[str, list[str]]]:
    """Parameters, dependencies and outputs of a stage for each of its items, `${...}` filled in from a preset.

    A parameter of another file than params.yaml is given as `file:key`.
    """
    items = FOREACH[stage] or [""]
    if isinstance(items, str):
        items = preset[items.removeprefix("${").removesuffix("}")]
    for key, item in items.items() if isinstance(items, dict) else enumerate(items):
        values = {"key": key, "item": item}
        if isinstance(item, dict):
            values |= {f"item.{name}": value for name, value in item.items()}
        texts_of = {part: STAGES[stage].get(part, []) for part in ("deps", "outs")} | {"params": listed(stage)}
        yield {part: [fill(text, values) for text in found] for part, found in texts_of.items()}


def listed(stage: str) -> list[str]:
    """The parameters that a stage names."""
    found = []
    for entry in STAGES[stage].get("params", []):
        files = entry.items() if isinstance(entry, dict) else [("", [entry])]
        found += [f"{file}:{key}" if file else key for file, keys in files for key in keys]
    return found


def fill(text: str, values: dict[str, Any]) -> str:
    return re.sub(r"\$\{([\w.]+)\}", lambda match: str(values[match[1]]), text)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("stage", STAGES)
def test_parameters_of_a_stage_exist_in_every_preset(stage: str, preset: str) -> None:
    values = load(f"presets/{preset}.yaml")
    runs = list(expanded(stage, values))
    assert runs or FOREACH[stage]
    for run in runs:
        for name in run["params"]:
            file, _, key = name.rpartition(":")
            section = load(file) if file else values
            for part in key.split("."):
                assert part in section, f"{stage}: {file or preset} has no {key}"
                section = section[part]


@pytest.mark.parametrize("preset", PRESETS)
def test_outputs_are_made_once_and_before_they_are_used(preset: str) -> None:
    values = load(f"presets/{preset}.yaml")
    runs = [run for stage in STAGES for run in expanded(stage, values)]
    outs = [out for run in runs for out in run["outs"]]
    assert len(outs) == len(set(outs))
    for run in runs:
        for dep in run["deps"]:
            made = [out for out in outs if (out + "/").startswith(dep + "/")]
            assert dep.startswith("components/") or made or dep == EXTERNAL, f"nothing makes {dep}"


@pytest.mark.parametrize("stage", STAGES)
def test_one_name_all_the_way(stage: str) -> None:
    """DVC stage = module in pipelines = the function that runs, whose name its Prefect flow takes."""
    module = module_of(stage)
    assert stage in (module, f"{module}_depth")
    tree = ast.parse((ROOT / "pipelines/stages" / f"{module}.py").read_text())
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert ast.unparse(tree.body[-1]) == f"if __name__ == '__main__':\n    main({module})"
    arguments = functions[module].args
    options = {f"--{each.arg}" for each in arguments.kwonlyargs}
    defaults = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    required = {f"--{each.arg}" for each, default in defaults if default is None}
    given = {word for word in STAGES[stage]["cmd"].split() if word.startswith("--")}
    assert required <= given <= options


def test_paths_of_a_command_are_its_dependencies_and_outputs() -> None:
    """What a stage reads or writes, DVC knows; `data/prepared` may stand for the sets in it that the stage names."""
    for stage, each in STAGES.items():
        known = [*each["deps"], *each["outs"]]
        for word in re.findall(r"data/\S+", each["cmd"]):
            here = any(path == word or path.startswith(f"{word}/") for path in known)
            assert here or word == INBOX, f"{stage}: {word}"


def test_the_lock_names_versions_and_hashes_alone() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert not re.search(r"://|--(extra-)?index|--find-links|--trusted|\s@\s", lock)
    entries = re.split(r"\n(?=\S)", lock.strip())
    assert len(entries) > 100
    for entry in entries:
        assert re.match(r"[\w.\-]+(\[[\w,\-]+\])?==\S+", entry), entry
        assert " --hash=sha256:" in entry, entry


def test_predict_score_and_label_need_neither_dvc_nor_git() -> None:
    starts = (
        "pipelines.photographs.predicting",
        "pipelines.photographs.sheet",
        *(f"pipelines.commands.{name}" for name in ("predict", "score", "label", "prepare")),
        "components.scoring.evaluation",
    )
    files = set().union(*map(closure, starts)) | {MODULES["pipelines.cli"]}
    for path in files:
        found = {name.split(".")[0] for name in mentioned(path)} & {"dvc", "git", "mlflow", "prefect", "scmrepo"}
        assert not found, f"{path} imports {found}"
    assert MODULES["pipelines.repo.revisions"] not in files
