"""A method as a function of a photograph: found, called, checked; what is wrong is told with the method's name."""

import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.common.availability import Gap, NotAvailableError
from components.common.errors import InputError
from components.maps.files import MapArchive, pack_maps, write_maps
from components.methods import Method, fit, make_map
from tests.report.synthetic import write_prepared

MODULE = """
import numpy as np

def ramp(image):
    return np.linspace(0, 1, image.shape[1])[None].repeat(image.shape[0], 0)

def levels(image):
    return image[..., 0]

def small(image):
    return np.zeros((3, 3))

def holes(image):
    return np.where(image[..., 0] > 0, np.nan, 0.5)

def doubled(image):
    return 2 * ramp(image)

def a_list(image):
    return ramp(image).tolist()

def divides(image):
    return 1 // 0

def writes(image):
    image[:] = 0
    return ramp(image)

def fit(photographs):
    return {"means": np.array([image[label == 1].mean() for image, label in photographs])}

def fitted(image, learned):
    return np.full(image.shape[:2], learned["means"].mean() / 255)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "stranger.py").write_text(MODULE)
    (tmp_path / "broken.py").write_text("import nothing_of_the_kind\n")
    monkeypatch.syspath_prepend(tmp_path)
    Image.fromarray(np.full((4, 5, 3), 7, np.uint8)).save(tmp_path / "photo.png")
    return tmp_path


def run(folder: Path, function: str, fitted: Path | None = None) -> np.ndarray:
    out = folder / "maps" / f"{function.replace(':', '_')}.npy"
    make_map(Method("mine", function), fitted, folder / "photo.png", out)
    return np.load(out)


def test_a_map_is_its_values_as_half_floats(folder: Path) -> None:
    assert run(folder, "stranger:ramp").tolist() == [[0, 0.25, 0.5, 0.75, 1]] * 4


def test_a_method_may_write_into_the_image(folder: Path) -> None:
    assert run(folder, "stranger:writes")[0, -1] == 1


@pytest.mark.parametrize(
    ("function", "found"),
    [
        ("levels", "uint8"),
        ("small", r"shape \(3, 3\)"),
        ("holes", "20 values that are NaN or infinite"),
        ("doubled", "values from 0 to 2"),
        ("a_list", "a builtins.list"),
    ],
)
def test_what_is_no_map_is_told(folder: Path, function: str, found: str) -> None:
    message = (
        rf"^baselines\.mine \(stranger:{function}\): of .*photo\.png it returned {found}, expected a NumPy array of "
        r"floats, shape \(4, 5\), all from 0 to 1, 1 = in focus; correct the function$"
    )
    with pytest.raises(InputError, match=message):
        run(folder, f"stranger:{function}")
    assert not list((folder / "maps").glob("*")) if (folder / "maps").exists() else True


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("stranger:divides", r'failed on .*photo\.png; correct this:\n  File ".*stranger\.py", line \d+, in divides'),
        ("strangers:ramp", r"found no module 'strangers'; expected strangers\.py in the checkout"),
        ("stranger:rampe", r".*stranger\.py has no function 'rampe', which is expected there; did you mean 'ramp'\?"),
        (
            "broken:ramp",
            r"module 'broken' cannot be imported; correct this:(?s:.*)No module named 'nothing_of_the_kind'",
        ),
    ],
)
def test_what_cannot_be_called_is_told(folder: Path, function: str, message: str) -> None:
    with pytest.raises(InputError, match=rf"^baselines\.mine \({function}\): {message}"):
        run(folder, function)


def prepared(folder: Path, splits: list[list[str]]) -> None:
    """Two photographs of 2 x 3 pixels; what is in focus in them is 10, and 30, the rest 200."""
    labels = np.array([[[1, 0, 0], [1, 0, 0]], [[0, 1, 1], [0, 0, 0]]], np.uint8)
    images = (
        np.where(labels[..., None] == 1, np.array([10, 30])[:, None, None, None], 200).repeat(3, -1).astype(np.uint8)
    )
    (folder / "raw/cuhk").mkdir(parents=True)
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"raw/cuhk/{number}.png")
    write_prepared(
        folder / "prepared/cuhk", name="cuhk", images=images, labels=labels, splits=splits, dof=["", ""],
        found={"notes": []},
    )  # fmt: skip
    index = folder / "prepared/cuhk/index.csv"
    index.write_text(index.read_text().replace(".jpg", ".png"))


def test_a_method_learns_from_photographs_and_labels_at_their_own_size(folder: Path) -> None:
    prepared(folder, [["CUHK-TR-1"], ["CUHK-TR-1"]])
    out, again = folder / "fitted.npz", folder / "again.npz"
    for path in (out, again):
        fit(Method("mine", "stranger:fitted"), [("cuhk", "CUHK-TR-1")], folder / "raw", folder / "prepared", path)
    assert np.load(out)["means"].tolist() == [10, 30]
    assert out.read_bytes() == again.read_bytes()
    assert run(folder, "stranger:fitted", out).tolist() == [[np.float16(20 / 255)] * 5] * 4


def test_learning_without_photographs_is_a_gap_that_comes_through_a_process(folder: Path) -> None:
    prepared(folder, [["CUHK-TR-1"], ["CUHK-TR-1"]])
    validation = folder / "prepared/cuhk/validation.json"
    validation.write_text(validation.read_text().replace('"CUHK-TR-1"', '"CUHK-TR-1", "CUHK-TR-2"'))
    with pytest.raises(NotAvailableError) as caught:
        fit(
            Method("mine", "stranger:fitted"),
            [("cuhk", "CUHK-TR-2")],
            folder / "raw",
            folder / "prepared",
            folder / "x",
        )
    gap = pickle.loads(pickle.dumps(caught.value)).gap
    assert isinstance(gap, Gap)
    assert gap.what == "training on CUHK-TR-2"


def test_packed_files_are_the_archive_of_the_maps(folder: Path) -> None:
    values = {"b": np.full((2, 3), 0.25), "a": np.full((3, 2), 0.5)}
    write_maps(folder / "one.zip", values.items())
    with zipfile.ZipFile(folder / "one.zip") as archive:
        archive.extractall(folder / "files")
    pack_maps(folder / "two.zip", {each: folder / "files" / f"{each}.npy" for each in values})
    assert (folder / "one.zip").read_bytes() == (folder / "two.zip").read_bytes()
    with MapArchive(folder / "two.zip") as maps:
        assert maps["b"].tolist() == [[0.25] * 3] * 2
