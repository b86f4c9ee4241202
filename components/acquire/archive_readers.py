"""One face for the archives that their libraries read: members first, then their contents in chunks.

Damage shows as many kinds of exceptions in these libraries; here it is one `InputError`.
"""

import stat
import struct
import tarfile
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol, Self

from components.common.errors import InputError, one_message
from components.common.storage import NO_ROOM

CHUNK = 2**20
TAR_HEADER = 2**20
"""Bytes that a tar may use for one member's long name and attributes, which its library reads into memory."""
TAR_TRAILER = 2**26
"""Bytes that may follow the end of a tar: it is filled up to whole records."""
MAGIC = {
    "zip": (b"PK\x03\x04", b"PK\x05\x06"),
    "7z": (b"7z\xbc\xaf\x27\x1c",),
    "rar": (b"Rar!\x1a\x07",),
    "tar": (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00"),
}
"""How files begin; a plain tar has its mark at byte 257."""


@dataclass(frozen=True)
class Member:
    """What an archive says of one member; `kind` is file, folder, or what else it is, with its article."""

    name: str
    kind: str
    size: int
    packed: int | None
    """Bytes in the archive, None where that is not said of single members."""
    encrypted: bool
    handle: Any
    """The library's own."""


class Sink(Protocol):
    """Where one file's bytes go."""

    def write(self, chunk: bytes) -> int:
        """Take more bytes; their number."""

    def close(self) -> None:
        """Take the end."""


class Reader(ABC):
    """An open archive; `file` is the library's."""

    file: Any

    @abstractmethod
    def members(self, size: int, count: int) -> list[Member]:
        """Members in the order of the archive; none beyond the first with which they exceed `size` bytes or `count`."""

    @abstractmethod
    def extract(self, wanted: Sequence[Member], sink: Callable[[Member], Sink]) -> None:
        """Write each of the members that are wanted to the sink that is opened for it."""

    def close(self) -> None:
        self.file.close()


def kind_of(path: Path) -> str | None:
    """The kind of archive that a file is by its content, None if it is none."""
    with path.open("rb") as file:
        start = file.read(262)
    plain_tar = "tar" if start[257:262] == b"ustar" else None
    return next((kind for kind, magics in MAGIC.items() if start.startswith(magics)), plain_tar)


def damage(path: Path) -> AbstractContextManager[None]:
    """Whatever a library raises on a damaged archive, as one message; a full disk goes through as it is.

    Raises:
        InputError: the archive cannot be read.
    """
    return one_message(
        lambda error: (
            f"{path}: damaged, cut short, or of a kind that is not read here ({type(error).__name__}: "
            f"{str(error).partition(chr(10))[0]}); get it again, or unpack it by hand and name the folder"
        ),
        but=NO_ROOM,
    )


def copy(file: IO[bytes], sink: Sink) -> None:
    """Write all of a file to a sink."""
    while chunk := file.read(CHUNK):
        sink.write(chunk)
    sink.close()


def zip_count(path: Path) -> int:
    """Members that the end of a zip speaks of, modulo 2^16; 2^16 - 1 where it leaves that to ZIP64.

    The library does not look at it, and a damaged length makes it take members for another's comment.
    """
    with path.open("rb") as file:
        file.seek(-min(path.stat().st_size, 22 + 2**16), 2)  # the last record, with the longest comment
        end = file.read()
    (count,) = struct.unpack_from("<H", end, end.rindex(b"PK\x05\x06") + 10)
    return int(count)


class ZipReader(Reader):
    """By the standard library."""

    def __init__(self, path: Path) -> None:
        self.file = zipfile.ZipFile(path)
        if zip_count(path) not in {len(self.file.infolist()) % 2**16, 2**16 - 1}:
            raise zipfile.BadZipFile("its list lacks members")

    def members(self, size: int, count: int) -> list[Member]:
        return [self._member(info) for info in self.file.infolist()]

    def _member(self, info: zipfile.ZipInfo) -> Member:
        mode = stat.S_IFMT(info.external_attr >> 16)
        kind = "folder" if info.orig_filename.endswith(("/", "\\")) else "file"
        if mode not in {0, stat.S_IFREG, stat.S_IFDIR}:
            kind = "a link" if mode == stat.S_IFLNK else "a device"
        return Member(info.orig_filename, kind, info.file_size, info.compress_size, bool(info.flag_bits & 1), info)

    def extract(self, wanted: Sequence[Member], sink: Callable[[Member], Sink]) -> None:
        for member in wanted:
            with self.file.open(member.handle) as file:
                copy(file, sink(member))


class BoundedTarInfo(tarfile.TarInfo):
    """A header whose extension fits into memory."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        info = super().frombuf(buf, encoding, errors)
        if info.type not in (*tarfile.REGULAR_TYPES, tarfile.DIRTYPE) and info.size > TAR_HEADER:
            raise tarfile.ReadError(f"a header of {info.size} bytes")
        return info


class TarReader(Reader):
    """By the standard library, plain or compressed by gzip, bzip2 or xz."""

    def __init__(self, path: Path) -> None:
        self.file = tarfile.open(path, tarinfo=BoundedTarInfo)  # noqa: SIM115 (it is open as long as the reader)

    def members(self, size: int, count: int) -> list[Member]:
        found, total = [], 0
        for info in self.file:
            found.append(self._member(info))
            total += info.size
            if total > size or len(found) > count:
                return found
        self._check_end()
        return found

    def _member(self, info: tarfile.TarInfo) -> Member:
        kind = "file" if info.isfile() else "folder" if info.isdir() else "a link" if info.linkname else "a device"
        return Member(info.name, kind, info.size, None, False, info)

    def _check_end(self) -> None:
        """A tar that is cut between two members looks whole to the library: it has to end in a block of zeros.

        What follows is read, as the checksum of a compressed tar is looked at only where its file ends.
        """
        file: Any = self.file.fileobj
        file.seek(self.file.offset)
        if file.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
            raise tarfile.ReadError("it has no end")
        if len(file.read(TAR_TRAILER)) == TAR_TRAILER:
            raise tarfile.ReadError("it goes on behind its end")

    def extract(self, wanted: Sequence[Member], sink: Callable[[Member], Sink]) -> None:
        for member in wanted:
            file = self.file.extractfile(member.handle)
            assert file is not None
            with file:
                copy(file, sink(member))


class RarReader(Reader):
    """By rarfile; members that are compressed need a tool: unrar, unar, 7z or bsdtar."""

    def __init__(self, path: Path) -> None:
        import rarfile  # noqa: PLC0415 (needed for these archives alone)

        blocks: list[int] = []
        self.file = rarfile.RarFile(path, errors="strict", info_callback=lambda block: blocks.append(block.type))
        if self.file.needs_password() and not self.file.infolist():
            raise rarfile.PasswordRequired("its list is encrypted")
        if rarfile.RAR_BLOCK_ENDARC not in blocks:
            raise rarfile.BadRarFile("it has no end")

    def members(self, size: int, count: int) -> list[Member]:
        return [self._member(info) for info in self.file.infolist()]

    def _member(self, info: Any) -> Member:  # noqa: ANN401 (the library's own)
        kind = "folder" if info.is_dir() else "a link" if info.is_symlink() or info.file_redir else "file"
        return Member(info.filename, kind, info.file_size, info.compress_size, info.needs_password(), info)

    def extract(self, wanted: Sequence[Member], sink: Callable[[Member], Sink]) -> None:
        import rarfile  # noqa: PLC0415

        try:
            for member in wanted:
                with self.file.open(member.handle) as file:
                    copy(file, sink(member))
        except rarfile.RarCannotExec as error:
            raise InputError(
                f"{self.file.filename}: a compressed rar needs one of unrar, unar, 7z or bsdtar, and none is here; "
                "install one, or unpack it by hand and name the folder"
            ) from error


def seven_zip_reader(path: Path) -> Reader:
    """The reader of 7z archives, whose library is needed for these alone."""
    from components.acquire.seven_zip import SevenZipReader  # noqa: PLC0415

    return SevenZipReader(path)


READERS: dict[str, Callable[[Path], Reader]] = {
    "zip": ZipReader,
    "tar": TarReader,
    "7z": seven_zip_reader,
    "rar": RarReader,
}
