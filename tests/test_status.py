"""`dbdflow status` and `dbdflow import` as a person uses them, in a folder that is laid out as a checkout."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from components.acquire.sources import BACKBONES, CHECKPOINTS, MAPS, MIDAS
from components.catalog.sets import PACKAGED_LISTS
from components.common import ledger
from components.params import load_params
from pipelines.cli import main
from pipelines.commands.needs import needs
from tests.data import published

ROOT = Path(__file__).parent.parent
ITEMS = [
    "cuhk", "dut (train)", "dut (test)", "ctcug", "ebd", "cuhk_te2", "midas_v21", *CHECKPOINTS, *BACKBONES, *MAPS
]  # fmt: skip


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with the paper's params and nothing else."""
    folder = tmp_path / "checkout"
    (folder / ".dvc").mkdir(parents=True)
    shutil.copytree(ROOT / "presets", folder / "presets")
    for name in ("data/archives/sources.yaml", "data/external/README.md"):
        (folder / name).parent.mkdir(parents=True)
        shutil.copy(ROOT / name, folder / name)
    shutil.copy(ROOT / "presets/paper.yaml", folder / "params.yaml")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HF_HOME", str(folder / "hub-home"))
    return folder


def call(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def status() -> dict[str, dict[str, str]]:
    result = call("status", "--json")
    assert result.exit_code == 0, result.output
    return {line["item"]: line for line in json.loads(result.stdout)}


def test_from_nothing_everything_is_missing_and_says_what_to_do(here: Path) -> None:
    lines = status()
    assert list(lines) == ITEMS
    assert {line["state"] for line in lines.values()} == {"missing"}
    assert "dvc repro download@cuhk" in lines["cuhk"]["remedy"]
    assert "BlurDatasetGT.zip" in lines["cuhk"]["remedy"]
    assert "1_3Z7w9IrlqOU25QbVdhytQ (code aktv)" in lines["dut (train)"]["remedy"]
    assert "dvc repro" not in lines["dut (train)"]["remedy"]
    assert "ask the authors" in lines["ctcug"]["remedy"]
    assert "dvc repro depth_teacher" in lines["midas_v21"]["remedy"]
    assert all(f"dbdflow import {item.partition(' ')[0]}" in line["remedy"] for item, line in lines.items())


def test_what_things_are_needed_for() -> None:
    found = needs(load_params(ROOT / "presets/paper.yaml"))
    assert found["dut/train"] == "training 4 runs"
    assert found["dut/test"] == "testing on DUT-TE"
    assert found["ebd/all"] == "testing on EBD, EBD(1305)"
    assert found["cuhk/all"] == "training 16 runs and testing on CUHK-TE-1, CUHK-TE-2"
    assert found["cuhk_te2"] == "training dffnet_cuhk2_dut, d_dffnet_cuhk2_dut and testing on CUHK-TE-2"
    assert found["midas_v21"] == "training 9 runs"
    assert found["vgg16"] == "training dffnet_vgg16"
    assert found["published_d_dffnet_cuhk1"] == "rows beside d_dffnet"


def test_half_the_data(here: Path, tmp_path: Path) -> None:
    published.ctcug(tmp_path / "a")
    published.dut(tmp_path / "b", "DUT500S-Testing", "DUT500GT-Testing", "12")
    result = call("import", "ctcug", tmp_path / "a", "--partial")
    assert (result.exit_code, result.stdout) == (0, "ctcug: all: 3 of 150 pairs\n")
    assert call("import", "dut", tmp_path / "b", "--partial").exit_code == 0
    assert call("import", "cuhk_te2", PACKAGED_LISTS / "cuhk_te1.txt").exit_code == 0
    lines = status()
    assert (lines["ctcug"]["state"], lines["ctcug"]["found"]) == ("partial", "3 of 150 pairs in data/archives/ctcug")
    assert (lines["dut (test)"]["state"], lines["dut (train)"]["state"]) == ("partial", "missing")
    assert lines["dut (test)"]["found"] == "2 of 500 pairs in data/archives/dut"
    assert (lines["cuhk_te2"]["state"], lines["cuhk_te2"]["found"]) == (
        "present",
        "100 of 100 names in data/archives/cuhk_te2.txt",
    )


def test_a_whole_set_is_present_and_a_damaged_one_broken(here: Path, tmp_path: Path) -> None:
    published.ctcug(tmp_path / "a", count=150)
    assert call("import", "ctcug", tmp_path / "a").exit_code == 0
    assert status()["ctcug"]["state"] == "present"
    (here / "data/archives/ctcug/CTCUG/CTCUG_gt/7.png").write_bytes(b"damaged")
    line = status()["ctcug"]
    assert line["state"] == "broken"
    assert "data/archives/ctcug/CTCUG/CTCUG_gt/7.png: not a readable image" in line["remedy"]


def test_a_file_of_weights_that_is_not_the_published_one(here: Path) -> None:
    inbox, digest = here / "data/archives", hashlib.sha256(b"weights").hexdigest()
    (inbox / "midas_v21.pt").write_bytes(b"weights")
    line = status()["midas_v21"]
    assert line["state"] == "broken"
    assert f"its sha256 is {digest}, expected f6b98070" in line["remedy"]
    ledger.record_import(inbox, "midas_v21", digest, anyway=True)
    line = status()["midas_v21"]
    told = f"midas_v21.pt is not the published file (its sha256 starts with {digest[:8]})"
    assert (line["state"], line["found"]) == ("other", f"data/archives/midas_v21.pt, 0 MB: {told}")
    assert "`dbdflow import midas_v21 FILE`" in line["remedy"]
    ledger.record_sum(inbox, MIDAS.addresses[0], digest)
    assert status()["midas_v21"]["state"] == "other"  # until it is imported, or fetched, anew
    ledger.record_import(inbox, "midas_v21", digest)
    assert status()["midas_v21"]["state"] == "present"


def test_weights_of_a_backbone_that_are_not_the_published_ones(here: Path) -> None:
    inbox = here / "data/archives"
    (inbox / "backbones").mkdir()
    (inbox / "backbones/vgg16.safetensors").write_bytes(b"weights")
    ledger.record_import(inbox, "vgg16", "ab" * 32, backbone=True, anyway=True)
    line = status()["vgg16"]
    assert line["state"] == "other"
    assert line["found"].endswith("vgg16.safetensors is not the published file (its sha256 starts with abababab)")
    ledger.record_import(inbox, "vgg16", "ab" * 32, backbone=True)
    assert status()["vgg16"]["state"] == "present"
    assert "mobilenetv2_100" not in status(), "nothing of the paper's"
    (inbox / "backbones/mobilenetv2_100.safetensors").write_bytes(b"weights")
    ledger.record_import(inbox, "mobilenetv2_100", "cd" * 32, backbone=True)
    assert status()["mobilenetv2_100"]["state"] == "present"
    assert status()["mobilenetv2_100"]["needed_for"] == "presets with this backbone, which the paper's is not"


def test_maps_of_any_method(here: Path, tmp_path: Path) -> None:
    published.publish(tmp_path / "authors")
    result = call("import", "maps_cuhk2_dut", tmp_path / "authors/zip/maps.zip")
    assert result.stdout == "maps_cuhk2_dut: data/external/d_dffnet_cuhk2_dut, CUHK-TE-2: 2 maps, DUT-TE: 1 maps\n"
    assert status()["maps_cuhk2_dut"]["state"] == "present"
    result = call("import", "maps", tmp_path / "authors/maps", "--method", "lbp", "--white", "out_of_focus")
    assert result.stdout == "maps: data/external/lbp, CUHK-TE-1: 2 maps, DUT-TE: 1 maps\n"
    assert "white: out_of_focus" in (here / "data/external/lbp/method.yaml").read_text()
    result = call("import", "maps", tmp_path / "authors/maps", "--method", "new", "--white", "in_focus")
    assert result.stdout.endswith("(no row of the paper's tables is called new)\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["ebd", "none.zip"], "none.zip: no such file or folder"),
        (["midas_v21", "a", "b"], "b: one path too many"),
        (["maps", "a", "--method", "lbp"], "--white: say what white means in these maps"),
        (["maps", "a", "--white", "in_focus"], "--method '': expected a row of the paper's tables"),
        (["maps", "a", "--method", "../x", "--white", "in_focus"], "--method '../x': expected a row"),
    ],
)
def test_what_a_person_gets_wrong_is_one_message(here: Path, words: list[str], message: str) -> None:
    result = call("import", *words)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith(f"error: {message}")
    assert "Traceback" not in result.stderr


