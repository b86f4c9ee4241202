"""Which photographs are meant, where their maps go, and that none of them is ever overwritten."""

import os
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from components.errors import InputError
from pipelines import photographs, sheet
from pipelines.cli import main
from pipelines.photographs import keep_apart, plan_maps


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with photographs in two folders and one beside them; they are not opened."""
    monkeypatch.chdir(tmp_path)
    for name in ("first/a.png", "first/B.JPG", "second/c.png", "d.jpg"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes(name.encode())
    return tmp_path


def test_files_and_folders_each_photograph_once(here: Path) -> None:
    plan = plan_maps([Path("d.jpg"), Path("first"), here / "first/a.png"], Path("maps"))
    assert {str(path.relative_to(here) if path.is_absolute() else path): str(out) for path, out in plan.items()} == {
        "d.jpg": "maps/d.png",
        "first/B.JPG": "maps/B.png",
        "first/a.png": "maps/a.png",
    }


def test_two_photographs_whose_maps_would_have_one_name_are_named(here: Path) -> None:
    Path("second/A.tif").touch()
    with pytest.raises(InputError, match=r"^first/a.png and second/A.tif: their maps would have one name in maps; "):
        plan_maps([Path("first"), Path("second")], Path("maps"))


def refused(photos: list[str], out: str, sheet: str | None = None) -> str:
    with pytest.raises(InputError) as error:
        plan_maps([Path(each) for each in photos], Path(out), Path(sheet) if sheet else None)
    assert Path("first/a.png").read_bytes() == b"first/a.png"
    return str(error.value)


@pytest.mark.parametrize("out", ["first", "second/../first", "linked"])
def test_maps_do_not_go_where_any_photograph_lies(here: Path, out: str) -> None:
    Path("linked").symlink_to("first")
    told = f"--out {out}: the photographs lie there, and maps would replace them; name another folder"
    assert refused(["d.jpg", "first/a.png"], out) == told


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_link_to_a_photograph_is_the_photograph(here: Path, link) -> None:
    Path("maps").mkdir()
    link(here / "first/a.png", here / "maps/a.png")
    assert refused(["first"], "maps") == (
        "maps/a.png: is the photograph first/a.png itself, and would be replaced; name another place"
    )


def test_the_map_of_one_is_no_other_photograph(here: Path) -> None:
    Path("second/d.png").symlink_to(here / "first/a.png")
    assert refused(["d.jpg", "first"], "second").startswith("second/d.png: is the photograph first/a.png itself")


def test_the_sheet_is_no_photograph_either(here: Path) -> None:
    assert refused(["first"], "maps", "first/../first/a.png").startswith("first/../first/a.png: is the photograph ")
    assert len(plan_maps([Path("first")], Path("maps"), Path("first/sheet.png"))) == 2


def test_other_files_may_be_written_over(here: Path) -> None:
    keep_apart([Path("d.jpg")], [Path("second/c.png"), Path("not/there.png")])


def test_a_sheet_by_hand(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two photographs, half in focus, on a sheet: photograph, map, and the half of it that is in focus on white."""

    half = np.repeat(np.uint8([[255, 0]]), 3, axis=1).repeat(4, axis=0)
    monkeypatch.setattr(photographs, "find_detector", lambda model, device: lambda photograph: half)
    monkeypatch.setattr(sheet, "SIDE", 6)
    for name in ("first/a.png", "first/B.JPG"):
        Image.new("RGB", (6, 4), (40, 80, 120)).save(name, quality=100, format="PNG")
    done = CliRunner().invoke(main, ["predict", "first", "--sheet", "sheet.png"])
    assert done.stdout == "2 maps in maps (white = in focus)\nsheet.png: photograph, map, cut-out\n", done.output
    with Image.open("sheet.png") as image:
        found = np.asarray(image)
    assert found.shape == (4 + 6 + 4, 6 + 6 + 6 + 6 + 6, 3)
    blue, white, black = [40, 80, 120], [255] * 3, [0] * 3
    one = [blue] * 6 + [white] * 6 + [white] * 3 + [black] * 3 + [white] * 6 + [blue] * 3 + [white] * 3
    assert found[0].tolist() == found[3].tolist() == found[10].tolist() == one
    assert (found[4:10] == 255).all()


def test_a_sheet_of_no_known_kind_is_refused_before_any_work(here: Path) -> None:
    done = CliRunner().invoke(main, ["predict", "first", "--sheet", "sheet.pdf"])
    assert done.exit_code == 2
    assert done.stderr == "error: --sheet sheet.pdf: expected a name that ends in .jpeg, .jpg, .png\n"
    assert not Path("maps").exists()
