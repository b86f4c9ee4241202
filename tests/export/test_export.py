"""`dbdflow export`: files whose maps are torch's at any size, or no file at all."""

import json
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from components.common.storage import file_hash
from components.datasets.loader import IMAGENET_MEAN, IMAGENET_STD
from components.export import writing
from components.export.int8 import Photographs
from components.export.program import CHECKED, Program, as_input, evenly, furthest, rounding, views
from components.export.torchscript import FACTS, open_torchscript
from components.models import DETECTOR_NAMES
from components.models.run_files import write_run
from dbdflow import Detector
from pipelines.cli import main
from pipelines.commands.export import photographs_of
from tests.models.tiny import build_tiny

pytestmark = pytest.mark.usefixtures("one_thread")
PIXELS = np.random.default_rng(0).integers(0, 256, (90, 130, 3), dtype=np.uint8)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with photographs to check by, and nothing else."""
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for number, part in enumerate((PIXELS, PIXELS[::2, ::-1], PIXELS[:50])):
        Image.fromarray(np.ascontiguousarray(part)).save(f"photos/{number}.png")
    return tmp_path


def run(name: str, *, best: bool = False) -> Path:
    """The folder of an untrained run that sees 64 pixels."""
    params = {"image_size": 64, "model": {"training": "best1"}} if best else {"image_size": 64}
    write_run(Path(name), build_tiny(name), [], {"run": "mine", "train": "CUHK-TR-1", "model": name, "params": params})
    return Path(name)


def export(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["export", *map(str, arguments), "--check", "photos"])
    return done.exit_code, done.output


def by_hand(model: str, inputs: np.ndarray) -> np.ndarray:
    """The maps of RGB in [0, 1], (N, 3, H, W), by torch alone."""
    mean, std = (np.array(each, np.float32).reshape(1, 3, 1, 1) for each in (IMAGENET_MEAN, IMAGENET_STD))
    with torch.inference_mode():
        return torch.sigmoid(build_tiny(model)(torch.from_numpy((inputs - mean) / std)).logits).numpy()


def onnx_run(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """As a stranger would run it: with onnxruntime alone."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda inputs: session.run(["maps"], {"photographs": inputs})[0]


def onnx_facts(path: str) -> dict[str, str]:
    """What a file says of itself."""
    return {each.key: each.value for each in onnx.load(path).metadata_props}


@pytest.mark.parametrize("model", DETECTOR_NAMES)
@pytest.mark.parametrize("suffix", [".onnx", ".torchscript"])
def test_every_detector_at_sizes_that_it_was_not_traced_at(here: Path, model: str, suffix: str) -> None:
    out = here / f"net{suffix}"
    code, said = export(run(model), out)
    assert code == 0, said
    maps_of = onnx_run(out) if suffix == ".onnx" else open_torchscript(out)
    for shape in ((1, 3, 64, 64), (2, 3, 96, 160), (3, 3, 192, 32)):
        inputs = np.random.default_rng(1).random(shape, np.float32)
        found = maps_of(inputs)
        assert found.shape == (shape[0], 1, *shape[2:])
        np.testing.assert_allclose(found, by_hand(model, inputs), atol=1e-4)
    assert found.std() > 1e-3


def test_maps_by_the_recipe_best_are_the_detectors(here: Path) -> None:
    """Mirror image and sharpening are inside."""
    plain = Detector.load(run("pdnet")).map(PIXELS)
    folder = run("pdnet", best=True)
    assert export(folder, "net.onnx")[0] == 0
    expected = Detector.load(folder).map(PIXELS)
    np.testing.assert_allclose(Detector.load("net.onnx").map(PIXELS), expected, atol=1e-4)
    assert np.abs(plain - expected).max() > 0.01
    assert onnx_facts("net.onnx")["passes"] == "2, of the photograph and its mirror image"


def test_one_pass_is_the_photographs_own(here: Path) -> None:
    """Probabilities p become p^3 : (1 - p)^3, and no mirror image has a say."""
    inputs = np.random.default_rng(1).random((1, 3, 64, 64), np.float32)
    single = by_hand("pdnet", inputs)
    assert export(run("pdnet", best=True), "one.onnx", "--one-pass")[0] == 0
    expected = single**3 / (single**3 + (1 - single) ** 3)
    np.testing.assert_allclose(onnx_run(Path("one.onnx"))(inputs), expected, atol=1e-4)
    assert onnx_facts("one.onnx")["passes"] == "1"


