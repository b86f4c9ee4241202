"""`sources.yaml` in the inbox: what each address gave when it was first fetched, and a hash of what was imported.

It is meant to be committed, so that others are held to the same bytes. Several stages may write it at one time.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock
from ruamel.yaml.comments import CommentedMap

from components.common.errors import InputError
from components.common.storage import make_parent, write_whole
from components.common.yaml_files import dump_yaml, read_commented

FILE = "sources.yaml"
BACKBONES_FOLDER = "backbones"
"""In the inbox: ImageNet weights that were imported, `<timm name>.safetensors`."""
NOTHING = "none"
"""Stands for the hash of what was not imported."""


def read(inbox: Path) -> dict[str, dict[str, str]]:
    """The ledger of an inbox: `imported` (item -> hash or `none`), `backbones`, `sha256` (address -> 64 hex digits).

    `anyway`, where it is there: item or backbone -> hash of an imported file that is not the published one.

    Raises:
        InputError: it is missing, is no YAML, or lacks a section.
    """
    ledger: dict[str, dict[str, str]] = _load(inbox / FILE)
    return ledger


def known_sums(inbox: Path) -> dict[str, str]:
    """Address -> sha256 of what it gave when it was first fetched."""
    return {str(address): str(value) for address, value in read(inbox)["sha256"].items()}


def imported(inbox: Path, item: str, section: str = "imported") -> str:
    """Hash of what was imported by hand as `item`; `none` where nothing was."""
    return str((read(inbox).get(section) or {}).get(item, NOTHING))


def stand_in(inbox: Path, item: str, file: str, sha256: str) -> dict[str, str]:
    """For a card: `not_published`, if `file` was imported as `item` although it is not the published one; else {}."""
    if imported(inbox, item, "anyway") != sha256:
        return {}
    return {"not_published": f"{file} is not the published file (its sha256 starts with {sha256[:8]})"}


def record_sum(inbox: Path, address: str, sha256: str) -> None:
    """Keep what an address gave."""

    def add(ledger: Any) -> None:  # noqa: ANN401 (ruamel's own mapping)
        if not ledger["sha256"]:
            ledger["sha256"].fa.set_block_style()  # addresses go on lines of their own
        ledger["sha256"][address] = sha256

    if known_sums(inbox).get(address) != sha256:
        _change(inbox, add)


def record_import(inbox: Path, item: str, digest: str, *, backbone: bool = False, anyway: bool = False) -> None:
    """Keep a hash of what was imported: an item, or a backbone's weights; and whether it is not the published file."""

    def add(ledger: Any) -> None:  # noqa: ANN401 (ruamel's own mapping)
        for section in ["backbones" if backbone else "imported"] + ["anyway"] * anyway:
            if not ledger.setdefault(section, CommentedMap()):
                ledger[section].fa.set_block_style()
            ledger[section][item] = digest
        if not anyway:
            ledger.get("anyway", {}).pop(item, None)

    _change(inbox, add)


def _load(path: Path) -> Any:  # noqa: ANN401 (ruamel's own mapping, which keeps comments)
    try:
        ledger = read_commented(path)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; it belongs to the checkout: `git checkout {path}`") from error
    except InputError as error:
        raise InputError(f"{error}; mend it, or `git checkout {path}`") from error
    for section in ("imported", "sha256"):
        if not isinstance(ledger, dict) or not isinstance(ledger.get(section), dict):
            raise InputError(f"{path}: no mapping `{section}`; mend it, or `git checkout {path}`")
    return ledger


def _change(inbox: Path, change: Callable[[Any], object]) -> None:
    """Change the ledger while no other process does."""
    make_parent(inbox / FILE)
    with FileLock(inbox / f".{FILE}.lock"):
        ledger = _load(inbox / FILE)
        change(ledger)
        write_whole(inbox / FILE, dump_yaml(ledger))
