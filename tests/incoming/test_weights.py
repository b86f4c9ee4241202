"""Weights brought in by hand: held to the hash in their name, to the model's tensors, never executed."""

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from components.acquire.obtain import check_kept, known_hashes
from components.acquire.sources import BACKBONES, CHECKPOINTS, MIDAS
from components.common import ledger
from components.common.errors import InputError
from components.incoming import weights
from components.incoming.weights import check_hash, import_backbone, import_weights
from components.models.backbone import Backbone
from components.models.network import Network
from components.models.published import to_published
from components.models.registry import build_model
from components.train.experiment import origin
from tests.models import tiny

pytestmark = pytest.mark.usefixtures("one_thread")


DIGITS = hashlib.sha256(b"weights").hexdigest()
OTHER = f"not the published file: its sha256 starts with {DIGITS[:8]}, "


@pytest.mark.parametrize(
    ("name", "known", "why"),
    [
        ("midas_v21_384.pt", [], ""),
        (f"midas_v21-{DIGITS[:8]}.pt", [], ""),
        (f"x-{DIGITS}.pth", [DIGITS], ""),
        ("x.pt", ["f6b98070", DIGITS[:8]], ""),
        ("midas_v21-f6b98070.pt", [], "its name says f6b98070"),
        ("x.pt", ["f6b98070"], "the published one's with f6b98070"),
        (
            "x-0123abcd.pt",
            ["f6" * 32, "f7" * 32],
            "its name says 0123abcd, the published one's with f6f6f6f6 or f7f7f7f7",
        ),
        (f"x-{DIGITS[:8]}.pt", ["f6b98070"], "the published one's with f6b98070"),
    ],
)
def test_a_file_is_held_to_the_published_hash_and_to_its_name(
    tmp_path: Path, name: str, known: list[str], why: str
) -> None:
    (path := tmp_path / name).write_bytes(b"weights")
    if not why:
        assert check_hash(path, known, anyway=False) == check_hash(path, known, anyway=True) == (DIGITS, "")
        return
    with pytest.raises(
        InputError, match=rf"^{path}: {OTHER}{why}; download it again, or take it as it is with --anyway$"
    ):
        check_hash(path, known, anyway=False)
    assert check_hash(path, known, anyway=True) == (DIGITS, f"; {OTHER}{why}; status, report and MLflow will say so")


