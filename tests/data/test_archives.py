"""Archives unpacked whole or not at all: zip, tar, 7z, rar; damaged ones, and full disks."""

import os

import pytest

from components.acquire import archives
from components.acquire.archives import is_archive, unpack
from components.common.errors import InputError
from components.common.storage import NoRoomError
from tests.data.archive_builders import FILES, KINDS, build, rar_file, rarred, refused, tarred, unpacked, zipped


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_told_by_content_and_unpacked(tmp_path, kind):
    path, seen = tmp_path / "no-suffix", []
    build(path, kind, FILES)
    assert is_archive(path)
    unpack(path, tmp_path / "out", progress=lambda done, total: seen.append((done, total)))
    assert unpacked(tmp_path / "out") == FILES
    assert seen[-1] == (200_005, 200_005)
    assert sorted(os.listdir(tmp_path)) == ["no-suffix", "out"]
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert modes == {0o644}


@pytest.mark.parametrize("kind", KINDS)
def test_junk_is_left_out(tmp_path, kind):
    junk = ["__MACOSX/EBD/._1.png", "EBD/.DS_Store", "EBD/gt/._2.png", "EBD/Thumbs.db"]
    build(tmp_path / "a", kind, {"EBD/gt/1.png": b"label"} | dict.fromkeys(junk, b"junk"))
    unpack(tmp_path / "a", tmp_path / "out")
    assert unpacked(tmp_path / "out") == {"EBD/gt/1.png": b"label"}


