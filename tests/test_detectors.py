"""What `--model` may name: each kind gives the maps of its network or method, and a wrong name lists what there is."""

import json
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from components.baselines.dbdf import dbdf, fit
from components.baselines.hifst import hifst
from components.baselines.lbp import lbp
from components.common.availability import Gap, mark
from components.common.errors import InputError
from components.common.storage import write_json
from components.models import checkpoints
from components.models.checkpoints import save_model
from components.models.network import Network
from components.models.published import recognise, to_published
from components.models.registry import build_model
from components.models.run_files import write_run
from dbdflow import detector
from pipelines.commands.ship import BEGIN, END, ship
from pipelines.running.detectors import at_hand, find_detector
from tests.models.tiny import MODELS, build_tiny, picture_of

pytestmark = pytest.mark.usefixtures("one_thread")
PIXELS = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, an empty folder of weights that ship, a photograph."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DBDFLOW_CORES", "1")
    monkeypatch.setattr(detector, "WEIGHTS", tmp_path / "weights")
    Image.fromarray(PIXELS).save("photo.png")
    return tmp_path


@pytest.fixture(scope="module")
def model() -> Network:
    return build_tiny("dffnet")


def made(name: str) -> np.ndarray:
    """The map that a detector makes of the photograph."""
    found = find_detector(name, "cpu").picture(Path("photo.png"))
    assert found.dtype == np.uint8
    return found


def run(folder: Path, model: Network, side: int = 64) -> None:
    card = {"run": folder.name, "train": "CUHK-TR-1", "model": "dffnet", "backbone": "resnet10t"}
    write_run(folder, model, [], {**card, "params": {"image_size": side}})


def expected(model: Network, side: int) -> np.ndarray:
    return picture_of(model, PIXELS, side)


def test_a_run_by_its_name_its_folder_and_its_file(here: Path, model: Network) -> None:
    run(Path("data/models/mine"), model)
    run(Path("elsewhere/other"), model, side=96)
    np.testing.assert_array_equal(made("mine"), expected(model, 64))
    np.testing.assert_array_equal(made("elsewhere/other"), expected(model, 96))
    np.testing.assert_array_equal(made("elsewhere/other/model.safetensors"), expected(model, 96))


def test_what_ships_is_the_run_in_half_the_bytes_with_its_facts(here: Path, model: Network) -> None:
    run(Path("data/models/mine"), model)
    scores = {"mae": 0.04567, "f_beta": 0.9, "f_beta_published": 0.91, "iou": 0.85, "images": 100}
    write_json(Path("summary.json"), {"CUHK-TE-1": scores})
    Path("weights").mkdir()
    Path("weights/README.md").write_text(f"before\n{BEGIN}old\n{END}after\n")
    file = ship(Path("data/models/mine"), here, here / "weights", "c0ffee")
    assert file == here / "weights/small.safetensors"
    assert {str(value.dtype) for value in checkpoints.read_tensors(file).values()} == {"torch.float16", "torch.int64"}
    told = {"run": "mine", "train": "CUHK-TR-1", "commit": "c0ffee", "image_size": "64", "best": "no"}
    assert checkpoints.read_metadata(file) == told
    assert {value.dtype for value in checkpoints.load_model(file).parameters()} == {torch.float32}
    np.testing.assert_array_equal(made("small"), expected(deepcopy(model).half().float(), 64))
    np.testing.assert_array_equal(made(str(file)), made("small"))
    card = (here / "weights/README.md").read_text()
    assert card.startswith(f"before\n{BEGIN}| | |\n")
    assert "| CUHK-TE-1 | 100 | 0.0457 | 0.9000 | 0.9100 | 0.8500 |\n" + END + "after\n" in card
    assert "old" not in card


def test_nothing_ships_that_float16_cannot_hold(here: Path, model: Network) -> None:
    wide = build_tiny("pdnet")
    with torch.no_grad():
        wide.head.bias.fill_(1e5)
    run(Path("wide"), wide)
    Path("weights").mkdir()
    with pytest.raises(InputError, match=r"^wide/model.safetensors: head.bias has values that float16 cannot hold; "):
        ship(Path("wide"), here, here / "weights", "c0ffee")
    assert list(Path("weights").iterdir()) == []


