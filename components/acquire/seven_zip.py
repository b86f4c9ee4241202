"""7z archives by py7zr, which pushes bytes and does not give files to read."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import Any

import py7zr
from py7zr.io import Py7zIO, WriterFactory

from components.acquire.archive_readers import Member, Reader, Sink


class SinkIO(Py7zIO):
    """What py7zr writes one member to."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.written = 0

    def write(self, s: bytes | bytearray) -> int:
        self.written += self.sink.write(bytes(s))
        return len(s)

    def read(self, size: int | None = None) -> bytes:
        return b""

    def seek(self, offset: int, whence: int = 0) -> int:
        return offset

    def flush(self) -> None:
        """Sinks flush when they are closed."""

    def size(self) -> int:
        return self.written

    def close(self) -> None:
        self.sink.close()


class SinkFactory(WriterFactory):
    """Opens the sink of each member by its name."""

    def __init__(self, members: Sequence[Member], sink: Callable[[Member], Sink]) -> None:
        self.members = {str(PurePosixPath(member.name)): member for member in members}
        self.sink = sink

    def create(self, filename: str) -> Py7zIO:
        return SinkIO(self.sink(self.members[filename]))


class SevenZipReader(Reader):
    """By py7zr; it is given an open file, as it would read a path in several threads at once."""

    def __init__(self, path: Path) -> None:
        with ExitStack() as opened:
            self.file = py7zr.SevenZipFile(opened.enter_context(path.open("rb")))
            self.opened = opened.pop_all()

    def close(self) -> None:
        super().close()
        self.opened.close()

    def members(self, size: int, count: int) -> list[Member]:
        locked = self.file.needs_password()
        return [self._member(info, locked) for info in self.file.files]

    def _member(self, info: Any, locked: bool) -> Member:  # noqa: ANN401 (the library's own)
        kind = "folder" if info.is_directory else "a link" if info.is_symlink or info.is_junction else "file"
        return Member(info.filename, "a device" if info.is_socket else kind, info.uncompressed, None, locked, info)

    def extract(self, wanted: Sequence[Member], sink: Callable[[Member], Sink]) -> None:
        if wanted:
            targets = [member.name for member in wanted]
            self.file.extract(targets=targets, factory=SinkFactory(wanted, sink))
