"""Proposals as LabelMe's files and back, and labels made of what was corrected: white = in focus."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from components.catalog.images import read_grey
from components.common.errors import InputError
from components.labelling.export import drawn, import_corrections, polygons, proposed_masks, write_labelme
from pipelines.cli import main
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
    shapes = tmp_path / "EBD/image/a.json"
    write_labelme(shapes, tmp_path / "EBD/image/a.jpg", proposal())
    (tmp_path / ".done").mkdir()
    masks = proposed_masks(tmp_path / "proposals/a.png", shapes, proposal())
    (tmp_path / ".done/a.json").write_text(json.dumps({"masks": masks}))
    return tmp_path


def paint(folder: Path, mask: np.ndarray) -> None:
    Image.fromarray(mask).save(folder / "proposals/a.png")


def told(folder: Path) -> str:
    """The one thing that is wrong with the one photograph, which has no label then."""
    count, wrong = import_corrections(folder)
    assert count == 0
    assert not (folder / "EBD/gt/a.png").exists()
    (message,) = wrong
    assert "\n" not in message
    return message


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
    assert import_corrections(folder) == (1, [])
    label = read_grey(folder / "EBD/gt/a.png")
    assert set(np.unique(label)) == {0, 255}
    assert (label == 255).sum() == 100
    assert label[15, 15] == 255


@pytest.mark.parametrize("times", [(1, 2), (2, 1)])
@pytest.mark.parametrize("corrected", ["painted", "drawn"])
def test_what_was_corrected_counts_whatever_the_times_of_the_files_say(
    folder: Path, corrected: str, times: tuple[int, int]
) -> None:
    if corrected == "painted":
        paint(folder, np.full(SIZE, 255, dtype=np.uint8))
        edit(folder, imageData="LabelMe keeps the photograph when it saves a file again")
    else:
        edit(folder, shapes=[WHOLE])
        paint(folder, proposal())
    for path, time in zip(("proposals/a.png", "EBD/image/a.json"), times, strict=True):
        os.utime(folder / path, (time, time))
    assert import_corrections(folder) == (1, [])
    assert (read_grey(folder / "EBD/gt/a.png") == (255 if corrected == "painted" else 0)).all()


def test_both_corrected_must_agree(folder: Path) -> None:
    edit(folder, shapes=[WHOLE])
    paint(folder, np.full(SIZE, 255, dtype=np.uint8))
    assert told(folder) == (
        f"{folder}/proposals/a.png and a.json: both were corrected, and differ; take the one that does not count out "
        "of the folder"
    )
    paint(folder, np.zeros(SIZE, dtype=np.uint8))
    assert import_corrections(folder) == (1, [])


def test_without_the_record_two_files_that_differ_are_in_doubt(folder: Path) -> None:
    edit(folder, shapes=[WHOLE])
    (folder / ".done/a.json").unlink()
    assert told(folder).startswith(f"{folder}/proposals/a.png and a.json: they differ, and {folder}/.done/a.json, ")
    (folder / "proposals/a.png").unlink()
    assert import_corrections(folder) == (1, [])


def test_what_is_undecided_is_named_and_gets_no_label(folder: Path) -> None:
    share = 400 / (60 * 80)
    assert told(folder).startswith(f"{folder}/EBD/image/a.jpg: {share:.1%} of its mask are still undecided, expected 0")


def test_one_that_cannot_be_used_does_not_stop_the_others(folder: Path) -> None:
    photograph(folder / "EBD/image/b.jpg", *SIZE)
    Image.fromarray(np.zeros(SIZE, dtype=np.uint8)).save(folder / "proposals/b.png")
    done = CliRunner().invoke(main, ["import", "labels", str(folder)])
    assert (done.exit_code, done.stdout) == (1, f"labels: 1 labels in {folder}/EBD/gt\n")
    assert done.stderr.startswith(f"1 left out:\n  {folder}/EBD/image/a.jpg: 8.3% of its mask are still undecided")
    assert [path.name for path in (folder / "EBD/gt").iterdir()] == ["b.png"]


def test_a_label_that_a_person_changed_is_theirs(folder: Path) -> None:
    edit(folder, shapes=[WHOLE])
    assert import_corrections(folder) == (1, [])
    assert import_corrections(folder) == (1, [])
    mine = np.full(SIZE, 255, dtype=np.uint8)
    Image.fromarray(mine).save(folder / "EBD/gt/a.png")
    (count, (message,)) = import_corrections(folder)
    assert (count, message.startswith(f"{folder}/EBD/gt/a.png: changed by hand since")) == (0, True)
    np.testing.assert_array_equal(read_grey(folder / "EBD/gt/a.png"), mine)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_marked_encodings_are_read(folder: Path, encoding: str) -> None:
    edit(folder, shapes=[WHOLE])
    path = folder / "EBD/image/a.json"
    path.write_bytes(path.read_text().replace(", ", ",\r\n\t").encode(encoding))
    assert import_corrections(folder) == (1, [])
    assert (read_grey(folder / "EBD/gt/a.png") == 0).all()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ('{"flags": "é"}'.encode("latin-1"), "byte 0xe9 at 11 is not UTF-8; save it as UTF-8"),
        (b'{"shapes": [], "shapes": []}', "the key 'shapes' stands twice in one object; keep the one that is meant"),
        (b'{"shapes": [', "not valid JSON (Expecting value: line 1 column 13 (char 12)); correct it there, or save it"),
        (b"", "not valid JSON (Expecting value: line 1 column 1 (char 0)); correct it there, or save it"),
        (b"[]", "not a file of LabelMe: found list, expected an object"),
    ],
)
def test_a_file_that_cannot_be_read_is_never_to_be_deleted(folder: Path, data: bytes, message: str) -> None:
    (folder / "EBD/image/a.json").write_bytes(data)
    found = told(folder)
    assert found.startswith(f"{folder}/EBD/image/a.json: {message}")
    assert "delete" not in found
    assert "remove" not in found


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"shapes": [polygon("tree", (0, 0), (9, 0), (9, 9))]},
            "shape 1 of 1, a polygon called 'tree': expected polygons called out of focus, undecided, in focus; rename",
        ),
        ({"shapes": [WHOLE, WHOLE | {"shape_type": "circle"}]}, "shape 2 of 2, a circle called 'out of focus': expect"),
        ({"shapes": [polygon("in focus", (1, 1))]}, "a polygon called 'in focus': 1 points, expected at least 3; draw"),
        ({"shapes": [polygon("in focus", (1, 1), (9, 9))]}, "a polygon called 'in focus': 2 points, expected at least"),
        ({"shapes": [polygon("in focus")]}, "shape 1 of 1, a polygon called 'in focus': 0 points, expected at least 3"),
        ({"shapes": [polygon("in focus", (1, 1), (9, float("nan")), (9, 9))]}, "a coordinate is no number; draw it"),
        ({"shapes": [polygon("in focus", (1, 1), (9, float("inf")), (9, 9))]}, "a coordinate is no number; draw it"),
        (
            {"shapes": [polygon("in focus", (1, 1), (90, 9), (9, 9))]},
            "the point (90, 9) lies outside the photograph of 80x60 pixels; move it",
        ),
        ({"shapes": [polygon("in focus", (-3, 1), (9, 9), (9, 1))]}, "the point (-3, 1) lies outside the photograph"),
        ({"shapes": [polygon("in focus", (1, 1), (5, 5), (9, 9))]}, "its points lie on one line, and enclose nothing"),
        (
            {"shapes": [polygon("in focus", (1, 1, 1), (5, 5, 1))]},
            "shape 1 of 1: the point [1, 1, 1], expected two numbers; draw it again",
        ),
        ({"shapes": [polygon("in focus", ("1", "2"), (5, 9), (7, 7))]}, 'the point ["1", "2"], expected two numbers'),
        ({"imageWidth": 81}, "of 81x60 pixels, the photograph has 80x60"),
        ({"shapes": [{"label": 3}]}, "shape 1 of 1: it has no list of `points`; draw it again"),
        ({"shapes": [{"points": []}]}, "shape 1 of 1: it has no `label`; draw it again"),
        ({"imagePath": "../b.jpg"}, "its `imagePath` is b.jpg, of another photograph; rename one of the two"),
        ({"shapes": None}, "not a file of LabelMe: `shapes`: found null; open it and save it again there"),
    ],
)
def test_a_file_that_labelme_would_not_leave(folder: Path, changes: dict, message: str) -> None:
    edit(folder, **changes)
    assert message in told(folder)
    assert told(folder).startswith(f"{folder}/EBD/image/a.json: ")


def test_a_mask_of_another_size_or_none(folder: Path) -> None:
    (folder / "EBD/image/a.json").unlink()
    paint(folder, np.zeros((10, 10), dtype=np.uint8))
    assert told(folder) == f"{folder}/proposals/a.png: of 10x10 pixels, the photograph has 80x60; replace it"
    (folder / "proposals/a.png").unlink()
    assert told(folder).startswith(f"{folder}/proposals/a.png: no such file, nor {folder}/EBD/image/a.json; ")


def test_a_folder_of_something_else(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"EBD/image: no such folder"):
        import_corrections(tmp_path)


def test_a_polygon_that_crosses_itself_is_one(folder: Path) -> None:
    edit(folder, shapes=[polygon("in focus", (10, 10), (30, 30), (30, 10), (10, 30)), WHOLE])
    assert import_corrections(folder) == (1, [])
