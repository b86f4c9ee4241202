"""Archives opened safely: zip, tar, 7z and rar, told by content; whole or not at all, nothing outside the folder.

What an archive says of itself is checked before anything is written: links, devices, names that lead out of the
folder, and sizes that no data set has are refused. What it yields is then held to what it said.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path, PurePosixPath

from components.acquire.archive_readers import READERS, Member, Reader, damage, kind_of
from components.common.errors import InputError, named_as
from components.common.looks import looks_like
from components.common.names import is_junk
from components.common.storage import atomic_dir, check_room

MAX_BYTES = 64 * 2**30
"""Of all members unpacked; EBD, the largest set, has a few GB."""
MAX_RATIO = 1000
"""Unpacked to packed; a bitmap of one colour reaches a few hundred."""
RATIO_FROM = 100 * 2**20
"""Bytes unpacked from which the ratio counts: small bitmaps of one colour are no bombs."""
MAX_MEMBERS = 1_000_000
MAX_NAME = 255
"""Bytes of a file's or folder's name, as file systems have it."""
NAMED = re.compile(r"(?<=.)(\.zip|\.tar|\.tgz|\.tbz2?|\.txz|\.tar\.(gz|bz2|xz)|\.7z|\.rar)$", re.IGNORECASE)
"""How the names of archives end."""


def is_archive(path: Path) -> bool:
    """Whether the content of a file says that it is an archive that can be opened here."""
    return kind_of(path) is not None


def is_named_so(path: Path) -> bool:
    """Whether the name of a file says that it is an archive."""
    return NAMED.search(path.name) is not None


def unpack(path: Path, folder: Path, *, progress: Callable[[int, int], None] | None = None) -> None:
    """Unpack the regular files of an archive into `folder`, whole or not at all; archives in it likewise, one level.

    An archive `a/b.zip` in it becomes the folder `a/b`. `progress` is called with the bytes written and those of all
    members of the outer one.

    Raises:
        InputError: it is no archive, is damaged, or holds what is refused, or one in it; or there is no room.
    """
    with atomic_dir(folder) as temporary:
        with named_as({temporary: folder}):
            size = unpack_into(temporary, path, MAX_BYTES, progress)
        inside = sorted(file for file in temporary.rglob("*") if is_named_so(file) and file.is_file())
        for inner in filter(is_archive, inside):
            target = inner.with_name(NAMED.sub("", inner.name))
            if target.exists():
                member = inner.relative_to(temporary)
                raise refused(path, f"it holds {member} and {member.with_name(target.name)}, which would be one folder")
            with named_as({temporary: path}):
                size += unpack_into(target, inner, MAX_BYTES - size, None)
            inner.unlink()


def unpack_into(folder: Path, path: Path, most: int, progress: Callable[[int, int], None] | None) -> int:
    """Unpack the regular files of an archive into `folder`, of at most so many bytes; how many they are.

    Raises:
        InputError: it is no archive, is damaged, or holds what is refused; or there is no room.
    """
    kind = kind_of(path)
    if kind is None:
        raise InputError(f"{path}: not an archive but {looks_like(path)}; expected zip, tar, 7z or rar: get it again")
    with damage(path), closing(READERS[kind](path)) as reader:
        limit = min(most, max(RATIO_FROM, MAX_RATIO * path.stat().st_size))
        wanted = checked(path, reader.members(limit, MAX_MEMBERS), most)
        total = sum(member.size for member in wanted)
        check_room(folder, total)
        write(path, reader, {member: folder / place for member, place in wanted.items()}, progress, total)
    return total


def checked(path: Path, members: Sequence[Member], most: int) -> dict[Member, PurePosixPath]:
    """The files of an archive, of at most so many bytes, and where they go; folders and junk left out.

    Raises:
        InputError: a member, or all of them together, are refused.
    """
    if len(members) > MAX_MEMBERS:
        raise refused(path, f"more than {MAX_MEMBERS} members")
    check_sizes(path, members, most)
    wanted: dict[Member, PurePosixPath] = {}
    names: dict[str, str] = {}
    for member in members:
        place = checked_name(path, member.name)
        if member.kind not in {"file", "folder"}:
            raise refused(path, f"member {member.name!r} is {member.kind}; expected files and folders alone")
        if member.kind == "folder" or any(map(is_junk, member.name.replace("\\", "/").split("/"))):
            continue
        if member.encrypted:
            raise refused(path, f"member {member.name!r} is encrypted")
        key = str(place).casefold()
        if key in names:
            raise refused(path, f"two members of one name, {names[key]!r} and {member.name!r}")
        names[key] = member.name
        wanted[member] = place
    check_parents(path, wanted, names)
    return wanted


def checked_name(path: Path, name: str) -> PurePosixPath:
    """Where a member goes, relative to the folder.

    Raises:
        InputError: it would lie outside, or its name is none.
    """
    slashed = name.replace("\\", "/")
    parts = [part for part in slashed.split("/") if part not in {"", "."}]
    if slashed.startswith("/") or re.match(r"[A-Za-z]:", slashed):
        raise refused(path, f"member {name!r} has an absolute path")
    if ".." in parts:
        raise refused(path, f"member {name!r} leads out of the folder")
    if any(ord(character) < 32 or 0xD800 <= ord(character) < 0xE000 or ord(character) == 127 for character in name):
        raise refused(path, f"member {name!r} has a name with characters that no file should have")
    if any(len(part.encode()) > MAX_NAME for part in parts) or len(slashed.encode()) > 4 * MAX_NAME:
        raise refused(path, f"member {name[:40]!r}... has a name longer than {MAX_NAME} bytes")
    return PurePosixPath(*parts)


def check_parents(path: Path, wanted: Mapping[Member, PurePosixPath], names: Mapping[str, str]) -> None:
    """Refuse a file where another member needs a folder."""
    for member, place in wanted.items():
        if not place.parts:
            raise refused(path, f"member {member.name!r} has no name")
        for parent in place.parents:
            if parent.parts and str(parent).casefold() in names:
                raise refused(path, f"member {names[str(parent).casefold()]!r} is a file, and the folder of another")


def check_sizes(path: Path, members: Sequence[Member], most: int) -> None:
    """Refuse what unpacks to more than a data set can be, of which `most` bytes are left."""
    total = sum(member.size for member in members)
    if total > most:
        raise refused(path, f"{total / 1e9:.1f} GB unpacked, expected at most {most / 1e9:.0f} GB")
    packed = path.stat().st_size
    sizes = [(member.name, member.size, packed if member.packed is None else member.packed) for member in members]
    for name, size, held in [("", total, packed), *sizes]:
        if size > RATIO_FROM and size > MAX_RATIO * max(held, 1):
            what = f"member {name!r} unpacks" if name else "it unpacks"
            raise refused(path, f"{what} to {size // max(held, 1)} times its size, expected at most {MAX_RATIO} times")


def refused(path: Path, why: str) -> InputError:
    """The error for an archive that is not opened."""
    return InputError(f"{path}: {why}; it was not unpacked: get it again, from its authors")


class Target:
    """A file that takes as many bytes as its member says, and no more."""

    def __init__(self, path: Path, member: Member, target: Path, written: Callable[[int], None]) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.member, self.written = path, member, written
        self.file = target.open("wb")
        self.size = 0

    def write(self, chunk: bytes) -> int:
        """Take more bytes.

        Raises:
            InputError: they are more than the archive says.
        """
        self.size += len(chunk)
        if self.size > self.member.size:
            raise refused(
                self.path, f"member {self.member.name!r} holds more than the {self.member.size} bytes it says"
            )
        self.written(len(chunk))
        return self.file.write(chunk)

    def close(self) -> None:
        """Take the end.

        Raises:
            InputError: there are fewer bytes than the archive says.
        """
        self.file.close()
        if self.size != self.member.size:
            raise refused(self.path, f"member {self.member.name!r} holds {self.size} bytes and says {self.member.size}")


def write(
    path: Path, reader: Reader, places: Mapping[Member, Path], progress: Callable[[int, int], None] | None, total: int
) -> None:
    """Write the members to their places.

    Raises:
        InputError: one is damaged, or yields more or less than it says.
    """
    done = 0

    def written(size: int) -> None:
        nonlocal done
        done += size
        if progress is not None:
            progress(done, total)

    with ExitStack() as opened:

        def sink(member: Member) -> Target:
            target = Target(path, member, places[member], written)
            opened.pop_all().close()  # of the member before
            opened.callback(target.file.close)
            return target

        reader.extract(list(places), sink)
    if missing := [member.name for member, place in places.items() if not place.exists()]:
        raise refused(path, f"member {missing[0]!r} is in its list and not in it")
