"""The command `dbdflow`: what comes out for a person's own folders, and one clear message for each mistake."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from components.catalog.images import read_photograph
from components.datasets.prepared import PreparedSet
from components.models.registry import build_model
from components.models.run_files import write_run
from pipelines.cli import main
from pipelines.commands.score import pictures
from tests.models.tiny import picture_of

pytestmark = pytest.mark.usefixtures("one_thread")
TOLD = "{0}/maps/index.html and {0}/maps/photographs.parquet"
MADE = [".predict", "B.png", "a.png", "index.html", "photographs.parquet"]
BACKBONE = {"channels": [8, 16, 32, 64]}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained runs, where a checkout has its own: a detector and a depth teacher."""
    root = tmp_path_factory.mktemp("checkout")
    torch.manual_seed(0)
    for name in ("dffnet", "midas"):
        model = build_model(name, "resnet10t", backbone_kwargs=BACKBONE, width=8)
        card = {"run": name, "params": {"image_size": 64} if name == "dffnet" else {"epochs": 1}}
        write_run(root / "data" / "models" / name, model, [], card)
    return root


def photo(path: Path, height: int = 20, width: int = 30, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(values).save(path)
    return path


def grey(path: Path, values: list[list[int]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array(values, dtype=np.uint8)).save(path)
    return path


@pytest.fixture
def here(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder: two photographs in `photos`, the runs of `runs` beside it."""
    monkeypatch.chdir(runs)
    monkeypatch.setenv("DBDFLOW_CORES", "1")
    photo(tmp_path / "photos" / "a.jpg", 20, 30)
    photo(tmp_path / "photos" / "B.JPG", 33, 17, seed=1)
    return tmp_path


def call(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def says(result: Result) -> str:
    """The one message of a call that failed for its input."""
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    message = result.stderr.rpartition("error: ")[2]
    assert result.stderr.endswith(f"error: {message}")
    assert message.count("\n") == 1
    return message.strip()


def predict(here: Path, photos: str = "photos", run: str = "dffnet", out: str = "maps") -> Result:
    return call("predict", here / photos, "--model", run, "--out", here / out)


def test_predicted_maps_have_the_photographs_own_sizes(here: Path, runs: Path) -> None:
    (here / "photos" / "notes.txt").write_text("not a picture")
    result = predict(here)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"2 maps in {here}/maps (white = in focus)\n{TOLD.format(here)}\n"
    assert sorted(path.name for path in (here / "maps").iterdir()) == MADE
    with Image.open(here / "maps/a.png") as a, Image.open(here / "maps/B.png") as b:
        assert (a.mode, a.size, b.mode, b.size) == ("L", (30, 20), "L", (17, 33))
        found = np.asarray(a)
    torch.manual_seed(0)
    model = build_model("dffnet", "resnet10t", backbone_kwargs=BACKBONE, width=8).eval()
    values = np.asarray(read_photograph(here / "photos/a.jpg"))
    expected = picture_of(model, values, 64)
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_one_photograph_and_a_run_by_its_folder(here: Path, runs: Path) -> None:
    result = predict(here, "photos/a.jpg", run=str(runs / "data/models/dffnet"))
    assert result.exit_code == 0, result.output
    assert [path.name for path in (here / "maps").iterdir()] == ["a.png"]


def test_predict_names_a_missing_folder(here: Path) -> None:
    assert says(predict(here, "none")).startswith(f"{here}/none: no such file or folder; name photographs (.bmp,")


def test_predict_names_a_folder_without_pictures(here: Path) -> None:
    (here / "empty").mkdir()
    (here / "empty/readme.txt").write_text("nothing")
    assert says(predict(here, "empty")).startswith(f"{here}/empty: no picture in it; expected .bmp, ")


def test_a_depth_teacher_is_no_detector(here: Path) -> None:
    message = says(predict(here, run="midas"))
    assert message == (
        "data/models/midas/model.safetensors: holds a depth teacher; name a network that detects defocus blur"
    )
    assert not (here / "maps").exists()


@pytest.mark.parametrize(
    ("contents", "told"),
    [
        (b"", "not weights but an empty file; expected "),
        (b"<html>not found</html>", "not weights but a web page; expected "),
        (b"\x08\0\0\0\0\0\0\0{}      ", "no published checkpoint known here"),
    ],
)
def test_weights_that_are_none_are_named(here: Path, contents: bytes, told: str) -> None:
    (here / "run").mkdir()
    (here / "run/model.safetensors").write_bytes(contents)
    message = says(predict(here, run=str(here / "run")))
    assert message.startswith(f"{here}/run/model.safetensors: {told}")


def test_a_run_without_its_card_is_named(here: Path, runs: Path) -> None:
    (here / "run").mkdir()
    shutil.copy(runs / "data/models/dffnet/model.safetensors", here / "run")
    assert says(predict(here, run=str(here / "run"))).startswith(f"{here}/run/card.json: no such file")


def test_an_unreadable_photograph_does_not_stop_the_others(here: Path) -> None:
    whole = (here / "photos/a.jpg").read_bytes()
    (here / "photos/Aa.jpg").write_bytes(whole[: len(whole) // 2])
    result = predict(here)
    told = f"2 maps in {here}/maps (white = in focus)\n{TOLD.format(here)}\n"
    assert (result.exit_code, result.stdout) == (1, told)
    assert f"1 photograph without a map:\n  {here}/photos/Aa.jpg: not a readable image (" in result.stderr
    assert sorted(path.name for path in (here / "maps").iterdir()) == MADE
    assert says(predict(here, "photos/Aa.jpg")).startswith(f"{here}/photos/Aa.jpg: not a readable image (")


def test_a_folder_that_cannot_be_written_is_named(here: Path) -> None:
    (here / "file").write_text("in the way")
    assert says(predict(here, out="file/maps")).startswith(f"{here}/file/maps: cannot make this folder")


def test_photographs_are_never_overwritten_by_their_maps(here: Path) -> None:
    png = photo(here / "pngs" / "a.png")
    before = png.read_bytes()
    message = says(predict(here, "pngs", out="pngs"))
    assert message == f"--out {here}/pngs: the photographs lie there, and maps would replace them; name another folder"
    assert says(predict(here, "pngs/a.png", out="photos/../pngs")).endswith("name another folder")
    assert png.read_bytes() == before


def test_a_full_disk_is_named(here: Path, full_disk: Path) -> None:
    with pytest.raises(OSError, match="No space left"):
        (full_disk / "other").write_bytes(bytes(100_000))
    result = call("predict", here / "photos/a.jpg", "--model", "dffnet", "--out", full_disk)
    assert says(result).startswith(f"{full_disk}/a.png: the disk is full")
    assert [path.name for path in full_disk.iterdir()] == ["other"]


def score(here: Path, *options: str) -> Result:
    return call("score", "--maps", here / "maps", "--labels", here / "labels", *options)


@pytest.fixture
def pairs(here: Path) -> Path:
    """Two maps and labels, white = in focus; the second map misses one of three blurred pixels."""
    grey(here / "maps/a.png", [[255, 0], [255, 0]])
    grey(here / "maps/b.PNG", [[255, 255], [0, 0]])
    grey(here / "labels/A.bmp", [[255, 0], [250, 3]])
    grey(here / "labels/b.png", [[255, 0], [0, 0]])
    return here


def test_scores_by_hand(pairs: Path) -> None:
    f_b = 1.3 * 2 / (0.3 * 3 + 2)
    rules = dict.fromkeys(("f_beta", "f_beta_published", "f_beta_max"), (1 + f_b) / 2)
    expected = {"mae": 0.125, "iou": 4 / 5, "images": 2} | rules
    assert json.loads(score(pairs, "--json").stdout) == pytest.approx(expected)
    assert json.loads(score(pairs, "--json", "--iou", "per_image").stdout)["iou"] == pytest.approx((1 + 2 / 3) / 2)
    text = score(pairs).stdout
    assert text.splitlines()[0] == "MAE    0.1250"
    assert text.splitlines()[-1] == "2 images"


def test_polarity_is_told(pairs: Path) -> None:
    blur = ("--maps-positive", "blur", "--labels-positive", "blur", "--json")
    swapped = json.loads(score(pairs, *blur).stdout)
    # all inverted: one pixel of four blurred in b's label, two in its map; a is right either way
    assert swapped["mae"] == pytest.approx(0.125)
    assert swapped["f_beta"] == pytest.approx((1 + 1.3 / (0.3 + 2)) / 2)
    assert json.loads(score(pairs, "--labels-positive", "blur", "--json").stdout)["mae"] == pytest.approx(0.875)


def test_hidden_files_are_no_pictures(pairs: Path) -> None:
    (pairs / "maps/._a.png").write_bytes(b"what another system leaves")
    assert list(pictures(pairs / "maps")) == ["a", "b"]
    assert score(pairs).exit_code == 0


@pytest.mark.parametrize(("gone", "where"), [("labels/b.png", "labels"), ("maps/b.PNG", "maps")])
def test_a_map_or_a_label_alone_is_named(pairs: Path, gone: str, where: str) -> None:
    (pairs / gone).unlink()
    assert says(score(pairs)).startswith(f"{pairs}/{where}: no picture named 'b' (1 without a partner in ")


def test_two_files_of_one_stem_are_named(pairs: Path) -> None:
    grey(pairs / "labels/a.png", [[0]])
    message = says(score(pairs))
    assert message == f"{pairs}/labels/a.png: has the same stem as A.bmp; keep one of the two"


def test_scoring_names_a_missing_folder(here: Path) -> None:
    assert says(score(here)).startswith(f"{here}/maps: no such folder")


def test_an_unreadable_label_is_named(pairs: Path) -> None:
    (pairs / "labels/b.png").write_bytes(b"<html>not found</html>")
    assert says(score(pairs)).startswith(f"{pairs}/labels/b.png: not a readable image")


def test_a_map_of_another_size_is_named_or_resized(pairs: Path) -> None:
    grey(pairs / "maps/b.PNG", [[255] * 4] * 4)
    assert says(score(pairs)).startswith(f"{pairs}/maps/b.PNG: map of 4x4 and label of 2x2 differ in size")
    assert json.loads(score(pairs, "--resize", "--json").stdout)["mae"] == pytest.approx((0 + 0.75) / 2)


def prepare(raw: Path, out: Path, *options: str, name: str = "ctcug") -> Result:
    return call("prepare", name, "--raw", raw, "--out", out, *options)


@pytest.fixture
def ctcug(here: Path) -> Path:
    photo(here / "raw/CTCUG/CTCUG_images/1.jpg", 4, 4)
    grey(here / "raw/CTCUG/CTCUG_gt/1.png", [[255, 0, 0, 0]] * 4)
    return here


def test_a_set_is_made_ready(ctcug: Path) -> None:
    for _ in range(2):  # a prepared set may be replaced
        result = prepare(ctcug / "raw", ctcug / "out", "--partial", "--image-size", "32")
        assert result.stdout == f"{ctcug}/out: ready; see {ctcug}/out/validation.json\n", result.output
        assert PreparedSet.load(ctcug / "out").full_label(0).tolist() == [[0, 1, 1, 1]] * 4


def test_preparing_names_what_is_wrong(ctcug: Path) -> None:
    assert says(prepare(ctcug / "none", ctcug / "out")).startswith(f"{ctcug}/none: no such folder; fetch CTCUG")
    assert "1 photographs, expected 150; " in says(prepare(ctcug / "raw", ctcug / "out"))
    photo(ctcug / "raw/CTCUG/CTCUG_images/2.jpg")
    assert f"{ctcug}/raw/CTCUG/CTCUG_images/2.jpg: no label" in says(prepare(ctcug / "raw", ctcug / "out"))
    (ctcug / "raw/CTCUG/CTCUG_images/2.jpg").rename(ctcug / "raw/CTCUG/CTCUG_images/1.png")
    assert "1.png: has the same stem as 1.jpg" in says(prepare(ctcug / "raw", ctcug / "out", "--partial"))
    (ctcug / "raw/CTCUG/CTCUG_images/1.jpg").unlink()
    (ctcug / "raw/CTCUG/CTCUG_images/1.png").write_bytes(b"<html>")
    assert "1.png: not a readable image" in says(prepare(ctcug / "raw", ctcug / "out", "--partial"))
    assert not (ctcug / "out").exists()


def test_preparing_replaces_no_folder_of_other_files(ctcug: Path) -> None:
    message = "no prepared set, and it would be replaced; name a new or empty folder"
    (ctcug / "notes").mkdir()
    for name in ("validation.json", "index.csv", "my thesis.tex"):  # names that others use, too
        (ctcug / "notes" / name).write_text("mine")
        assert name == "index.csv" or says(prepare(ctcug / "raw", ctcug / "notes", "--partial")).endswith(message)
    for out in (ctcug / "raw", ctcug, ctcug / "notes"):
        assert says(prepare(ctcug / "raw", out, "--partial")) == f"--out {out}: {message}"
    file = ctcug / "photos/a.jpg"
    assert says(prepare(ctcug / "raw", file, "--partial")).startswith(f"{file}: cannot make this folder (")
    assert (ctcug / "notes/my thesis.tex").read_text() == "mine"
    assert (ctcug / "raw/CTCUG/CTCUG_images/1.jpg").exists()


def test_wrong_words_are_a_usage_error() -> None:
    for words in (["prepare", "imagenet"], ["score"], ["predict"], ["predct"]):
        result = call(*words)
        assert result.exit_code == 2
        assert "Usage: " in result.stderr
        assert "Traceback" not in result.stderr


LABELS = {"cuhk": ("gt", "blur", 7), "dut": ("DUT-DBD_Dataset/DUT500GT-Testing", "focus", 3)}
PHOTOS = {"cuhk": "image", "dut": "DUT-DBD_Dataset/DUT500S-Testing"}


@pytest.mark.parametrize("name", LABELS)
def test_real_photographs_from_archive_to_scores(name: str, here: Path, shared: Path) -> None:
    raw, (labels, positive, count) = shared / "real" / name, LABELS[name]
    result = prepare(raw, here / "prepared", "--partial", "--image-size", "64", name=name)
    assert result.exit_code == 0, result.output
    data = PreparedSet.load(here / "prepared")
    assert (len(data), data.images.shape[1:]) == (count, (64, 64, 3))
    result = call("predict", raw / PHOTOS[name], "--model", "dffnet", "--out", here / "maps")
    assert result.exit_code == 0, result.output
    found = {}
    for row in data.rows:
        with Image.open(here / "maps" / f"{Path(row.image).stem}.png") as image:
            assert (image.height, image.width) == (row.height, row.width)
            found[row.id] = np.asarray(image) / 255
    result = call("score", "--maps", here / "maps", "--labels", raw / labels, "--labels-positive", positive, "--json")
    scores = json.loads(result.stdout)
    errors = [np.abs(found[row.id] - data.full_label(i)).mean() for i, row in enumerate(data.rows)]
    assert scores["mae"] == pytest.approx(np.mean(errors), abs=1e-9)
    assert scores["images"] == count


def test_an_empty_argument_is_no_folder(here: Path) -> None:
    for words in (["predict", ""], ["predict", "photos", "--out", ""], ["score", "--maps", "", "--labels", "l"]):
        done = call(*words)
        assert (done.exit_code, "Error: an empty argument; is a variable not set?" in done.stderr) == (2, True), words
    assert not (here / "maps").exists()