def test_maps_end_at_1(here: Path) -> None:
    """onnxruntime's sigmoid reaches 1.0000001, at 16 to 17 for one."""
    network = build_tiny("pdnet")
    with torch.no_grad():
        network.head.weight.mul_(30)
    write_run(Path("wide"), network, [], {"run": "wide", "model": "pdnet", "params": {"image_size": 64}})
    writing.write(
        Path("wide.onnx"),
        Program(network, best=False),
        {"image_size": "64"},
        checks=[Path("photos/0.png")],
        calibrates=[],
        watch=lambda done, count, things: [],
    )
    found = onnx_run(Path("wide.onnx"))(np.random.default_rng(0).random((4, 3, 256, 256), np.float32))
    assert (found == 1).mean() > 0.01
    assert found.max() == 1


def test_a_file_says_what_it_is(here: Path) -> None:
    folder = run("pdnet")
    code, said = export(folder, "net.onnx", "--licence", "CC0")
    assert (code, "MB; 1 = in focus; licence of the weights: CC0" in said) == (0, True), said
    model, facts = onnx.load("net.onnx"), onnx_facts("net.onnx")
    assert facts["opset"] == str(model.opset_import[0].version) == "17"
    assert facts["weights_sha256"] == file_hash(folder / "model.safetensors")
    assert (facts["run"], facts["train"], facts["licence"]) == ("mine", "CUHK-TR-1", "CC0")
    assert facts["network"] == "pdnet on resnet10t"
    assert facts["passes"] == "1"
    assert facts["polarity"] == "1 = in focus, 0 = out of focus"
    assert (facts["mean"], facts["std"]) == ("0.485, 0.456, 0.406", "0.229, 0.224, 0.225")
    dims = [[dim.dim_param or dim.dim_value for dim in each.type.tensor_type.shape.dim] for each in model.graph.output]
    assert dims == [["batch", 1, "height", "width"]]
    assert export(folder, "net.torchscript")[0] == 0
    with zipfile.ZipFile("net.torchscript") as archive:
        inside = json.loads(archive.read(f"archive/extra/{FACTS}"))
    assert inside["licence"] == "not stated"
    assert {key: inside[key] for key in ("run", "input", "output", "mean")} == {
        key: facts[key] for key in ("run", "input", "output", "mean")
    }


