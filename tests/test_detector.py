"""`from dbdflow import Detector`: maps of photographs of any size and kind, and from a wheel with nothing beside it."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.common.errors import InputError
from components.models.run_files import write_run
from dbdflow import Detector
from dbdflow.detector import WEIGHTS
from tests.models.tiny import build_tiny

pytestmark = pytest.mark.usefixtures("one_thread")
ROOT = Path(__file__).parent.parent
FLOWER = ROOT / "data/examples/flower.jpg"
PIXELS = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an untrained run that sees 64 pixels."""
    folder = tmp_path_factory.mktemp("runs") / "mine"
    card = {"run": "mine", "train": "CUHK-TR-1", "model": "dffnet", "params": {"image_size": 64}}
    write_run(folder, build_tiny("dffnet"), [], card)
    return folder


def test_what_ships_finds_the_flower() -> None:
    found = Detector.load().map(FLOWER)
    assert (found.shape, found.dtype) == ((427, 640), np.float32)
    assert 0 <= found.min() < 0.01
    assert 0.99 < found.max() <= 1
    assert found.mean() == pytest.approx(0.24, abs=0.03)


def test_a_path_an_image_and_an_array_have_one_map(run: Path, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    Image.fromarray(PIXELS).save(path)
    detector = Detector.load(run)
    with Image.open(path) as image:
        maps = [detector.map(photo) for photo in (path, str(path), image, image.convert("RGBA"), PIXELS)]
    assert maps[0].shape == (40, 56)
    for each in maps[1:]:
        np.testing.assert_array_equal(each, maps[0])
    np.testing.assert_array_equal(detector.picture(path), np.rint(maps[0] * 255))


def test_photographs_of_all_sizes_in_batches_are_as_one_by_one(run: Path) -> None:
    photos = [PIXELS, PIXELS[:1, :1], PIXELS[:, :7], np.zeros((90, 30, 3), np.uint8), PIXELS[::-1]]
    detector = Detector.load(run)
    alone = [detector.map(photo) for photo in photos]
    for batch in (1, 2, 8):
        for photo, one, found in zip(photos, alone, detector.maps(iter(photos), batch=batch), strict=True):
            assert found.shape == photo.shape[:2]
            np.testing.assert_allclose(found, one, atol=1e-5)
    assert list(detector.maps([])) == []


def test_a_photograph_is_read_when_it_is_needed(run: Path) -> None:
    asked = []

    def photos():  # type: ignore[no-untyped-def]
        for number in range(5):
            asked.append(number)
            yield PIXELS

    maps = Detector.load(run).maps(photos(), batch=2)
    next(maps)
    assert asked == [0, 1]


def test_a_list_is_read_a_batch_ahead_and_comes_in_order(run: Path) -> None:
    read = []

    class Told(list[np.ndarray]):
        def __iter__(self):  # type: ignore[no-untyped-def]
            for number, each in enumerate(super().__iter__()):
                read.append(number)
                yield each

    photos = Told(np.roll(PIXELS, number, 1) for number in range(5))
    maps = Detector.load(run).maps(photos, batch=2)
    first = next(maps)
    assert read == [0, 1, 2, 3]
    expected = [Detector.load(run).map(each) for each in photos]
    for found, one in zip([first, *maps], expected, strict=True):
        np.testing.assert_allclose(found, one, atol=1e-5)


def test_what_cannot_be_read_is_told_when_it_is_reached(run: Path) -> None:
    maps = Detector.load(run).maps([PIXELS, PIXELS, "nowhere.jpg"], batch=2)
    assert [next(maps).shape, next(maps).shape] == [(40, 56)] * 2
    with pytest.raises(InputError, match=r"nowhere\.jpg"):
        next(maps)


@pytest.mark.parametrize("name", ["lbp", "hifst", "dbdf"])
def test_classical_methods(name: str) -> None:
    with Image.open(FLOWER) as image:
        small = np.asarray(image.resize((160, 107)))
    found = Detector.load(name).map(small)
    assert (found.shape, found.dtype) == ((107, 160), np.float32)
    assert found[40:60, 60:90].mean() > found[:20, :20].mean()  # the flower, and what is behind it


@pytest.mark.parametrize(
    ("photo", "message"),
    [
        ("nowhere.jpg", r"nowhere\.jpg: .*No such file"),
        (PIXELS[..., 0], r"found uint8 \(40, 56\), expected a path, a Pillow image, or uint8 \(H, W, 3\) RGB"),
        (PIXELS / 255, r"found float64 \(40, 56, 3\), expected"),
        (PIXELS[:0], r"found a photograph of shape \(0, 56, 3\), expected at least one pixel"),
        (None, "found NoneType, expected a path"),
    ],
)
def test_what_is_no_photograph(run: Path, photo: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Detector.load(run).map(photo)  # type: ignore[arg-type]


def test_what_is_no_detector(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^smal: nothing has this name; expected small, dbdf, lbp, hifst, a folder"):
        Detector.load("smal")
    with pytest.raises(InputError, match=r"a folder without model\.safetensors"):
        Detector.load(tmp_path)
    write_run(tmp_path / "midas", build_tiny("midas"), [], {"run": "midas", "params": {"image_size": 64}})
    with pytest.raises(InputError, match="holds a depth teacher; name a network that detects defocus blur"):
        Detector.load(tmp_path / "midas")
    with pytest.raises(InputError, match="batch: 0, expected at least 1"):
        next(Detector.load(run).maps([PIXELS], batch=0))


THREE_LINES = (ROOT / "README.md").read_text().partition("```python\n")[2].partition("```")[0]
PIPELINE = ("dvc", "prefect", "mlflow", "click", "pydantic", "psutil", "jinja2", "requests")
ALONE = f"""
import sys
sys.modules |= dict.fromkeys({PIPELINE}, None)
{THREE_LINES.replace("photo.jpg", str(FLOWER))}
assert round(float(focus.mean()), 1) == 0.2, focus.mean()
print(sys.modules["dbdflow"].__file__)
"""


def test_a_wheel_is_enough(tmp_path: Path) -> None:
    """README's three lines, from the wheel alone, without what only the pipeline needs."""
    source, ignored = tmp_path / "source", shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("components", "dbdflow", "pipelines"):
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    options = ["--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", tmp_path]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, source], check=True)
    (wheel,) = tmp_path.glob("dbdflow-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    found = {path.name for path in (tmp_path / "site/dbdflow/weights").iterdir()}
    assert found == {path.name for path in WEIGHTS.iterdir()}
    assert sum(map(bool, THREE_LINES.splitlines())) == 3
    own = {"PYTHONPATH": str(tmp_path / "site"), "PATH": ""}
    command = [sys.executable, "-c", ALONE]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path, env=own)
    assert (done.returncode, done.stdout) == (0, f"{tmp_path}/site/dbdflow/__init__.py\n"), done.stderr


def test_a_dark_image_of_memory_is_taken_as_it_is() -> None:
    dark = Image.fromarray(np.full((40, 60, 3), 9, np.uint8))
    assert Detector.load("small").map(dark).shape == (40, 60)
