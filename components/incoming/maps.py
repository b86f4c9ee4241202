"""Published maps of a method, brought in by hand: a folder a test set in `data/external/<row>`, and what they are."""

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from ruamel.yaml import YAML

from components.data.images import find_images
from components.data.layout import folders_below
from components.errors import InputError
from components.incoming.sets import UNPACKED, opened
from components.storage import atomic_dir

TEST_SETS = {"cuhk": "CUHK-TE-1", "dut": "DUT-TE", "ctcug": "CTCUG", "ebd": "EBD"}
"""What a folder of maps is called -> the test set, where it is not called after the test set itself."""


@dataclass(frozen=True)
class Method:
    """The contents of `method.yaml`; see data/external/README.md."""

    method: str
    row: str
    white: Literal["in_focus", "out_of_focus"]
    resize: Literal["none", "bilinear", "nearest"]
    source: str


AUTHORS = "result maps published by the authors of D-DFFNet"
AUTHORS_MAPS = {
    "maps_cuhk1": ("d_dffnet", "CUHK-TE-1"),
    "maps_cuhk1_dut": ("d_dffnet_dut", "CUHK-TE-1"),
    "maps_cuhk2_dut": ("d_dffnet_cuhk2_dut", "CUHK-TE-2"),
}
"""Archive of maps -> the row of the tables that they fill, and their CUHK test set."""


def authors_method(item: str) -> Method:
    """What the authors' maps are: probabilities of being in focus; brought to the label's size as their code does."""
    return Method("D-DFFNet", AUTHORS_MAPS[item][0], "in_focus", "nearest", f"{AUTHORS} ({item})")


def import_maps(
    paths: Sequence[Path], external: Path, method: Method, *, cuhk: str = "CUHK-TE-1", test_set: str | None = None
) -> str:
    """Bring in a method's maps, below `external / method.row`; what is said of them.

    Test sets that were imported before stay, unless they are among the new ones. `cuhk` is the test set that a folder
    called after CUHK holds; `test_set` the one of all maps, where folders are not called after any.

    Raises:
        InputError: no folder of maps is there, or its test set is not known.
    """
    target = external / method.row
    with atomic_dir(target) as folder:
        roots = opened(paths, folder / UNPACKED)
        found = folders_of_maps(list(roots), TEST_SETS | {"cuhk": cuhk}, test_set)
        if not found:
            raise InputError(
                f"{', '.join(map(str, paths))}: no folder of maps called after a test set "
                f"({', '.join(TEST_SETS.values())}, CUHK-TE-2); rename the folder, or name it with --test-set"
            )
        for name, source in found.items():
            (folder / name).mkdir()
            for path in find_images(source).values():
                shutil.copyfile(path, folder / name / path.name)
        shutil.rmtree(folder / UNPACKED, ignore_errors=True)
        for old in sorted(target.iterdir()) if target.is_dir() else ():
            if old.is_dir() and old.name not in found:
                shutil.copytree(old, folder / old.name)
        with (folder / "method.yaml").open("w", encoding="utf-8") as file:
            YAML().dump(asdict(method), file)
        counts = {name: len(find_images(folder / name)) for name in found}
    return f"{target}, " + ", ".join(f"{name}: {count} maps" for name, count in counts.items())


def folders_of_maps(roots: Sequence[Path], names: Mapping[str, str], test_set: str | None) -> dict[str, Path]:
    """Test set -> the folder with its maps.

    Raises:
        InputError: two folders hold maps of one test set.
    """
    found: dict[str, Path] = {}
    for folder in folders_below(roots):
        name = test_set or called_after(folder.name, names)
        if name is None or not find_images(folder):
            continue
        if name in found:
            raise InputError(f"{folder} and {found[name]}: both hold maps of {name}; name the folder of one of them")
        found[name] = folder
    return found


def called_after(folder: str, names: Mapping[str, str]) -> str | None:
    """The test set that a folder is called after: `CUHK-TE-2`, `DUT`, `ctcug_result`, `EBD1605`."""
    key = folder.casefold()
    exact = {name.casefold(): name for name in (*names.values(), "CUHK-TE-1", "CUHK-TE-2")}
    if key in exact:
        return exact[key]
    held = [test_set for name, test_set in names.items() if re.search(rf"(?<![a-z]){name}(?![a-z])", key)]
    return held[0] if len(held) == 1 else None
