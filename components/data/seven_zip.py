"""7z members written to sinks: py7zr pushes bytes, it does not give files to read."""

from collections.abc import Callable, Mapping

from py7zr.io import Py7zIO, WriterFactory

from components.data.archive_readers import Member, Sink


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

    def __init__(self, members: Mapping[str, Member], sink: Callable[[Member], Sink]) -> None:
        self.members = members
        self.sink = sink

    def create(self, filename: str) -> Py7zIO:
        return SinkIO(self.sink(self.members[filename]))