def test_what_is_not_torchs_is_not_written(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = run("pdnet")
    Path("net.onnx").write_text("mine")
    monkeypatch.setattr(writing, "furthest", lambda *arguments: 2e-4)
    code, said = export(folder, "net.onnx", "--overwrite")
    assert code == 2
    assert "error: net.onnx: its maps differ from torch's by up to 2.0e-04, expected at most 1e-04, and" in said
    assert Path("net.onnx").read_text() == "mine"
    assert sorted(path.name for path in here.iterdir()) == ["net.onnx", "pdnet", "photos"]


@pytest.mark.parametrize(("own", "code"), [(4.9e-5, 2), (5.1e-5, 0)])
def test_it_may_be_four_times_what_torchs_own_is_off(
    here: Path, monkeypatch: pytest.MonkeyPatch, own: float, code: int
) -> None:
    monkeypatch.setattr(writing, "furthest", lambda *arguments: 2e-4)
    monkeypatch.setattr(writing, "rounding", lambda *arguments: own)
    assert export(run("pdnet"), "net.onnx")[0] == code
    assert Path("net.onnx").is_file() == (code == 0)


def test_the_difference_is_the_largest_over_all_inputs() -> None:
    whole = Program(build_tiny("pdnet"), best=False)
    inputs = [np.random.default_rng(n).random((1, 3, 64, 64), np.float32) for n in range(3)]

    def off_in_one_place(each: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            found = whole(torch.from_numpy(each)).numpy()
        if each is inputs[1]:
            found[0, 0, 3, 5] += 0.25
        return found

    assert furthest(off_in_one_place, whole, inputs[::2]) < 1e-6
    assert 0 < rounding(whole, inputs[::2]) == furthest(off_in_one_place, whole, inputs[::2])
    assert furthest(off_in_one_place, whole, inputs) == pytest.approx(0.25, abs=1e-6)
    assert np.isnan(furthest(lambda each: np.full((1, 1, 64, 64), np.nan), whole, inputs))


def test_views_are_many_sizes_of_all_photographs(here: Path) -> None:
    paths = sorted(Path("photos").iterdir())
    found = list(views(paths, 64, 32))
    assert len(found) == CHECKED == 20
    assert found[0].shape == (1, 3, 64, 64)
    whole = np.asarray(Image.fromarray(PIXELS).resize((64, 64), Image.Resampling.BILINEAR)) / np.float32(255)
    np.testing.assert_array_equal(found[0][0], whole.transpose(2, 0, 1))
    assert {each.shape[0] for each in found} == {1, 2}
    assert all(each.shape[2] % 32 == each.shape[3] % 32 == 0 for each in found)
    assert len({each.shape[2:] for each in found}) > 8
    assert all(0 <= each.min() < each.max() <= 1 and each.dtype == np.float32 for each in found)
    for one, other in zip(found, views(paths, 64, 32), strict=True):
        np.testing.assert_array_equal(one, other)


def test_evenly() -> None:
    paths = [Path(str(number)) for number in range(10)]
    assert evenly(paths, 3) == [Path("0"), Path("3"), Path("6")]
    assert evenly(paths[:2], 3) == paths[:2]


def test_8_bits(here: Path) -> None:
    folder = run("dffnet")
    assert export(folder, "net.onnx")[0] == 0
    code, said = export(folder, "small.onnx", "--int8", "photos")
    assert code == 0, said
    assert "8 bits, calibrated by 3 photographs: MAE 0." in said
    model = onnx.load("small.onnx")
    facts = {each.key: each.value for each in model.metadata_props}
    assert facts["calibration"] == "0.png, 1.png, 2.png"
    assert facts["run"] == "mine"
    kinds = {each.data_type for each in model.graph.initializer}
    assert onnx.TensorProto.INT8 in kinds
    inputs = np.concatenate([as_input(Image.open(f"photos/{number}.png"), 64, 64) for number in range(3)])
    whole, small = onnx_run(Path("net.onnx"))(inputs), onnx_run(Path("small.onnx"))(inputs)
    assert 0 < np.abs(whole - small).mean() < 0.1
    assert float(said.partition("MAE ")[2][:6]) == pytest.approx(np.abs(whole - small).mean(), abs=1e-4)


def test_calibration_reads_each_photograph_once_in_order(here: Path) -> None:
    read = []

    def paths():  # type: ignore[no-untyped-def]
        for number in range(3):
            read.append(number)
            yield Path(f"photos/{number}.png")

    reader = Photographs(paths(), 3, 64)
    assert len(reader) == 3
    for number in range(3):
        reader.set_range(number, number + 1)
        assert reader.get_next()["photographs"].shape == (1, 3, 64, 64)
        assert reader.get_next() is None
        assert read == list(range(number + 1))


def test_what_a_person_can_do_wrong(here: Path) -> None:
    folder = run("pdnet")
    Path("there.onnx").write_text("mine")
    Path("empty").mkdir()
    write_run(Path("midas"), build_tiny("midas"), [], {"run": "midas", "params": {"image_size": 64}})
    wrong = {
        (folder, "net.pt"): "net.pt: expected a name that ends in .onnx or .torchscript",
        (folder, "there.onnx"): "there.onnx: not made by this command, or changed since, and would be replaced; name",
        (folder, "net.torchscript", "--int8", "photos"): "--int8 photos: 8 bits are of ONNX alone; name a file that",
        (folder, "net.onnx", "--int8", "nowhere"): "--int8 nowhere: no such folder; name one of photographs",
        (folder, "net.onnx", "--int8", "empty"): "--int8 empty: no photographs in it; name a folder of some",
        (folder, "photos/0.png/net.onnx"): "photos/0.png: cannot make this folder (",
        (folder, "net.onnx", "--one-pass"): "--one-pass: pdnet/model.safetensors makes its maps in one pass as it is",
        ("lbp", "net.onnx"): "lbp: a classical method, which is no network; name a run, or a file of weights",
        ("smal", "net.onnx"): "--model smal: nothing has this name. Methods: ",
        ("midas", "net.onnx"): "midas/model.safetensors: holds a depth teacher; name a network",
    }
    for arguments, message in wrong.items():
        code, said = export(*arguments)
        assert (code, said.startswith(f"error: {message}"), said.count("\n")) == (2, True, 1), said
    assert Path("there.onnx").read_text() == "mine"
    Path("photos/0.png").write_bytes(b"broken")
    code, said = export(folder, "net.onnx")
    assert (code, "photos/0.png: not a readable image" in said) == (2, True), said
    assert not Path("net.onnx").exists()


def test_the_model_is_looked_at_first(here: Path) -> None:
    """Where there are no photographs to check by, too."""
    run("pdnet")
    Path("empty").mkdir()
    wrong = {
        ("lbp", "net.onnx"): "lbp: a classical method",
        ("smal", "net.onnx"): "--model smal: nothing has this name",
        ("pdnet", "net.onnx", "--int8", "empty"): "--int8 empty: no photographs in it",
        ("pdnet", "net.onnx"): "data/examples: no photographs to check by; name a folder of some by --check",
    }
    for words, message in wrong.items():
        done = CliRunner().invoke(main, ["export", *words])
        assert (done.exit_code, done.output.startswith(f"error: {message}")) == (2, True), done.output


def test_two_photographs_of_one_stem_are_both_looked_at(here: Path) -> None:
    Image.fromarray(PIXELS).save("photos/0.tif")
    assert [path.name for path in photographs_of("--check", Path("photos"))] == ["0.png", "0.tif", "1.png", "2.png"]


def test_terminated_it_leaves_nothing(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("pdnet")
    monkeypatch.setattr(writing, "furthest", lambda *arguments: os.kill(os.getpid(), signal.SIGTERM))
    before = sorted(here.rglob("*"))
    code, said = export("pdnet", "net.onnx")
    assert (code, said.splitlines()[-1]) == (143, "terminated; net.onnx was not written")
    assert sorted(path for path in here.rglob("*") if ".dbdflow" not in path.parts) == before


def test_a_detector_of_a_file_that_was_not_exported_here(here: Path) -> None:
    folder = run("pdnet")
    assert export(folder, "net.onnx")[0] == 0
    with pytest.raises(ValueError, match="an ONNX file runs on the CPU here; set the device to auto or cpu"):
        Detector.load("net.onnx", device="cuda")
    assert export("net.onnx", "again.onnx")[1].startswith("error: net.onnx: not weights but ")
    Path("cut.onnx").write_bytes(Path("net.onnx").read_bytes()[:5000])
    with pytest.raises(ValueError, match=r"^cut.onnx: not a readable ONNX file \(.*\); export it again$"):
        Detector.load("cut.onnx")
    model = onnx.load("net.onnx")
    del model.metadata_props[:]
    onnx.save(model, "other.onnx")
    with pytest.raises(
        ValueError, match=r"^other\.onnx: an ONNX file of something else; expected one that `dbdflow exp"
    ):
        Detector.load("other.onnx")


def test_without_the_extra_one_line_says_what_to_install(here: Path) -> None:
    folder = run("pdnet")
    code = (
        "import sys; sys.modules['onnxruntime'] = None\n"
        "from pipelines.cli import main\n"
        f"main(['export', '{folder}', sys.argv[1], '--check', 'photos'])"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run([*command, "net.onnx"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        2,
        "error: net.onnx: found no package onnxruntime, expected onnx and onnxruntime for ONNX files; `pip install "
        "dbdflow[export]` brings both\n",
    )


def test_the_program_of_the_documentation(here: Path) -> None:
    folder = run("pdnet")
    assert export(folder, "focus.onnx")[0] == 0
    Image.fromarray(PIXELS).save("photo.jpg", quality=100)
    page = (Path(__file__).parents[2] / "docs/export.md").read_text()
    names: dict[str, Image.Image] = {}
    exec(page.partition("```python\n")[2].partition("```")[0], names)
    np.testing.assert_allclose(names["focus"], Detector.load(folder).map("photo.jpg"), atol=1e-3)
