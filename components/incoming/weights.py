"""Weights that a person brings in by hand: loaded once, held to the hash of the published file, put into the inbox."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from components.acquire.obtain import known_hashes
from components.acquire.sources import BACKBONES, CHECKPOINTS, MIDAS
from components.common import ledger
from components.common.errors import InputError, named_as
from components.common.ledger import BACKBONES_FOLDER
from components.common.storage import atomic_path, file_hash
from components.models.backbone import Backbone, encoder_of_run
from components.models.checkpoints import check_start, load_published
from components.models.registry import build_model
from components.models.tensors import is_safetensors, read_tensors

STATED = re.compile(r"-([0-9a-f]{8,64})\.\w+$")
"""The first digits of a file's sha256 in its name, by torch's convention: `resnest101-22405ba7.pth`."""


def check_hash(path: Path, known: Sequence[str], *, anyway: bool) -> tuple[str, str]:
    """sha256 of a file, and why it is not the published one, if it is not; empty where nothing is known of that.

    `known` are the hashes of the published file, or their first digits; its name may state another. `anyway` accepts
    a file that has none of them.

    Raises:
        InputError: it has none of them, and is not accepted all the same.
    """
    found, stated = file_hash(path), STATED.search(path.name)
    wrong = {f"its name says {stated[1]}"} if stated and not found.startswith(stated[1]) else set()
    if known and not found.startswith(tuple(known)):
        wrong.add(f"the published one's with {' or '.join(each[:8] for each in known)}")
    if not wrong:
        return found, ""
    why = f"not the published file: its sha256 starts with {found[:8]}, {', '.join(sorted(wrong))}"
    if not anyway:
        raise InputError(f"{path}: {why}; download it again, or take it as it is with --anyway")
    return found, f"; {why}; status, report and MLflow will say so"


def check_there(path: Path) -> None:
    """Refuse what is no file."""
    if not path.is_file():
        what = "a folder" if path.is_dir() else "no such file"
        raise InputError(f"{path}: {what}; name the file of weights that you downloaded")


def import_weights(item: str, path: Path, inbox: Path, *, anyway: bool) -> str:
    """Bring in MiDaS v2.1's weights or one of the authors' checkpoints; what is said of it.

    Raises:
        InputError: the file does not hold the weights of this model, or is not the published one (unless `anyway`).
    """
    check_there(path)
    archive = MIDAS if item == MIDAS.name else CHECKPOINTS[item]
    model = build_model("midas", "resnext101_32x8d") if archive is MIDAS else build_model("dffnet", "resnest101e")
    load_published(path, model)
    found, why = check_hash(path, known_hashes(archive, inbox), anyway=anyway)
    with atomic_path(inbox / archive.file) as temporary:
        shutil.copyfile(path, temporary)
    ledger.record_import(inbox, item, found, anyway=bool(why))
    return f"{inbox / archive.file}, sha256 {found[:16]}...{why}"


def plain(value: Tensor) -> Tensor:
    """A copy of a tensor, dense, its real numbers in float32."""
    return (value.float() if value.is_floating_point() else value).clone().contiguous()


def import_backbone(name: str, path: Path, inbox: Path, *, anyway: bool) -> str:
    """Bring in ImageNet weights of a backbone by its timm name, as safetensors; what is said of it.

    The hash that is known is that of the file of torch, which timm's hub has as safetensors too.

    Raises:
        InputError: the file does not hold this backbone's weights, or is not the published one (unless `anyway`).
    """
    check_there(path)
    if encoder_of_run(path):
        raise InputError(
            f"{path}: weights of a run of this project, not ImageNet's; name the file itself: pretrained: {path}"
        )
    # Copies, as safetensors takes none that shares another's memory; float32, as a network computes.
    tensors = {key: plain(value) for key, value in read_tensors(path).items()}
    known = [BACKBONES[name]] if name in BACKBONES and not is_safetensors(path) else []
    target = inbox / BACKBONES_FOLDER / f"{name}.safetensors"
    with atomic_path(target) as temporary, named_as({temporary: path}):
        save_file(tensors, temporary)
        check_start(temporary, Backbone(name, pretrained=temporary))
        found, why = check_hash(path, known, anyway=anyway)
    ledger.record_import(inbox, name, found, backbone=True, anyway=bool(why))
    return f"{target}, from sha256 {found[:16]}...{why}"
