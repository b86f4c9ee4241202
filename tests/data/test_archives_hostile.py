"""Archives that would write elsewhere, link, or never end: refused before anything is written."""

import stat
import struct
import tarfile
import zipfile
import zlib

import py7zr
import pytest

from components.acquire import archives
from components.acquire.archives import unpack
from tests.data.archive_builders import FILES, KINDS, NOISE, block, build, rar_file, rarred, refused, tarred, zipped

HOSTILE = {
    "../evil": r"member '\.\./evil' leads out of the folder",
    "a/../../evil": "leads out of the folder",
    "..\\evil": "leads out of the folder",
    "/tmp/evil": r"member '/tmp/evil' has an absolute path",
    "C:\\evil": "absolute path",
    "\\\\host\\evil": "absolute path",
    "a\nb": "characters that no file should have",
    "a" * 300: "a name longer than 255 bytes",
    "/".join(["ab"] * 400): "a name longer than 255 bytes",
}


@pytest.mark.parametrize(("name", "message"), HOSTILE.items())
@pytest.mark.parametrize("kind", ["zip", "tar", "rar"])
def test_a_name_that_leads_elsewhere(tmp_path, kind, name, message):
    build(tmp_path / "a", kind, {"good": b"good", name: b"evil"})
    if kind == "rar":  # rarfile makes slashes of backslashes
        message = message.replace("absolute path", "absolute path|leads out of")
    refused(tmp_path / "a", message)


def test_a_7z_name_that_leads_elsewhere(tmp_path):
    old, new = "xx/evil".encode("utf-16-le"), "../evil".encode("utf-16-le")
    with py7zr.SevenZipFile(tmp_path / "a", "w") as archive:
        archive.set_encoded_header_mode(False)
        archive.writestr(b"good", "good")
        archive.writestr(b"evil", "xx/evil")
    content = (tmp_path / "a").read_bytes()
    start, body = content[:32], content[32:].replace(old, new)
    offset, size = struct.unpack("<QQ", start[12:28])
    header = start[12:28] + struct.pack("<I", zlib.crc32(body[offset : offset + size]))
    (tmp_path / "a").write_bytes(start[:8] + struct.pack("<I", zlib.crc32(header)) + header + body)
    refused(tmp_path / "a", r"member '\.\./evil' leads out of the folder")


def test_zip_names_without_utf8_and_with_broken_utf8(tmp_path):
    zipped(tmp_path / "a", {"gr\u00fcn": b"x"})
    content = (tmp_path / "a").read_bytes()
    (tmp_path / "a").write_bytes(content.replace("gr\u00fcn".encode(), b"gr\xff\xffn"))
    refused(tmp_path / "a", "damaged, cut short.*UnicodeDecodeError")
    zipped(tmp_path / "a", {"a_b": b"x"})
    content = (tmp_path / "a").read_bytes()
    (tmp_path / "a").write_bytes(content.replace(b"a_b", b"a\0b"))
    refused(tmp_path / "a", r"member 'a\\x00b' has a name with characters")


def test_tar_names_that_are_no_utf8(tmp_path):
    with tarfile.open(tmp_path / "a", "w", encoding="latin-1", format=tarfile.GNU_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo("gr\u00fcn"))
    refused(tmp_path / "a", "characters that no file should have")


@pytest.mark.parametrize("kind", ["zip", "tar", "rar"])
@pytest.mark.parametrize("other", ["a/X", "A/x", "a//x", "./a/x", "a\\x"])
def test_two_members_of_one_name(tmp_path, kind, other):
    build(tmp_path / "a", kind, {"a/x": b"1", other: b"2"})
    refused(tmp_path / "a", "two members of one name, 'a/x' and ")


def test_a_member_twice(tmp_path):
    rarred(tmp_path / "a", rar_file("x", b"1"), rar_file("x", b"2"))
    refused(tmp_path / "a", "two members of one name, 'x' and 'x'")


def test_a_file_that_another_member_needs_as_its_folder(tmp_path):
    zipped(tmp_path / "a", {"x/y": b"1", "X": b"2"})
    refused(tmp_path / "a", "member 'X' is a file, and the folder of another")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar(tmp_path, kind):
    with tarfile.open(tmp_path / "a", "w") as archive:
        info = tarfile.TarInfo("evil")
        info.type, info.linkname = kind, "/etc/passwd" if kind in {tarfile.SYMTYPE, tarfile.LNKTYPE} else ""
        archive.addfile(info)
    refused(tmp_path / "a", f"member 'evil' is a {'link' if info.linkname else 'device'}; expected files and folders")


