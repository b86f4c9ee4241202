"""What lies in `data/external`: a folder a method, in it `method.yaml` and a folder of maps a test set.

The format is in `data/external/README.md`.
"""

import difflib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from components.catalog.test_sets import TEST_SETS, WITHIN
from components.common.errors import InputError
from components.common.names import is_junk
from components.common.yaml_files import read_yaml

FACTS = "method.yaml"
INDEX = "index.json"
"""Beside the scores: names of all methods."""
METHOD = "method.json"
"""Among a method's scores: what its `method.yaml` says, and what became of each test set."""
NO_ROW = "none"
"""`row` of a method that the paper's tables do not have."""
CHOICES = {"white": ("in_focus", "out_of_focus"), "resize": ("none", "bilinear", "nearest")}
FOLDERS = tuple(name for name in TEST_SETS if name not in WITHIN)
"""Test sets that may have a folder of maps; the maps of EBD are those of EBD(1305) too."""


@dataclass(frozen=True)
class Method:
    """A method whose maps are published: `method.yaml` and the folders beside it."""

    id: str
    """Name of its folder."""
    method: str
    """As it is to be shown."""
    row: str
    """The row of the paper's tables that it fills (column `run` of `paper_tables.csv`), or `none`."""
    white: Literal["in_focus", "out_of_focus"]
    """What white means in its maps."""
    resize: Literal["none", "bilinear", "nearest"]
    """How a map of another size than its label is brought to it; `none`: it is refused."""
    source: str
    """Where the maps come from, in words."""
    folders: dict[str, Path]
    """Test set -> folder of its maps, in the order of the paper."""


def find_methods(external: Path, rows: Collection[str]) -> list[Method]:
    """The methods below `external`, by name; none where there is no such folder.

    `rows` are the rows of the paper's tables.

    Raises:
        InputError: a `method.yaml` is missing or wrong, or a folder is that of no test set.
    """
    if not external.is_dir():
        return []
    return [read_method(folder, rows) for folder in folders_in(external)]


def folders_in(folder: Path) -> list[Path]:
    """The folders in `folder` that are not hidden, by name."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not is_junk(path.name))


def read_method(folder: Path, rows: Collection[str]) -> Method:
    """One method's folder.

    Raises:
        InputError: see `find_methods`.
    """
    path = folder / FACTS
    facts = read_facts(path)
    for key, allowed in {"row": (*rows, NO_ROW), **CHOICES}.items():
        if facts[key] not in allowed:
            near = difflib.get_close_matches(facts[key], allowed, n=1, cutoff=0.0)[0]
            raise InputError(
                f"{path}: `{key}` is {facts[key]!r}, expected one of {', '.join(allowed)}; did you mean {near!r}?"
            )
    return Method(
        id=folder.name,
        method=facts["method"],
        row=facts["row"],
        white=cast("Literal['in_focus', 'out_of_focus']", facts["white"]),
        resize=cast("Literal['none', 'bilinear', 'nearest']", facts["resize"]),
        source=facts["source"],
        folders=folders_of_maps(folder),
    )


def read_facts(path: Path) -> dict[str, str]:
    """`method.yaml`: all of its keys and no other, each with a line of text.

    Raises:
        InputError: it is missing, is no YAML, or a key is unknown, missing, empty or no text.
    """
    keys = ("method", "row", "white", "resize", "source")
    facts = load_mapping(path)
    for key, value in facts.items():
        if key not in keys:
            near = difflib.get_close_matches(str(key), keys, n=1, cutoff=0.0)[0]
            raise InputError(f"{path}: unknown key `{key}`; the nearest valid key is `{near}`")
        if not isinstance(value, str) or not value.strip():
            raise InputError(f"{path}: `{key}` is {value!r} ({type(value).__name__}), expected text; put it in quotes")
    if missing := [key for key in keys if key not in facts]:
        raise InputError(f"{path}: key `{missing[0]}` is missing; expected {', '.join(keys)} (data/external/README.md)")
    return {str(key): str(value) for key, value in facts.items()}


def load_mapping(path: Path) -> dict[object, object]:
    """A YAML file that holds a mapping.

    Raises:
        InputError: it is missing, or holds something else.
    """
    try:
        value = read_yaml(path)
    except FileNotFoundError as error:
        raise InputError(
            f"{path}: no such file; say in it what the maps beside it are (data/external/README.md), "
            "or remove the folder"
        ) from error
    if not isinstance(value, dict):
        raise InputError(f"{path}: found {type(value).__name__}, expected a mapping; see data/external/README.md")
    return value


def folders_of_maps(folder: Path) -> dict[str, Path]:
    """Test set -> its folder of maps in `folder`, in the order of the paper.

    Raises:
        InputError: a folder has the name of no test set.
    """
    found = {path.name: path for path in folders_in(folder)}
    for name, path in found.items():
        if name not in FOLDERS:
            near = difflib.get_close_matches(name, FOLDERS, n=1, cutoff=0.0)[0]
            raise InputError(f"{path}: the name of no test set; did you mean {near!r}? Test sets: {', '.join(FOLDERS)}")
    return {name: found[name] for name in FOLDERS if name in found}
