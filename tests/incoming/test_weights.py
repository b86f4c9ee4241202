"""Weights brought in by hand: held to the hash in their name, to the model's tensors, never executed."""

import hashlib
from pathlib import Path

import pytest
import torch

from components.data import ledger
from components.data.sources import MIDAS
from components.errors import InputError
from components.incoming.weights import check_name, import_backbone, import_weights
from components.models.backbone import Backbone
from components.models.published import to_published
from components.models.registry import build_model

pytestmark = pytest.mark.usefixtures("one_thread")


def test_the_digits_in_a_name_are_checked(tmp_path: Path) -> None:
    digits = hashlib.sha256(b"weights").hexdigest()
    for name in (f"midas_v21-{digits[:8]}.pt", f"x-{digits}.pth", "midas_v21_384.pt"):
        (tmp_path / name).write_bytes(b"weights")
        assert check_name(tmp_path / name) == digits
    (tmp_path / "midas_v21-f6b98070.pt").write_bytes(b"weights")
    with pytest.raises(
        InputError, match=rf"sha256 starts with {digits[:8]}, its name says f6b98070; download it again"
    ):
        check_name(tmp_path / "midas_v21-f6b98070.pt")
    with pytest.raises(InputError, match=r"none\.pt: no such file"):
        check_name(tmp_path / "none.pt")


def test_midas_goes_to_the_inbox_as_it_is(inbox: Path, tmp_path: Path) -> None:
    model = build_model("midas", "resnext101_32x8d")
    torch.save(to_published("midas", model.state_dict()), tmp_path / "midas_v21_384.pt")
    said = import_weights(MIDAS.name, tmp_path / "midas_v21_384.pt", inbox)
    digest = hashlib.sha256((inbox / "midas_v21.pt").read_bytes()).hexdigest()
    assert said == f"{inbox}/midas_v21.pt, sha256 {digest[:16]}..., which does not start with f6b98070"
    assert ledger.imported(inbox, "midas_v21") == digest
    with pytest.raises(InputError, match=r"holds a published checkpoint, which does not fit dffnet on resnest101e"):
        import_weights("published_dffnet_cuhk1", tmp_path / "midas_v21_384.pt", inbox)
    assert not (inbox / "published_dffnet_cuhk1.pth").exists()
    assert ledger.imported(inbox, "published_dffnet_cuhk1") == "none"


class Trap:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('executed')",)


def test_a_pickle_with_other_objects_is_not_opened(inbox: Path, tmp_path: Path) -> None:
    torch.save({"conv1.weight": Trap()}, tmp_path / "trap.pt")
    with pytest.raises(InputError, match=r"trap\.pt: not a file of weights alone: an object builtins\.exec is in it"):
        import_weights(MIDAS.name, tmp_path / "trap.pt", inbox)


def test_a_backbone_is_converted_once_and_starts_a_model_without_a_network(inbox: Path, tmp_path: Path) -> None:
    import timm

    torch.manual_seed(0)
    whole = timm.create_model("vgg16")
    torch.save(whole.state_dict(), tmp_path / "vgg16.pth")
    digest = hashlib.sha256((tmp_path / "vgg16.pth").read_bytes()).hexdigest()
    said = import_backbone("vgg16", tmp_path / "vgg16.pth", inbox)
    assert ledger.read(inbox)["backbones"] == {"vgg16": digest}
    assert said.endswith(f"from sha256 {digest[:16]}..., which does not start with 397923af")
    found = Backbone("vgg16", pretrained=inbox / "backbones/vgg16.safetensors", out_indices=(1, 2, 3, 4))
    assert torch.equal(found.encoder.features_0.weight, whole.features[0].weight)
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "wrong.pth")
    with pytest.raises(InputError, match=r"'vgg16' .*timm cannot make it"):
        import_backbone("vgg16", tmp_path / "wrong.pth", inbox)
