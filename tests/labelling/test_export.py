"""Proposals as LabelMe's files and back, and labels made of what was corrected: white = in focus."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.data.images import read_grey
from components.errors import InputError
from components.labelling.export import drawn, import_corrections, polygons, write_labelme
from tests.data.conftest import photograph

SIZE = (60, 80)


def proposal() -> np.ndarray:
    """Left half out of focus with a square of undecided pixels in it, right half in focus."""
    values = np.zeros(SIZE, dtype=np.uint8)
    values[:, 40:] = 255
    values[20:40, 10:30] = 128
    return values


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What `dbdflow label` leaves of one photograph."""
    photograph(tmp_path / "EBD/image/a.jpg", *SIZE)
    (tmp_path / "proposals").mkdir()
    Image.fromarray(proposal()).save(tmp_path / "proposals/a.png")
    write_labelme(tmp_path / "EBD/image/a.json", tmp_path / "EBD/image/a.jpg", proposal())
    os.utime(tmp_path / "proposals/a.png", (1, 1))
    os.utime(tmp_path / "EBD/image/a.json", (2, 2))
    return tmp_path


def edit(folder: Path, **changes: object) -> None:
    path = folder / "EBD/image/a.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def polygon(name: str, *points: tuple[int, int]) -> dict:
    return {"label": name, "points": [list(point) for point in points], "shape_type": "polygon"}


WHOLE = polygon("out of focus", (0, 0), (79, 0), (79, 59), (0, 59))
HOLE = polygon("in focus", (10, 10), (19, 10), (19, 19), (10, 19))


def test_polygons_draw_what_they_were_made_from(folder: Path) -> None:
    assert [shape["label"] for shape in polygons(proposal())] == ["out of focus", "in focus", "undecided"]
    assert np.mean(drawn(folder / "EBD/image/a.json", SIZE) != proposal()) == 0
    contents = json.loads((folder / "EBD/image/a.json").read_text())
    assert (contents["imagePath"], contents["imageData"]) == ("a.jpg", None)
    assert (contents["imageHeight"], contents["imageWidth"]) == SIZE


def test_corrected_shapes_become_labels_later_ones_over_earlier_ones(folder: Path) -> None:
    edit(folder, shapes=[WHOLE, HOLE])
    assert import_corrections(folder) == 1
    label = read_grey(folder / "EBD/gt/a.png")
    assert set(np.unique(label)) == {0, 255}
    assert (label == 255).sum() == 100
    assert label[15, 15] == 255


def test_the_newer_of_a_painted_and_a_drawn_mask_counts(folder: Path) -> None:
    edit(folder, shapes=[WHOLE])
    os.utime(folder / "EBD/image/a.json", (2, 2))
    Image.fromarray(np.full(SIZE, 255, dtype=np.uint8)).save(folder / "proposals/a.png")
    import_corrections(folder)
    assert (read_grey(folder / "EBD/gt/a.png") == 255).all()


def test_what_is_undecided_is_named_and_nothing_written(folder: Path) -> None:
    share = 400 / (60 * 80)
    with pytest.raises(InputError, match=rf"EBD/image/a\.jpg: {share:.1%} of its mask are still undecided"):
        import_corrections(folder)
    assert not (folder / "EBD/gt").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shapes": [polygon("tree", (0, 0), (9, 0), (9, 9))]}, r"a polygon called 'tree'; expected polygons called"),
        ({"shapes": [WHOLE | {"shape_type": "circle"}]}, r"a circle called 'out of focus'"),
        ({"imageWidth": 81}, r"of 81x60 pixels, the photograph has 80x60"),
        ({"shapes": [{"label": 3}]}, r"not a file of LabelMe"),
        ({"shapes": None}, r"not a file of LabelMe"),
    ],
)
def test_a_file_that_labelme_would_not_leave(folder: Path, changes: dict, message: str) -> None:
    edit(folder, **changes)
    with pytest.raises(InputError, match=message):
        import_corrections(folder)


def test_a_mask_of_another_size_or_none(folder: Path) -> None:
    (folder / "EBD/image/a.json").unlink()
    Image.fromarray(np.zeros((10, 10), dtype=np.uint8)).save(folder / "proposals/a.png")
    with pytest.raises(InputError, match=r"proposals/a\.png: of 10x10 pixels, the photograph has 80x60"):
        import_corrections(folder)
    (folder / "proposals/a.png").unlink()
    with pytest.raises(InputError, match=r"proposals/a\.png: no such file, nor .*a\.json"):
        import_corrections(folder)


def test_a_folder_of_something_else(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"EBD/image: no such folder"):
        import_corrections(tmp_path)