def test_a_published_checkpoint(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In its own names; on a small backbone here, as the published ones take seconds to build."""
    torch.manual_seed(0)
    model = build_model("dffnet", "resnet10t").eval()
    torch.save(to_published("dffnet", model.state_dict()), "theirs.pth")
    assert recognise(to_published("dffnet", model.state_dict())) == ("dffnet", "resnest101e")
    monkeypatch.setattr(checkpoints, "recognise", lambda keys: ("dffnet", "resnet10t"))
    monkeypatch.setattr(detector, "PUBLISHED_SIZE", 64)
    np.testing.assert_array_equal(made("theirs.pth"), expected(model, 64))


@pytest.mark.parametrize("name", ["dffnet", "pdnet", "rdffnet", "midas"])
def test_published_checkpoints_are_told_by_their_keys(name: str) -> None:
    backbone = "resnext101_32x8d" if name == "midas" else "resnest101e"
    assert recognise(to_published(name, build_tiny(name).state_dict())) == (name, backbone)


def test_all_published_keys_are_told(shared: Path) -> None:
    found = json.loads((shared / "parity/reference_keys.json").read_text())
    told = {name: (recognise(keys) or ("",))[0] for name, keys in found.items()}
    assert told.pop("midas_v21") == "midas"
    assert told.pop("dffnet_without_dffm") == "dffnet"  # the same keys
    assert told == {name: name for name in MODELS if name not in {"midas", "dffnet_without_dffm"}}


def test_a_file_of_other_weights_is_named(here: Path) -> None:
    torch.save({"x.weight": torch.ones(1)}, "other.pth")
    with pytest.raises(
        InputError,
        match=r"^other.pth: no published checkpoint known here, but tensors of no network known here \(x.weight\); exp",
    ):
        find_detector("other.pth", "cpu")


@pytest.mark.parametrize("method", [lbp, hifst])
def test_methods_that_do_not_learn(here: Path, method) -> None:
    np.testing.assert_array_equal(made(method.__name__), (method(PIXELS) * 255).round().astype(np.uint8))


def test_a_method_that_learns_takes_this_checkouts_knowledge_before_what_ships(here: Path) -> None:
    with pytest.raises(InputError) as error:
        find_detector("dbdf", "cpu")
    assert str(error.value) == (
        "--model dbdf: it learns from photographs first, and neither data/predictions/dbdf/fitted.npz nor "
        f"{here}/weights/dbdf.npz is there; `dvc repro baseline@dbdf` makes the first, or choose another method or "
        "network"
    )
    label = np.zeros((40, 56), np.uint8)
    label[:, 28:] = 1
    for path, which in (("weights/dbdf.npz", label), ("data/predictions/dbdf/fitted.npz", 1 - label)):
        smooth = np.where(which[..., None] == 1, PIXELS, PIXELS // 8)
        fitted = fit([(smooth, which)])
        Path(path).parent.mkdir(parents=True)
        np.savez(path, **fitted)
        np.testing.assert_array_equal(made("dbdf"), (dbdf(PIXELS, fitted) * 255).round().astype(np.uint8))


def test_an_unknown_name_lists_what_there_is(here: Path, model: Network) -> None:
    told = (
        "--model smal: nothing has this name. Methods: dbdf, lbp, hifst; runs in data/models: {}; weights that ship: "
        "{}; or name a folder with model.safetensors, a .safetensors file, a published checkpoint (.pt, .pth), or an "
        "exported .onnx file"
    )
    with pytest.raises(InputError) as error:
        find_detector("smal", "cpu")
    assert str(error.value) == told.format("none here", "none here")
    for name in ("d_b", "a"):
        run(Path("data/models", name), model)
    save_model(here / "weights/small.safetensors", model, {})
    with pytest.raises(InputError) as error:
        find_detector("smal", "cpu")
    assert str(error.value) == told.format("a, d_b", "small")


def test_what_is_at_hand(here: Path, model: Network) -> None:
    """Weights that ship, runs, methods; not the one that has not learned; each once."""
    assert at_hand() == ["lbp", "hifst"]
    for name in ("d_b", "a", "small"):
        run(Path("data/models", name), model)
    save_model(here / "weights/small.safetensors", model, {})
    np.savez(here / "weights/dbdf.npz", learned=PIXELS)
    assert at_hand() == ["small", "a", "d_b", "dbdf", "lbp", "hifst"]


def test_a_run_that_was_not_trained_says_why(here: Path) -> None:
    mark(Path("data/models/dut"), Gap("DUT", "nobody has it", "get it"))
    with pytest.raises(InputError, match=r"^--model dut: DUT: not at hand \(nobody has it\); get it$"):
        find_detector("dut", "cpu")