def test_what_was_in_the_folder_goes(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/old").write_text("old")
    zipped(tmp_path / "a", {"new": b"new"})
    unpack(tmp_path / "a", tmp_path / "out")
    assert unpacked(tmp_path / "out") == {"new": b"new"}


@pytest.mark.parametrize("kind", KINDS)
def test_archives_inside_are_opened_one_level(tmp_path, kind):
    """As cloud drives give several files; Windows paths are paths."""
    zipped(tmp_path / "inner", {"image\\1.jpg": b"1"})
    inner = (tmp_path / "inner").read_bytes()
    zipped(tmp_path / "outer", {"EBD\\": b"", "EBD\\part.zip": inner, "gt/1.png": b"label"})
    files = {"DUT.ZIP": (tmp_path / "outer").read_bytes(), "notes.zip": b"no archive", "b.bin": inner}
    build(tmp_path / "a", kind, files)
    unpack(tmp_path / "a", tmp_path / "out")
    opened = {"DUT/EBD/part.zip": inner, "DUT/gt/1.png": b"label"}
    assert unpacked(tmp_path / "out") == opened | {"notes.zip": b"no archive", "b.bin": inner}


@pytest.mark.parametrize("name", ["maps.tar", "maps.tar.gz", "maps.tgz", "maps.7z", "maps.rar", "maps.tar.xz"])
def test_the_folder_of_an_archive_inside_has_its_name(tmp_path, name):
    kind = {"maps.tgz": "tar.gz"}.get(name, name.removeprefix("maps."))
    build(tmp_path / "inner", kind, {"x.png": b"x"})
    zipped(tmp_path / "a", {f"CUHK/{name}": (tmp_path / "inner").read_bytes()})
    unpack(tmp_path / "a", tmp_path / "out")
    assert unpacked(tmp_path / "out") == {"CUHK/maps/x.png": b"x"}


def test_archives_inside_are_held_to_what_holds_for_the_outer_one(tmp_path, monkeypatch):
    def holding(name, files, more=()):
        zipped(tmp_path / "inner", files)
        zipped(tmp_path / "a", {name: (tmp_path / "inner").read_bytes()} | dict(more))

    holding("x/in.zip", {"../out": b"1"})
    refused(tmp_path / "a", r"member '\.\./out' leads out of the folder", "/x/in.zip")
    holding("EBD.zip", {"x": b"1"}, {"EBD/x": b"2"})
    refused(tmp_path / "a", r"it holds EBD\.zip and EBD, which would be one folder")
    zipped(tmp_path / "a", {"in.zip": b"PK\x03\x04 cut"})
    refused(tmp_path / "a", "damaged, cut short", "/in.zip")
    holding("in.zip", {"x": bytes(600)}, {"y": bytes(500)})
    monkeypatch.setattr(archives, "MAX_BYTES", 1000)
    refused(tmp_path / "a", r"0\.0 GB unpacked, expected at most 0 GB", "/in.zip")
    monkeypatch.setattr(archives, "MAX_BYTES", 2000)
    unpack(tmp_path / "a", tmp_path / "out")
    assert unpacked(tmp_path / "out") == {"in/x": bytes(600), "y": bytes(500)}


def test_an_archive_without_members(tmp_path):
    for kind in ("zip", "tar.gz", "rar"):  # a plain tar without members is zeros alone
        build(tmp_path / kind, kind, {})
        unpack(tmp_path / kind, tmp_path / "out")
        assert unpacked(tmp_path / "out") == {}


@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_archive(tmp_path, kind):
    build(tmp_path / "a", kind, FILES)
    content = (tmp_path / "a").read_bytes()
    for share in (0.02, 0.5, 0.9):
        (tmp_path / "a").write_bytes(content[: int(len(content) * share)])
        refused(tmp_path / "a", "damaged, cut short|has no end")


def test_a_zip_whose_list_swallows_a_member(tmp_path):
    zipped(tmp_path / "a", {"x": b"1", "y": b"2"})
    content = bytearray((tmp_path / "a").read_bytes())
    content[content.index(b"PK\x01\x02") + 32] = 47  # the first member's comment: 46 + 1 bytes of the second
    (tmp_path / "a").write_bytes(content)
    refused(tmp_path / "a", "its list lacks members")


def test_a_tar_and_a_rar_cut_between_members(tmp_path):
    tarred(tmp_path / "a", {"x": b"1", "y": b"2"})
    (tmp_path / "a").write_bytes((tmp_path / "a").read_bytes()[:1024])
    refused(tmp_path / "a", "it has no end")
    rarred(tmp_path / "b", rar_file("x", b"1"), end=False)
    refused(tmp_path / "b", "it has no end")


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.bz2", "tar.xz", "7z", "rar"])
def test_a_flipped_bit_in_the_data(tmp_path, kind):
    build(tmp_path / "a", kind, FILES)
    content = bytearray((tmp_path / "a").read_bytes())
    content[100_000] ^= 1
    (tmp_path / "a").write_bytes(content)
    refused(tmp_path / "a", "damaged, cut short")


@pytest.mark.parametrize(
    ("content", "looks"),
    [
        (b"", "an empty file"),
        (bytes(10_240), "a file of another kind"),  # also a tar without members
        (b"\n <!DOCTYPE html>", "a web page"),
        (b"\xff\xd8\xff\xe0", "a JPEG image"),
        (b"\x89PNG\r\n", "a PNG image"),
        (b"hello", "a file of another kind"),
    ],
)
def test_no_archive(tmp_path, content, looks):
    (tmp_path / "a.zip").write_bytes(content)
    assert not is_archive(tmp_path / "a.zip")
    refused(tmp_path / "a.zip", f"not an archive but {looks}; expected zip, tar, 7z or rar")


def test_a_compressed_rar_needs_a_tool(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    rarred(tmp_path / "a", rar_file("x", b"packed", method=0x33))
    refused(tmp_path / "a", "needs one of unrar, unar, 7z or bsdtar, and none is here; install one, or unpack it by")


def test_the_disk_is_looked_at_first(small_disk, tmp_path):
    zipped(tmp_path / "a", {"x": bytes(3_000_000)})
    with pytest.raises(InputError, match=rf"{small_disk}/out: needs 0\.00 GB, and 0\.00 GB are free"):
        unpack(tmp_path / "a", small_disk / "out")
    assert list(small_disk.iterdir()) == []


def test_a_disk_that_fills_up_all_the_same(small_disk, tmp_path):
    zipped(tmp_path / "a", {f"{i}": b"" for i in range(20)} | {"x": bytes(1_500_000)})
    taken = small_disk / "taken"

    def fill(done: int, total: int) -> None:
        taken.write_bytes(bytes(1_000_000))

    with pytest.raises(NoRoomError, match="the disk is full"):
        unpack(tmp_path / "a", small_disk / "out", progress=fill)
    assert list(small_disk.iterdir()) == [taken]
