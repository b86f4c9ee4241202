"""One published file: from the inbox, else from its addresses, held to its checksum."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from components.acquire.fetch import Fetched, fetch
from components.acquire.sources import Archive, find_item
from components.common import ledger
from components.common.availability import Gap, NotAvailableError
from components.common.errors import InputError
from components.common.storage import NoRoomError, file_hash, read_json, write_json

log = logging.getLogger(__name__)

Progress = Callable[[float, float, str], None]
"""Called with what is done, the whole, and the unit with what is being done."""


@dataclass(frozen=True)
class Inbox:
    """The folder where things come in, what is not to be fetched into it, and who is told how far that is."""

    folder: Path
    without: Sequence[str]
    """Items to go without; see `components.acquire.sources.ITEMS`."""
    progress: Progress

    def __post_init__(self) -> None:
        """Refuse to go without what is no item."""
        for item in self.without:
            find_item(item)


def by_hand(item: str, where: str = "") -> str:
    """How a person brings `item` in."""
    return f"get it by hand{f' ({where})' if where else ''} and say `dbdflow import {item} FILE_OR_FOLDER`"


def way_out(item: str, where: str = "") -> str:
    """What a person can do when `item` cannot be fetched."""
    return f"{by_hand(item, where)}, or go without it: add {item} to `download.without`"


@contextmanager
def obtained(archive: Archive, item: str, inbox: Inbox) -> Iterator[Path]:
    """The file of `archive`, which belongs to `item`: as it lies in the inbox, else fetched.

    What the block refuses (`InputError`) is not kept if it was fetched just now, and the checksum of an address is
    recorded only once the block has used what came from there.

    Raises:
        NotAvailableError: it is not in the inbox, and `item` is among `without`.
        InputError: no address gives it, or it is not what was imported, or came from there, before.
    """
    path = inbox.folder / archive.file
    if path.exists():
        got = unused(path)
        if got is None:
            check_kept(archive, item, inbox.folder)
            yield path
            return
    elif item in inbox.without:
        gap = Gap(archive.what, f"{item} is among `download.without`", f"take it out there, or {by_hand(item)}")
        raise NotAvailableError(gap)
    else:
        got = fetch_archive(archive, item, inbox)
    try:
        check_stated(archive, got)
        yield path
    except NoRoomError:
        raise
    except InputError as error:
        path.unlink()
        note_of(path).unlink(missing_ok=True)
        raise InputError(f"{error} (it came from {got.address}, and was not kept)") from error
    ledger.record_sum(inbox.folder, got.address, got.sha256)
    note_of(path).unlink(missing_ok=True)


def note_of(path: Path) -> Path:
    """The note beside a fetched file, until it has been used once: where it came from, and its sha256."""
    return path.with_name(f".{path.name}.from")


def unused(path: Path) -> Fetched | None:
    """What is known of a file that was fetched, and whose first use was broken off; None of any other file."""
    if not note_of(path).exists():
        return None
    note = read_json(note_of(path))
    return Fetched(path, **note) if note["sha256"] == file_hash(path) else None


def known_hashes(archive: Archive, inbox: Path) -> tuple[str, ...]:
    """The sha256 of the published file, one for each address and way to know it, or their first digits; may be none."""
    sums = ledger.known_sums(inbox)
    seen = (sums.get(address, "") for address in archive.addresses)
    return tuple(sorted({*archive.sha256.values(), *seen, archive.sha256_start} - {""}))


def check_kept(archive: Archive, item: str, inbox: Path) -> dict[str, str]:
    """Check a file that lies in the inbox against the hashes that are known of the published one.

    Returns:
        See `ledger.stand_in`.

    Raises:
        InputError: there are some, its hash is none of them, and it was not imported all the same.
    """
    known, found = known_hashes(archive, inbox), file_hash(inbox / archive.file)
    note = ledger.stand_in(inbox, item, archive.file, found)
    if known and not note and not found.startswith(known):
        raise InputError(
            f"{inbox / archive.file}: its sha256 is {found}, expected {' or '.join(known)} ({inbox / ledger.FILE}); "
            f"move it away to fetch it again, or say `dbdflow import {item} FILE`"
        )
    return note


def fetch_archive(archive: Archive, item: str, inbox: Inbox) -> Fetched:
    """Fetch one archive into the inbox."""
    sums = ledger.known_sums(inbox.folder)
    return fetch(
        {address: archive.sha256.get(address) or sums.get(address) for address in archive.addresses},
        inbox.folder / archive.file,
        arriving=lambda got: write_json(note_of(got.path), {"address": got.address, "sha256": got.sha256}),
        advice=way_out(item, archive.by_hand or ", ".join(archive.addresses)),
        progress=lambda done, total: inbox.progress(
            round(done / 1e6, 1), (total or done) / 1e6, f"MB of {archive.what}"
        ),
    )


def check_stated(archive: Archive, got: Fetched) -> None:
    """Compare a fetched file with the hash in its published name, where that has one.

    Raises:
        InputError: it does not hold, at an address whose file is named so; at another address that is only said.
    """
    if got.sha256.startswith(archive.sha256_start):
        return
    message = f"its sha256 starts with {got.sha256[:8]}, not with {archive.sha256_start} as its published name says"
    if got.address in archive.named_by_sum:
        raise InputError(f"{got.path}: {message}; try again, or get it elsewhere")
    log.warning("%s: %s", got.path, message)