@pytest.fixture
def midas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of weights of a small depth teacher, which `import` takes for MiDaS."""

    def small(name: str, backbone: str) -> Network:
        return build_model(name, "resnet10t", backbone_kwargs=tiny.BACKBONE, width=8)

    monkeypatch.setattr(weights, "build_model", small)
    torch.save(to_published("midas", small("midas", "").state_dict()), path := tmp_path / "midas_v21_384.pt")
    return path


def test_midas_goes_to_the_inbox_as_it_is_if_it_is_the_published_file(
    inbox: Path, midas: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest, before = hashlib.sha256(midas.read_bytes()).hexdigest(), (inbox / ledger.FILE).read_bytes()
    told = (
        rf"^{midas}: not the published file: its sha256 starts with {digest[:8]}, the published one's with f6b98070; "
    )
    with pytest.raises(InputError, match=told):
        import_weights(MIDAS.name, midas, inbox, anyway=False)
    with pytest.raises(InputError, match=r"holds what looks like MiDaS v2\.1, which does not fit dffnet on resnet10t"):
        import_weights("published_dffnet_cuhk1", midas, inbox, anyway=True)
    assert sorted(path.name for path in inbox.iterdir()) == [ledger.FILE]
    assert (inbox / ledger.FILE).read_bytes() == before

    said = import_weights(MIDAS.name, midas, inbox, anyway=True)
    assert said.startswith(f"{inbox}/midas_v21.pt, sha256 {digest[:16]}...; not the published file: ")
    assert (inbox / "midas_v21.pt").read_bytes() == midas.read_bytes()
    assert (ledger.imported(inbox, "midas_v21"), ledger.imported(inbox, "midas_v21", "anyway")) == (digest, digest)
    note = {"not_published": f"midas_v21.pt is not the published file (its sha256 starts with {digest[:8]})"}
    assert check_kept(MIDAS, MIDAS.name, inbox) == note

    monkeypatch.setattr(weights, "known_hashes", lambda archive, inbox: (digest[:8],))
    said = import_weights(MIDAS.name, midas, inbox, anyway=True)
    assert said == f"{inbox}/midas_v21.pt, sha256 {digest[:16]}..."
    assert ledger.imported(inbox, "midas_v21", "anyway") == "none"
    with pytest.raises(InputError, match=rf"midas_v21\.pt: its sha256 is {digest}, expected f6b98070"):
        check_kept(MIDAS, MIDAS.name, inbox)


def test_a_checkpoint_is_held_to_what_its_address_gave_before(inbox: Path) -> None:
    archive = CHECKPOINTS["published_dffnet_cuhk1"]
    assert known_hashes(archive, inbox) == ()
    ledger.record_sum(inbox, archive.addresses[0], "ab" * 32)
    assert known_hashes(archive, inbox) == ("ab" * 32,)


def test_what_is_no_file_is_named(inbox: Path, tmp_path: Path) -> None:
    for path, what in ((tmp_path, "a folder"), (tmp_path / "none.pt", "no such file")):
        with pytest.raises(InputError, match=rf"^{path}: {what}; name the file of weights that you downloaded$"):
            import_weights(MIDAS.name, path, inbox, anyway=False)


class Trap:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('executed')",)


def test_a_pickle_with_other_objects_is_not_opened(inbox: Path, midas: Path, tmp_path: Path) -> None:
    torch.save({"conv1.weight": Trap()}, tmp_path / "trap.pt")
    with pytest.raises(InputError, match=r"trap\.pt: not a file of weights alone: an object exec is in it"):
        import_weights(MIDAS.name, tmp_path / "trap.pt", inbox, anyway=True)


def test_a_backbone_is_converted_once_and_starts_a_model_without_a_network(
    inbox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever wrapped it; by its own name here, as the published ones take seconds to build."""
    import timm

    torch.manual_seed(0)
    whole = timm.create_model("resnet10t").state_dict()
    torch.save({"state_dict": {f"module.{key}": value for key, value in whole.items()}}, path := tmp_path / "mine.pth")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setitem(BACKBONES, "resnet10t", "397923af")
    with pytest.raises(InputError, match=rf"^{path}: not the published file: .* the published one's with 397923af; d"):
        import_backbone("resnet10t", path, inbox, anyway=False)
    assert not list((inbox / "backbones").iterdir())
    said = import_backbone("resnet10t", path, inbox, anyway=True)
    assert said.startswith(f"{inbox}/backbones/resnet10t.safetensors, from sha256 {digest[:16]}...; not the published")
    assert ledger.read(inbox)["backbones"] == ledger.read(inbox)["anyway"] == {"resnet10t": digest}
    found = Backbone("resnet10t", pretrained=inbox / "backbones/resnet10t.safetensors")
    assert torch.equal(found.encoder.conv1[0].weight, whole["conv1.0.weight"])
    assert origin(True, "resnet10t", inbox)["not_published"] == (
        f"resnet10t.safetensors is not the published file (its sha256 starts with {digest[:8]})"
    )

    save_file({**whole, "tied": whole["conv1.0.weight"].clone()}, hub := tmp_path / "model.safetensors")
    assert import_backbone("resnet10t", hub, inbox, anyway=False).endswith("...")  # of timm's hub, with no known hash
    assert ledger.imported(inbox, "resnet10t", "anyway") == "none"
    assert "not_published" not in origin(True, "resnet10t", inbox)
    torch.save({"conv1.0.weight": torch.zeros(1)}, wrong := tmp_path / "wrong.pth")
    told = rf"'resnet10t' \(pretrained: {wrong}.*timm cannot make it .*; name a file of resnet10t's ImageNet weights$"
    with pytest.raises(InputError, match=told):
        import_backbone("resnet10t", wrong, inbox, anyway=True)


def test_what_is_said_of_weights_names_the_persons_file_once(
    inbox: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And nothing of a library's words on tensors that no backbone has."""
    import timm

    half = {key: value.half() for key, value in timm.create_model("resnet10t").state_dict().items()}
    torch.save(half | {"fpn.weight": torch.zeros(2)}, path := tmp_path / "half.pth")
    caplog.clear()
    import_backbone("resnet10t", path, inbox, anyway=True)
    assert [record.getMessage() for record in caplog.records] == [f"{path}: float16 taken as float32"]
