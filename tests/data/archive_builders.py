"""Archives of every kind that can be read, built on the spot; rar by hand, from its public description."""

import io
import stat
import struct
import tarfile
import zipfile
import zlib

import numpy as np
import py7zr
import pytest

from components.acquire.archives import unpack
from components.common.errors import InputError

NOISE = np.random.default_rng(0).bytes(200_000)
FILES = {"EBD/image/1.jpg": NOISE, "EBD/gt/1.png": b"label", "EBD/gt/empty.png": b""}
TARS = {"tar": "w", "tar.gz": "w:gz", "tar.bz2": "w:bz2", "tar.xz": "w:xz"}
KINDS = ["zip", *TARS, "7z", "rar"]


def zipped(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def tarred(path, files, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def seven_zipped(path, files, packed_list=True):
    with py7zr.SevenZipFile(path, "w") as archive:
        archive.set_encoded_header_mode(packed_list)  # py7zr gives it no checksum then, unlike 7-Zip
        for name, content in files.items():
            archive.writestr(content, name)


def block(kind, flags, fields, data=b""):
    """A RAR 4 block: CRC of its header, type, flags, header's size, fields, data."""
    header = struct.pack("<BHH", kind, flags, 7 + len(fields)) + fields
    return struct.pack("<H", zlib.crc32(header) & 0xFFFF) + header + data


def rar_file(name, content, method=0x30, mode=stat.S_IFREG | 0o644, flags=0):
    """The block of a stored file as made on Unix: packed and unpacked size, host, CRC, time, version, method, name."""
    sizes = struct.pack("<IIBI", len(content), len(content), 3, zlib.crc32(content))
    fields = sizes + struct.pack("<IBBHI", 0x5A210000, 20, method, len(name.encode()), mode) + name.encode()
    return block(0x74, 0x8000 | flags, fields, content)


def rarred(path, *blocks, end=True):
    start = b"Rar!\x1a\x07\x00" + block(0x73, 0, bytes(6))
    path.write_bytes(start + b"".join(blocks) + (block(0x7B, 0x4000, b"") if end else b""))


def build(path, kind, files):
    if kind in TARS:
        tarred(path, files, TARS[kind])
    elif kind == "7z plain":
        seven_zipped(path, files, packed_list=False)
    elif kind == "rar":
        rarred(path, *(rar_file(*item) for item in files.items()))
    else:
        {"zip": zipped, "7z": seven_zipped}[kind](path, files)


def unpacked(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(path, message, inside=""):
    """`unpack` refuses `path`, names it (and what is `inside`), and leaves nothing beside it."""
    before = sorted(path.parent.rglob("*"))
    with pytest.raises(InputError, match=message) as caught:
        unpack(path, path.parent / "out")
    assert str(caught.value).startswith(f"{path}{inside}: ")
    assert sorted(path.parent.rglob("*")) == before
    return str(caught.value)