def test_from_a_sub_folder_it_is_the_same_checkout(here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published.ctcug(here / "docs/mine")
    monkeypatch.chdir(here / "docs")
    assert call("import", "ctcug", "nothing").stderr.startswith("error: nothing: no such file or folder")
    result = call("import", "ctcug", "mine", "--partial")
    assert (result.exit_code, result.stdout) == (0, "ctcug: all: 3 of 150 pairs\n")
    assert [path.name for path in (here / "docs").iterdir()] == ["mine"]
    assert status()["ctcug"]["found"] == "3 of 150 pairs in ../data/archives/ctcug"
    result = call("import", "maps", "mine", "--method", "lbp", "--white", "in_focus", "--test-set", "CTCUG")
    assert "both hold maps of CTCUG" in result.stderr
    monkeypatch.chdir(here)
    assert status()["ctcug"]["found"] == "3 of 150 pairs in data/archives/ctcug"
    monkeypatch.chdir(here / "docs")
    (here / "params.yaml").unlink()
    assert call("status").stderr.startswith("error: ../params.yaml: no such file")


def test_as_shipped_the_miniature_needs_nothing(here: Path) -> None:
    shutil.copy(ROOT / "params.yaml", here / "params.yaml")
    result = call("status")
    assert result.stdout.startswith("miniature (params.yaml) renders its photographs and needs nothing of this.")
    assert "18 missing." in result.stdout
