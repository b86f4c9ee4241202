"""Published maps of a method, brought in by hand: a folder a test set in `data/external/<row>`, and what they are."""

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from components.acquire.download import UNPACKED
from components.acquire.layout import folders_below
from components.catalog.images import find_images
from components.common.errors import InputError
from components.common.storage import atomic_dir
from components.common.yaml_files import dump_yaml
from components.incoming.sets import opened
from components.scoring.external_methods import FACTS, FOLDERS

TEST_SETS = {"cuhk": "CUHK-TE-1", "dut": "DUT-TE", "ctcug": "CTCUG", "ebd": "EBD"}
"""What a folder of maps is called after -> the test set, where it is not called as the test set itself."""


@dataclass(frozen=True)
class Facts:
    """What `method.yaml` says; see data/external/README.md."""

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


def authors_facts(item: str) -> Facts:
    """What the authors' maps are: probabilities of being in focus; brought to the label's size as their code does."""
    return Facts("D-DFFNet", AUTHORS_MAPS[item][0], "in_focus", "nearest", f"{AUTHORS} ({item})")


def import_maps(
    name: str, facts: Facts, paths: Sequence[Path], external: Path, *, cuhk: str = "CUHK-TE-1", test_set: str = ""
) -> str:
    """Bring in a method's maps, as `external / name`; what is said of them.

    Test sets that were imported before stay, unless they are among the new ones. `cuhk` is the test set that a folder
    called after CUHK holds; `test_set` the one of all maps, where folders are not called after any.

    Raises:
        InputError: no folder of maps is there, or its test set is not known.
    """
    if test_set and test_set not in FOLDERS:
        raise InputError(
            f"--test-set {test_set!r}: no test set with maps of its own; expected one of {', '.join(FOLDERS)}"
        )
    target = external / name
    with atomic_dir(target) as folder:
        roots = opened(paths, folder / UNPACKED)
        found = folders_of_maps(list(roots), TEST_SETS | {"cuhk": cuhk}, test_set)
        if not found:
            raise InputError(
                f"{', '.join(map(str, paths))}: no folder of maps called after a test set ({', '.join(FOLDERS)}); "
                "rename the folder, or name it with --test-set"
            )
        for held, source in found.items():
            (folder / held).mkdir()
            for path in find_images(source).values():
                shutil.copyfile(path, folder / held / path.name)
        shutil.rmtree(folder / UNPACKED, ignore_errors=True)
        for old in sorted(target.iterdir()) if target.is_dir() else ():
            if old.is_dir() and old.name not in found:
                shutil.copytree(old, folder / old.name)
        (folder / FACTS).write_text(dump_yaml(asdict(facts)), encoding="utf-8")
        counts = {held: len(find_images(folder / held)) for held in found}
    return f"{target}, " + ", ".join(f"{held}: {count} maps" for held, count in counts.items())


def folders_of_maps(roots: Sequence[Path], names: Mapping[str, str], test_set: str) -> dict[str, Path]:
    """Test set -> the one folder with its maps; two are refused."""
    found: dict[str, Path] = {}
    for folder in folders_below(roots):
        name = test_set or called_after(folder.name, names)
        if not name or not find_images(folder):
            continue
        if name in found:
            raise InputError(f"{folder} and {found[name]}: both hold maps of {name}; name the folder of one of them")
        found[name] = folder
    return found


def called_after(folder: str, names: Mapping[str, str]) -> str:
    """The test set that a folder is called after: `CUHK-TE-2`, `DUT`, `ctcug_result`, `EBD1605`; else nothing."""
    key = folder.casefold()
    exact = {name.casefold(): name for name in FOLDERS}
    if key in exact:
        return exact[key]
    held = [test_set for name, test_set in names.items() if re.search(rf"(?<![a-z]){name}(?![a-z])", key)]
    return held[0] if len(held) == 1 else ""
