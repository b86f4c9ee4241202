"""Weights that a person brings in by hand: checked against the hash in their name, loaded once, placed in the inbox."""

import re
import shutil
from pathlib import Path

from safetensors.torch import save_file

from components.data import ledger
from components.data.sources import BACKBONES, CHECKPOINTS, MIDAS
from components.errors import InputError
from components.models.backbone import Backbone
from components.models.checkpoints import check_start, load_published, read_tensors
from components.models.registry import build_model
from components.params import BACKBONES_FOLDER
from components.storage import atomic_path, file_hash

STATED = re.compile(r"-([0-9a-f]{8,64})\.\w+$")
"""The first digits of a file's sha256 in its name, by torch's convention: `resnest101-22405ba7.pth`."""


def check_name(path: Path) -> str:
    """sha256 of a file, which must begin as its name says, if that says so.

    Raises:
        InputError: there is no such file, or the digits differ.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; name the file of weights that you downloaded")
    found, stated = file_hash(path), STATED.search(path.name)
    if stated and not found.startswith(stated[1]):
        raise InputError(f"{path}: its sha256 starts with {found[:8]}, its name says {stated[1]}; download it again")
    return found


def import_weights(item: str, path: Path, inbox: Path) -> str:
    """Bring in MiDaS v2.1's weights or one of the authors' checkpoints; what is said of it.

    Raises:
        InputError: the file is not what its name says, or does not hold the weights of this model.
    """
    found = check_name(path)
    archive = MIDAS if item == MIDAS.name else CHECKPOINTS[item]
    model = build_model("midas", "resnext101_32x8d") if archive is MIDAS else build_model("dffnet", "resnest101e")
    load_published(path, model)
    with atomic_path(inbox / archive.file) as temporary:
        shutil.copyfile(path, temporary)
    ledger.record_import(inbox, item, found)
    holds = "" if found.startswith(archive.sha256_start) else f", which does not start with {archive.sha256_start}"
    return f"{inbox / archive.file}, sha256 {found[:16]}...{holds}"


def import_backbone(name: str, path: Path, inbox: Path) -> str:
    """Bring in ImageNet weights of a backbone by its timm name, as safetensors; what is said of it.

    Raises:
        InputError: the file is not what its name says, or does not hold this backbone's weights.
    """
    found = check_name(path)
    check_start(path, Backbone(name, pretrained=path))
    target = inbox / BACKBONES_FOLDER / f"{name}.safetensors"
    with atomic_path(target) as temporary:
        if path.suffix == target.suffix:
            shutil.copyfile(path, temporary)
        else:
            save_file({key: value.contiguous() for key, value in read_tensors(path).items()}, temporary)
    ledger.record_backbone(inbox, name, found)
    stated = BACKBONES.get(name, "")
    holds = "" if found.startswith(stated) else f", which does not start with {stated}"
    return f"{target}, from sha256 {found[:16]}...{holds}"
