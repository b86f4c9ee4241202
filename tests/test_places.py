"""Places that a person named: what cannot be written, or would harm something, is told before any work."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.catalog import images
from components.catalog.pictures import encode, encode_map, is_ours
from components.common.errors import InputError
from pipelines.photographs.plan import plan_maps
from pipelines.system.places import check_folder, check_places

LONG = "a" * 300


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder with a file, a folder, a link in a circle and a photograph."""
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("mine")
    Path("folder").mkdir()
    Path("circle").symlink_to("circle")
    Path("photos").mkdir()
    Path("photos/a.png").write_bytes(b"a")


@pytest.mark.parametrize(
    ("folder", "told"),
    [
        ("file", "file: cannot make this folder ("),
        ("file/new", "file/new: cannot make this folder ("),
        ("circle", "circle: cannot make this folder ("),
        (LONG, "aaaaaaaaaaaaaaaaaaaa...: a name of 300 bytes, and "),
        (f"new/{LONG}", "aaaaaaaaaaaaaaaaaaaa...: a name of 300 bytes, and "),
    ],
)
def test_a_folder_that_cannot_be_made(folder: str, told: str) -> None:
    with pytest.raises(InputError) as error:
        check_folder(Path(folder))
    assert str(error.value).startswith(told)
    with pytest.raises(InputError) as error:
        plan_maps([Path("photos")], Path(folder))
    assert str(error.value).startswith(told)
    assert not Path("new").exists()


def test_a_folder_that_may_be_made_is_not_made_yet() -> None:
    check_folder(Path("new/maps"))
    assert not Path("new").exists()


@pytest.mark.parametrize(
    ("outputs", "overwrite", "told"),
    [
        (["folder"], True, "folder: a folder is there, where a file would be written; name another place"),
        (["x.md", "folder/../x.md"], True, "folder/../x.md: two files would be written there; name another place "),
        ([f"new/{LONG}.md"], True, "aaaaaaaaaaaaaaaaaaaa...: a name of 303 bytes, and "),
        (["photos/a.png"], True, "photos/a.png: is the photograph photos/a.png itself, and would be replaced; "),
        (["x.md", "file"], False, "file: not made by this command, or changed since, and would be replaced; "),
        (["circle"], False, "circle: not made by this command, or changed since, and would be replaced; "),
    ],
)
def test_a_place_that_is_refused(outputs: list[str], overwrite: bool, told: str) -> None:
    with pytest.raises(InputError) as error:
        check_places(map(Path, outputs), [Path("photos/a.png")], overwrite=overwrite)
    assert str(error.value).startswith(told)


def test_places_that_are_free() -> None:
    check_places([Path("x.md"), Path("new/x.md")], overwrite=False)
    check_places([Path("file")], overwrite=True)
    check_places([Path("file")], overwrite=False, ours=lambda path: path.read_text() == "mine")


def test_the_sheet_is_no_map() -> None:
    with pytest.raises(InputError, match=r"^maps/a.png: two files would be written there; "):
        plan_maps([Path("photos")], Path("maps"), Path("maps/a.png"))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (f"{LONG}.jpg", "no such file or folder"),
        ("pipe.jpg", "neither a file nor a folder"),
        ("gone.jpg", "no such file"),
    ],
)
def test_what_is_no_photograph_ends_alone_and_is_listed_among_others(name: str, told: str) -> None:
    os.mkfifo("pipe.jpg")
    with pytest.raises(InputError) as error:
        plan_maps([Path(name)], Path("maps"))
    assert str(error.value).startswith(f"{name}: {told}")
    plan = plan_maps([Path(name), Path("photos")], Path("maps"))
    assert [str(path) for path in plan.maps] == ["photos/a.png"]
    assert [(str(path), reason.startswith(told)) for path, reason in plan.left_out.items()] == [(name, True)]


def test_a_picture_of_ours_is_known_until_a_pixel_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    for pixels, encoded in (
        (np.eye(40, dtype=np.uint8), encode_map(np.eye(40, dtype=np.uint8))),
        (np.full((3, 5, 3), 7, np.uint8), encode(np.full((3, 5, 3), 7, np.uint8), 9)),
    ):
        Path("ours.png").write_bytes(encoded)
        assert is_ours(Path("ours.png"))
        Image.fromarray(pixels).save("theirs.png")
        assert not is_ours(Path("theirs.png"))
    assert not is_ours(Path("file"))
    Path("ours.png").write_bytes(encode_map(np.zeros((1000, 1001), np.uint8)))
    monkeypatch.setattr(images, "_largest", [1])
    assert not is_ours(Path("ours.png"))  # beyond the limit, nothing is decoded


def test_only_one_module_opens_what_people_name(root: Path) -> None:
    """Pillow's own limit, which warns and raises, is lifted where ours is set: in components/catalog/images.py."""
    calls = [path for path in (root / "components").rglob("*.py") if "Image.open(" in path.read_text(encoding="utf-8")]
    assert sorted(path.name for path in calls) == ["images.py", "miniature.py"]  # the second opens its own bytes
    assert Image.MAX_IMAGE_PIXELS is None


def test_a_phone_s_photograph_that_is_not_read_says_what_to_do() -> None:
    Path("a.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    with pytest.raises(InputError, match=r"^a.HEIC: .heic is not read; convert it to JPEG or PNG$"):
        images.read_photograph(Path("a.HEIC"))
