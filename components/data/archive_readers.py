"""One face for the archives that their libraries read: members first, then their contents in chunks.

Damage shows as many kinds of exceptions in these libraries; here it is one `InputError`.
"""

import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from components.errors import InputError
from components.storage import NO_ROOM

CHUNK = 2**20
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


class Reader(Protocol):
    """An open archive."""

    def __init__(self, path: Path) -> None:
        """Open the archive at `path`."""

    def members(self, limit: int) -> list[Member]:
        """Members in the order of the archive; none beyond the first with which they exceed `limit` bytes."""

    def extract(self, wanted: Sequence[Member], sink: Callable[[Member], Sink]) -> None:
        """Write each of the members that are wanted to the sink that is opened for it."""

    def close(self) -> None:
        """Close the archive's file."""


class FileReader:
    """What the readers share: the library's open archive."""

    file: Any

    def close(self) -> None:
        """Close the archive's file."""
        self.file.close()


def kind_of(path: Path) -> str | None:
    """The kind of archive that a file is by its content, None if it is none."""
    with path.open("rb") as file:
        start = file.read(262)
    for kind, magics in MAGIC.items():
        if start.startswith(magics):
            return kind
    return "tar" if start[257:262] == b"ustar" else None


@contextmanager
def damage(path: Path) -> Iterator[None]:
    """Whatever a library raises on a damaged archive, as one message; a full disk goes through as it is.

    Raises:
        InputError: the archive cannot be read.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            raise
        reason = (str(error).splitlines() or [""])[0]
        raise InputError(
            f"{path}: damaged, cut short, or of a kind that is not read here ({type(error).__name__}: {reason}); "
            "get it again, or unpack it by hand and name the folder"
        ) from error


def copy(file: IO[bytes], sink: Sink) -> None:
    """Write all of a file to a sink."""
    while chunk := file.read(CHUNK):
        sink.write(chunk)
    sink.close()


class ZipReader(FileReader):
    """By the standard library."""

    def __init__(self, path: Path) -> None:
        self.file = zipfile.ZipFile(path)

    def members(self, limit: int) -> list[Member]:
        return [self._member(info) for info in self.file.infolist()]

    def _member(self, info: zipfile.ZipInfo) -> Member:
        mode = stat.S_IFMT(info.external_attr >> 16)
        kind = "folder" if info.is_dir() else "file"
        if mode not in {0, stat.S_IFREG, stat.S_IFDIR}:
            kind = "a link" if mode == stat.S_IFLNK else "a device"
        return Member(info.orig_filename, kind, info.file_size, info.compress_size, bool(info.flag_bits & 1), info)

    def extract(self, wanted: Sequence[Member], sink: Callable[[Member], Sink]) -> None:
        for member in wanted:
            with self.file.open(member.handle) as file:
                copy(file, sink(member))


class TarReader(FileReader):
    """By the standard library, plain or compressed by gzip, bzip2 or xz."""

    def __init__(self, path: Path) -> None:
        self.file = tarfile.open(path)  # noqa: SIM115 (it is open as long as the reader)

    def members(self, limit: int) -> list[Member]:
        found, total = [], 0
        for info in self.file:
            found.append(self._member(info))
            total += info.size
            if total > limit:
                return found
        self._check_end()
        return found

    def _member(self, info: tarfile.TarInfo) -> Member:
        kind = "file" if info.isfile() else "folder" if info.isdir() else "a link" if info.linkname else "a device"
        return Member(info.name, kind, info.size, None, False, info)

    def _check_end(self) -> None:
        """A tar that is cut between two members looks whole to the library: it has to end in a block of zeros."""
        file: Any = self.file.fileobj
        file.seek(self.file.offset)
        if file.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
            raise tarfile.ReadError("it has no end")

    def extract(self, wanted: Sequence[Member], sink: Callable[[Member], Sink]) -> None:
        for member in wanted:
            file = self.file.extractfile(member.handle)
            assert file is not None
            with file:
                copy(file, sink(member))


class SevenZipReader(FileReader):
    """By py7zr."""

    def __init__(self, path: Path) -> None:
        import py7zr  # noqa: PLC0415 (needed for these archives alone)

        self.file = py7zr.SevenZipFile(path)

    def members(self, limit: int) -> list[Member]:
        locked = self.file.needs_password()
        return [self._member(info, locked) for info in self.file.files]

    def _member(self, info: Any, locked: bool) -> Member:  # noqa: ANN401 (the library's own)
        kind = "folder" if info.is_directory else "a link" if info.is_symlink or info.is_junction else "file"
        return Member(info.filename, "a device" if info.is_socket else kind, info.uncompressed, None, locked, info)

    def extract(self, wanted: Sequence[Member], sink: Callable[[Member], Sink]) -> None:
        from components.data.seven_zip import SinkFactory  # noqa: PLC0415 (imports py7zr)

        if wanted:
            names = {member.name: member for member in wanted}
            self.file.extract(targets=list(names), factory=SinkFactory(names, sink))


class RarReader(FileReader):
    """By rarfile; members that are compressed need a tool: unrar, unar, 7z or bsdtar."""

    def __init__(self, path: Path) -> None:
        import rarfile  # noqa: PLC0415 (needed for these archives alone)

        self.file = rarfile.RarFile(path)

    def members(self, limit: int) -> list[Member]:
        return [self._member(info) for info in self.file.infolist()]

    def _member(self, info: Any) -> Member:  # noqa: ANN401 (the library's own)
        kind = (
            "folder" if info.is_dir() else "a link" if info.is_symlink() else "file" if info.is_file() else "a device"
        )
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


READERS: dict[str, type[Reader]] = {"zip": ZipReader, "tar": TarReader, "7z": SevenZipReader, "rar": RarReader}
