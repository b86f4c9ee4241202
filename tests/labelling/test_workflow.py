"""`dbdflow label` on small rendered pairs: what it proposes, what it leaves, what it refuses, that it goes on."""

import csv
import io
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from benchmarks.rendered_pairs import RenderedPair, render_pair
from components.catalog.images import read_grey
from components.datasets.prepared import PreparedSet
from components.labelling.propose import IN_FOCUS, OUT_OF_FOCUS, UNDECIDED
from components.prepare.build import prepare_set
from components.render.miniature import RenderSettings
from pipelines.cli import main

SETTINGS = RenderSettings(seed=7, size=640, focal_length_mm=50.0, sensor_width_mm=22.3, coc_limit_px=2.4)
"""640 px wide: the limit of 6 px at 1600."""
SCENES = (1, 20)


@pytest.fixture(scope="module")
def rendered() -> dict[str, RenderedPair]:
    return {f"Scene{index}": render_pair(SETTINGS, index, height=410, width=640) for index in SCENES}


@pytest.fixture(scope="module")
def pairs(rendered: dict[str, RenderedPair], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pairs and one of different scenes, in EBB!'s folders."""
    folder = tmp_path_factory.mktemp("pairs")
    for name in ("original", "bokeh"):
        (folder / name).mkdir()
    for stem, pair in rendered.items():
        Image.fromarray(pair.wide).save(folder / f"original/{stem.lower()}.png")
        Image.fromarray(pair.shallow).save(folder / f"bokeh/{stem}.PNG")
    noise = np.random.default_rng(0)
    for name in ("original", "bokeh"):
        Image.fromarray(noise.integers(0, 256, (410, 640, 3), dtype=np.uint8)).save(folder / name / "other.png")
    return folder


@pytest.fixture(scope="module")
def labelled(pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    out = tmp_path_factory.mktemp("labelled") / "out"
    return out, CliRunner().invoke(main, ["label", str(pairs), "--out", str(out)])


def test_proposals_agree_with_the_known_labels(
    rendered: dict[str, RenderedPair], labelled: tuple[Path, Result]
) -> None:
    out, result = labelled
    assert result.exit_code == 1, result.output  # one pair failed
    for stem, pair in rendered.items():
        label = read_grey(out / f"proposals/{stem}.png")
        assert set(np.unique(label)) <= {OUT_OF_FOCUS, UNDECIDED, IN_FOCUS}
        decided = label != UNDECIDED
        assert decided.mean() > 0.7
        for level, truth in ((IN_FOCUS, pair.in_focus), (OUT_OF_FOCUS, ~pair.in_focus)):
            both, either = ((label == level) & truth & decided).sum(), (((label == level) | truth) & decided).sum()
            assert both / either > 0.9, (stem, level)
        assert ((read_grey(out / f"confidence/{stem}.png") > 0) <= decided).all()


def test_a_pair_of_two_scenes_fails_and_is_told(labelled: tuple[Path, Result]) -> None:
    out, result = labelled
    assert result.stdout == f"2 proposals in {out}, 1 pairs failed; see {out}/review.html\n"
    assert "other: failed, " in result.stderr
    assert not (out / "proposals/other.png").exists()
    with (out / "pairs.csv").open() as file:
        rows = {row["stem"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["other", "Scene1", "Scene20"]
    assert rows["other"]["failed"]
    assert rows["other"]["decided"] == rows["Scene1"]["failed"] == ""
    page = (out / "review.html").read_text()
    assert page.count("<figure>") == 2 * 4
    assert "Failed: " in page
    assert "in focus (white, 255)" in page
    assert "http" not in page
    assert (out / "contact_sheet.jpg").exists()


def test_the_photograph_lies_beside_its_labelme_file_as_it_came(pairs: Path, labelled: tuple[Path, Result]) -> None:
    out, _ = labelled
    assert (out / "EBD/image/Scene1.PNG").read_bytes() == (pairs / "bokeh/Scene1.PNG").read_bytes()
    assert json.loads((out / "EBD/image/Scene1.json").read_text())["imagePath"] == "Scene1.PNG"


def test_what_is_done_is_not_done_again_and_a_change_is(
    pairs: Path, labelled: tuple[Path, Result], tmp_path: Path
) -> None:
    out = shutil.copytree(labelled[0], tmp_path / "out")
    for gone in (".done/Scene20.json", "proposals/Scene20.png", "EBD/image/Scene20.json"):
        (out / gone).unlink()
    stamp = (out / "proposals/Scene1.png").stat().st_mtime_ns
    result = CliRunner().invoke(main, ["label", str(pairs), "--out", str(out)])
    assert result.exit_code == 1
    assert (out / "proposals/Scene1.png").stat().st_mtime_ns == stamp
    assert (out / "proposals/Scene20.png").read_bytes() == (labelled[0] / "proposals/Scene20.png").read_bytes()


def test_another_limit_makes_new_proposals_but_keeps_what_was_corrected(
    pairs: Path, labelled: tuple[Path, Result], tmp_path: Path
) -> None:
    out = shutil.copytree(labelled[0], tmp_path / "out")
    again = ["label", str(pairs), "--out", str(out), "--coc-limit", "12"]
    corrected = np.zeros((410, 640), dtype=np.uint8)
    Image.fromarray(corrected).save(out / "proposals/Scene20.png")
    result = CliRunner().invoke(main, again)
    assert result.exit_code == 1
    assert f"Scene20: failed, {out}/proposals/Scene20.png: corrected by hand" in result.stderr
    np.testing.assert_array_equal(read_grey(out / "proposals/Scene20.png"), corrected)
    (out / ".done/Scene20.json").rename(tmp_path / "record")
    result = CliRunner().invoke(main, again)
    assert f"Scene20: failed, {out}/proposals/Scene20.png: there, but not its record {out}/.done/Scene20.json" in (
        result.stderr
    )
    np.testing.assert_array_equal(read_grey(out / "proposals/Scene20.png"), corrected)
    (tmp_path / "record").rename(out / ".done/Scene20.json")
    (out / "proposals/Scene20.png").unlink()
    assert "2 proposals" in CliRunner().invoke(main, again).stdout
    before, after = (read_grey(each / "proposals/Scene20.png") for each in (labelled[0], out))
    assert (after == IN_FOCUS).sum() > (before == IN_FOCUS).sum()


def test_corrected_labels_are_a_set_that_can_be_prepared(labelled: tuple[Path, Result], tmp_path: Path) -> None:
    out = shutil.copytree(labelled[0], tmp_path / "out")
    result = CliRunner().invoke(main, ["import", "labels", str(out)])
    assert result.exit_code == 1
    assert result.stderr.startswith("2 left out:\n")
    assert result.stderr.count("still undecided") == 2
    for stem in ("Scene1", "Scene20"):
        proposed = read_grey(out / f"proposals/{stem}.png")
        label = np.where(proposed == UNDECIDED, OUT_OF_FOCUS, proposed).astype(np.uint8)
        Image.fromarray(label).save(out / f"proposals/{stem}.png")
    result = CliRunner().invoke(main, ["import", "labels", str(out)])
    assert result.stdout == f"labels: 2 labels in {out}/EBD/gt\n"
    prepare_set("ebd", out, tmp_path / "prepared", image_size=32, partial=True)
    found = PreparedSet.load(tmp_path / "prepared")
    assert found.ids == ["scene1", "scene20"]
    np.testing.assert_array_equal(found.full_label(0) * 255, read_grey(out / "proposals/Scene1.png"))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "expected the folders wide/ and shallow/ or original/ and bokeh/"),
        (("wide/a.jpg", "shallow/b.jpg"), "shallow: no photograph named 'a' (2 without a partner"),
        (("wide/notes.txt", "shallow/notes.txt"), "wide: no photographs in it"),
    ],
)
def test_folders_that_hold_no_pairs(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    for name in names:
        (tmp_path / "pairs" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "pairs" / name, format="PNG")
    result = CliRunner().invoke(main, ["label", str(tmp_path / "pairs"), "--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_folder_of_other_files_is_left_alone(pairs: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("keep")
    result = CliRunner().invoke(main, ["label", str(pairs), "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert "not empty and not filled by `dbdflow label`" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def bent(photograph: np.ndarray, pixels: float) -> np.ndarray:
    """What lies at other distances moves by other ways when the camera does."""
    height, width = photograph.shape[:2]
    noise = np.random.default_rng(0).normal(size=(2, 4, 6)).astype(np.float32) * np.float32(pixels)
    dx, dy = (cv2.resize(each, (width, height), interpolation=cv2.INTER_CUBIC) for each in noise)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return cv2.remap(photograph, x + dx, y + dy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def saved_again(photograph: np.ndarray) -> np.ndarray:
    """Smaller, and by way of a lossy JPEG file."""
    buffer = io.BytesIO()
    image = Image.fromarray(photograph)
    image.resize((image.width * 7 // 10, image.height * 7 // 10), Image.Resampling.BOX).save(buffer, "JPEG", quality=60)
    return np.asarray(Image.open(buffer))


def test_pairs_that_are_not_what_they_should_be_are_named(rendered: dict[str, RenderedPair], tmp_path: Path) -> None:
    pair = rendered["Scene1"]
    wrong = {
        "swapped": (pair.shallow, pair.wide),
        "same": (pair.wide, pair.wide),
        "saved_again": (saved_again(pair.shallow), pair.shallow),
        "moved": (bent(pair.wide, 2), pair.shallow),
    }
    for stem, photographs in wrong.items():
        for folder, pixels in zip(("wide", "shallow"), photographs, strict=True):
            (tmp_path / "pairs" / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / "pairs" / folder / f"{stem}.png")
    words = ["label", str(tmp_path / "pairs"), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1
    said = dict(line.split(": failed, ") for line in result.stderr.splitlines() if ": failed, " in line)
    assert said["swapped"].startswith("the shallow photograph is the sharper one in 6% of the picture, the wide one in")
    assert (
        said["same"]
        == said["saved_again"]
        == "both are one photograph; expected one taken with a small aperture and one with a large"
    )
    assert said["moved"].startswith("misaligned: a tenth of the picture differs by ")
    assert not (tmp_path / "out/proposals").exists()
    result = CliRunner().invoke(main, [*words, "--keep-misaligned"])
    assert [path.name for path in (tmp_path / "out/proposals").iterdir()] == ["moved.png"]
