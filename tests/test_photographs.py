"""Which photographs are meant, where their maps go, what becomes of bad ones, and that nothing is overwritten."""

import itertools
import os
import stat
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from components.catalog.images import read_reduced
from components.catalog.pictures import MADE_BY, encode_map
from components.common.errors import InputError
from components.common.storage import atomic_dir, atomic_path
from pipelines.cli import main
from pipelines.photographs import sheet
from pipelines.photographs.plan import plan_maps
from pipelines.system.places import keep_apart
from tests.photographs.faked import detect

TOLD = "maps/index.html and maps/photographs.parquet"


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
    assert {
        str(path.relative_to(here) if path.is_absolute() else path): str(out) for path, out in plan.maps.items()
    } == {
        "d.jpg": "maps/d.png",
        "first/B.JPG": "maps/B.png",
        "first/a.png": "maps/a.png",
    }


def test_a_gif_is_read_and_what_is_not_is_listed(here: Path) -> None:
    for name in ("e.gif", "f.heic", "g.tga", "h.txt"):
        Path("second", name).touch()
    plan = plan_maps([Path("second")], Path("maps"))
    assert [each.name for each in plan.maps] == ["c.png", "e.gif"]
    assert {path.name: reason for path, reason in plan.left_out.items()} == {
        name: f"{Path(name).suffix} is not read; convert it to JPEG or PNG" for name in ("f.heic", "g.tga")
    }


def test_of_two_photographs_whose_maps_would_have_one_name_the_second_is_left_out(here: Path) -> None:
    Path("second/A.tif").touch()
    plan = plan_maps([Path("first"), Path("second")], Path("maps"))
    assert [each.name for each in plan.maps] == ["B.JPG", "a.png", "c.png"]
    ((path, reason),) = plan.left_out.items()
    assert path.name == "A.tif"
    assert reason == "its map would have the name of that of first/a.png; give it an --out of its own"


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
    assert len(plan_maps([Path("first")], Path("maps"), Path("first/sheet.png")).maps) == 2


def test_other_files_may_be_written_over(here: Path) -> None:
    keep_apart([Path("d.jpg")], [Path("second/c.png"), Path("not/there.png")])