def test_links_and_devices_in_zip_rar_and_7z(tmp_path):
    for kind, what in [(stat.S_IFLNK, "link"), (stat.S_IFIFO, "device"), (stat.S_IFCHR, "device")]:
        info = zipfile.ZipInfo("evil")
        info.external_attr = (kind | 0o644) << 16
        zipped(tmp_path / "a", {info: b"/etc/passwd"})
        refused(tmp_path / "a", f"member 'evil' is a {what}")
    rarred(tmp_path / "a", rar_file("evil", b"/etc/passwd", mode=stat.S_IFLNK | 0o777))
    refused(tmp_path / "a", "member 'evil' is a link")
    (tmp_path / "evil").symlink_to("a")
    with py7zr.SevenZipFile(tmp_path / "b", "w") as archive:
        archive.write(tmp_path / "evil", "evil")
    refused(tmp_path / "b", "member 'evil' is a link")


def test_encrypted_members(tmp_path):
    zipped(tmp_path / "a", {"x": b"x"})
    content = bytearray((tmp_path / "a").read_bytes())
    for magic, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(magic) + place] |= 1
    (tmp_path / "a").write_bytes(content)
    refused(tmp_path / "a", "member 'x' is encrypted")
    with py7zr.SevenZipFile(tmp_path / "b", "w", password="secret") as archive:
        archive.writestr(b"x", "x")
    refused(tmp_path / "b", "member 'x' is encrypted|PasswordRequired")
    rarred(tmp_path / "c", rar_file("x", b"x", flags=0x04))
    refused(tmp_path / "c", "member 'x' is encrypted")
    (tmp_path / "d").write_bytes(b"Rar!\x1a\x07\x00" + block(0x73, 0x80, bytes(6)) + bytes(100))
    refused(tmp_path / "d", "its list is encrypted")


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.bz2", "tar.xz", "7z"])
def test_a_bomb_by_ratio(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(archives, "RATIO_FROM", 1_000_000)
    monkeypatch.setattr(archives, "MAX_RATIO", 500)
    build(tmp_path / "a", kind, {"zeros": bytes(3_000_000)})
    refused(tmp_path / "a", r"unpacks to \d+ times its size, expected at most 500 times")
    monkeypatch.setattr(archives, "RATIO_FROM", 3_000_000)
    unpack(tmp_path / "a", tmp_path / "out")
    assert (tmp_path / "out/zeros").stat().st_size == 3_000_000


def test_a_bomb_among_good_files_and_in_junk(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "RATIO_FROM", 1_000_000)
    monkeypatch.setattr(archives, "MAX_RATIO", 500)
    for name in ("zeros", "._zeros"):
        zipped(tmp_path / "a", {"good": NOISE, name: bytes(3_000_000)})
        refused(tmp_path / "a", rf"member '{name}' unpacks to \d+ times its size")


@pytest.mark.parametrize("kind", KINDS)
def test_a_bomb_by_size(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(archives, "MAX_BYTES", 200_004)
    build(tmp_path / "a", kind, FILES)
    refused(tmp_path / "a", r"0\.0 GB unpacked, expected at most 0 GB")
    monkeypatch.setattr(archives, "MAX_BYTES", 200_005)
    unpack(tmp_path / "a", tmp_path / "out")


@pytest.mark.parametrize("kind", KINDS)
def test_a_bomb_by_number(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(archives, "MAX_MEMBERS", 2)
    build(tmp_path / "a", kind, FILES)
    refused(tmp_path / "a", "more than 2 members")


def test_a_tar_header_that_would_fill_the_memory(tmp_path):
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2**34
    (tmp_path / "a").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(10_240))
    refused(tmp_path / "a", "damaged, cut short")
    tarred(tmp_path / "b", {"good": b"good"})
    start = (tmp_path / "b").read_bytes()[:1024]
    (tmp_path / "b").write_bytes(start + info.tobuf(tarfile.GNU_FORMAT) + bytes(10_240))
    refused(tmp_path / "b", "a header of 17179869184 bytes")


def test_a_zip_member_longer_than_it_says(tmp_path):
    zipped(tmp_path / "a", {"x": bytes(5000)})
    content = (tmp_path / "a").read_bytes()
    (tmp_path / "a").write_bytes(content.replace(struct.pack("<I", 5000), struct.pack("<I", 4000)))
    refused(tmp_path / "a", "damaged, cut short.*CRC")