def test_a_sheet_by_hand(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two photographs, half in focus, on a sheet: photograph, map, and the half of it that is in focus on white."""

    half = np.repeat(np.uint8([[255, 0]]), 3, axis=1).repeat(4, axis=0)
    detect(monkeypatch, lambda photograph: half)
    monkeypatch.setattr(sheet, "SIDE", 6)
    for name in ("first/a.png", "first/B.JPG"):
        Image.new("RGB", (6, 4), (40, 80, 120)).save(name, quality=100, format="PNG")
    done = CliRunner().invoke(main, ["predict", "first", "--sheet", "sheet.png"])
    assert done.stdout == f"2 maps in maps (white = in focus)\n{TOLD}\nsheet.png: photograph, map, cut-out\n", (
        done.output
    )
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


def test_maps_of_ours_may_be_written_over_and_nothing_else(here: Path) -> None:
    """What a person made of a map is theirs; a link is not followed."""
    Path("maps").mkdir()
    ours = Path("maps/a.png")
    ours.write_bytes(encode_map(np.eye(4, dtype=np.uint8)))
    assert len(plan_maps([Path("first")], Path("maps")).maps) == 2
    with Image.open(ours) as image:
        notes = PngInfo()
        notes.add_text(MADE_BY, image.info[MADE_BY])
        image.point(lambda level: 255 - level).save(ours, pnginfo=notes)  # retouched by a program that keeps notes
    told = "maps/a.png: not made by this command, or changed since, and would be replaced; name another place, or add "
    assert refused(["first"], "maps") == told + "--overwrite"
    ours.unlink()
    ours.symlink_to("nowhere")
    assert refused(["first"], "maps") == told + "--overwrite"
    Path("maps/B.png").write_text("mine")
    assert refused(["first"], "maps").startswith("maps/B.png and 1 more: not made by this command")
    assert len(plan_maps([Path("first")], Path("maps"), overwrite=True).maps) == 2
    assert refused(["d.jpg"], "elsewhere", "maps/B.png").startswith("maps/B.png: not made by this command")


def test_a_map_of_another_photograph_is_not_written_over(here: Path) -> None:
    Path("maps").mkdir()
    Path("maps/a.png").write_bytes(encode_map(np.eye(4, dtype=np.uint8), "a.png"))
    assert len(plan_maps([Path("first")], Path("maps")).maps) == 2
    Path("maps/a.png").write_bytes(encode_map(np.eye(4, dtype=np.uint8), "a.jpg"))
    assert refused(["first"], "maps").startswith("maps/a.png: not made by this command, or changed since")
    Path("maps/a.png").write_bytes(encode_map(np.eye(4, dtype=np.uint8)))  # made before maps said of what they are
    assert len(plan_maps([Path("first")], Path("maps")).maps) == 2


def test_overwriting_spares_pictures_in_colour(here: Path) -> None:
    Path("maps").mkdir()
    colour = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(colour).save("maps/a.png")
    with pytest.raises(InputError, match=r"^maps/a\.png: a picture in colour is there, and a map would replace it; "):
        plan_maps([Path("first")], Path("maps"), overwrite=True)
    Image.fromarray(colour[..., 0]).convert("RGB").save("maps/a.png")  # a map, saved by a painting program
    assert len(plan_maps([Path("first")], Path("maps"), overwrite=True).maps) == 2


def test_a_name_that_is_not_utf_8_gets_its_map_too(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.jpg")
    for each in (name, "z.jpg"):
        Image.new("RGB", (40, 32), "white").save(tmp_path / each)
    done = CliRunner().invoke(main, ["predict", str(tmp_path), "--out", str(tmp_path / "maps"), "--model", "lbp"])
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith(f"2 maps in {tmp_path}/maps (white = in focus)\n")
    found = sorted(os.listdir(tmp_path / "maps"))
    assert found == sorted([".predict", os.fsdecode(b"caf\xe9.png"), "index.html", "photographs.parquet", "z.png"])
    assert "caf%E9" in (tmp_path / "maps/index.html").read_text()


def test_overwriting_never_means_a_photograph(here: Path) -> None:
    Path("maps").mkdir()
    Path("maps/a.png").symlink_to(here / "first/a.png")
    for out in ("first", "maps"):
        with pytest.raises(InputError, match=r"the photographs lie there|is the photograph"):
            plan_maps([Path("first")], Path(out), overwrite=True)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda path: None, "no such file or folder; name photographs (.bmp, "),
        (lambda path: path.symlink_to("nowhere.jpg"), "a link to a file that is not there; name photographs (.bmp, "),
        (lambda path: path.mkdir(), "no picture in it; expected .bmp, .gif, .jpeg, "),
    ],
    ids=["nothing", "broken link", "empty folder"],
)
def test_what_is_named_and_is_none(here: Path, make, told: str) -> None:
    make(Path("x.jpg"))
    assert refused(["x.jpg"], "maps").startswith(f"x.jpg: {told}")


def test_a_name_that_a_folder_does_not_take_is_told_before_any_work(here: Path, monkeypatch) -> None:
    long = Path("first") / ("a" * 246 + ".jpg")
    long.touch()
    assert plan_maps([long], Path("maps")).maps == {long: Path("maps") / ("a" * 246 + ".png")}
    monkeypatch.setattr("pipelines.photographs.plan.longest_name", lambda folder: 143)  # as an encrypted home has it
    assert refused([str(long)], "new/maps") == (
        f"{long}: its map's name has 250 bytes, and new/maps takes 143; rename it"
    )
    plan = plan_maps([Path("first")], Path("maps"))
    assert (len(plan.maps), list(plan.left_out)) == (2, [long])


def test_a_camera_s_raw_file_beside_its_jpeg_is_no_loss(here: Path) -> None:
    for name in ("first/B.CR2", "first/c.heic"):
        Path(name).touch()
    assert plan_maps([Path("first")], Path("maps")).left_out == {
        Path("first/c.heic"): ".heic is not read; convert it to JPEG or PNG"
    }


def test_two_hundred_photographs_of_which_twenty_are_bad(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """180 maps, and a list of the others with their reasons; exit code 1."""
    folder = Path("many")
    folder.mkdir()
    for number in range(180):
        Image.new("RGB", (6, 4), (number, 80, 120)).save(folder / f"{number}.png")
    whole = Path("many/0.png").read_bytes()
    huge = bytearray(whole)
    huge[16:24] = struct.pack(">II", 40_000, 20_000)
    huge[29:33] = struct.pack(">I", zlib.crc32(huge[12:29]))
    kinds = {
        "truncated": (whole[:50], "not a readable image ("),
        "empty": (b"", "not a readable image (of no known format)"),
        "page": (b"<!doctype html><html>", "not a readable image (of no known format)"),
        "text": (b"a note", "not a readable image (of no known format)"),
        "huge": (bytes(huge), "800 megapixels, and at most 512 are read; decoded they take 2.4 GB: "),
        "folder": (None, "a folder; name it to have its photographs too"),
        "link": (None, "a link to a file that is not there"),
        "phone": (b"\0\0\0\x18ftypheic", ".heic is not read; convert it to JPEG or PNG"),
    }
    expected = {}
    for number, kind in zip(range(20), itertools.cycle(kinds)):
        path = folder / f"{kind}{number}.{'heic' if kind == 'phone' else 'png'}"
        if kind == "folder":
            path.mkdir()
        elif kind == "link":
            path.symlink_to("nowhere")
        else:
            path.write_bytes(kinds[kind][0])
        expected[str(path)] = kinds[kind][1]

    def grey_of(photograph: Path) -> np.ndarray:
        return np.asarray(read_reduced(photograph, 320)[0].convert("L"))

    detect(monkeypatch, grey_of)
    done = CliRunner().invoke(main, ["predict", "many"])
    assert done.exit_code == 1
    assert done.stdout == f"180 maps in maps (white = in focus)\n{TOLD}\n"
    assert len(list(Path("maps").glob("*.png"))) == 180
    listed = done.stderr[done.stderr.index("20 photographs without a map:\n") :].splitlines()[1:]
    found = dict(line.strip().split(": ", 1) for line in listed)
    assert found.keys() == expected.keys()
    for path, reason in expected.items():
        assert found[path].startswith(reason), path


def test_written_files_have_the_rights_that_new_files_have(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        with atomic_path(tmp_path / "file") as temporary:
            temporary.write_text("x")
        with atomic_dir(tmp_path / "folder") as folder:
            (folder / "inside").touch()
    finally:
        os.umask(old)
    modes = {name: stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("file", "folder", "folder/inside")}
    assert modes == {"file": 0o640, "folder": 0o750, "folder/inside": 0o640}


def test_a_name_as_long_as_file_systems_take_is_written(tmp_path: Path) -> None:
    path = tmp_path / ("é" * 125 + ".png")
    with atomic_path(path) as temporary:
        temporary.write_text("x")
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_of_links_to_one_photograph_the_photograph_is_taken(tmp_path: Path) -> None:
    folder = tmp_path / "shoot"
    folder.mkdir()
    Image.new("RGB", (8, 6)).save(folder / "orig.jpg")
    for name in ("a.jpg", "z.jpg"):
        (folder / name).symlink_to("orig.jpg")
    Image.new("RGB", (8, 6)).save(tmp_path / "else.jpg")
    for name in ("m.jpg", "n.jpg"):
        (folder / name).symlink_to(tmp_path / "else.jpg")
    plan = plan_maps([folder, folder / "orig.jpg"], tmp_path / "maps")
    assert [path.name for path in plan.maps] == ["m.jpg", "orig.jpg"]
    assert {path.name: why for path, why in plan.left_out.items()} == {
        "a.jpg": f"the same photograph as {folder / 'orig.jpg'}",
        "z.jpg": f"the same photograph as {folder / 'orig.jpg'}",
        "n.jpg": f"the same photograph as {folder / 'm.jpg'}",
    }
