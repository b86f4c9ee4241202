"""One file from the first of its addresses that gives it: HTTP, HTTPS or Google Drive, through gdown.

What has come stays beside the file, hidden, one partial file an address, and the next try goes on from there.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from components.common.errors import InputError, TryAgainError
from components.common.storage import check_room, file_hash, make_parent, room_for, sync, usual_mode

TRIES = 4
"""Of an address in a row without a byte more."""
TIMEOUT_S = (10, 60)
"""To connect, and between bytes."""
TRANSIENT = {429, *range(500, 600)}
"""HTTP statuses after which another try may help."""
QUOTA = ("quota exceeded", "too many users")
"""What the page says with which Google Drive refuses a file that was fetched too often in a day."""
PAGE = (b"<", b"\xef\xbb\xbf<")
"""How web pages begin, and neither archives nor weights."""

Progress = Callable[[int, int | None], None]
"""Called with the bytes that have come, and those of the whole file where the server says so."""


@dataclass(frozen=True)
class Fetched:
    """A file that was fetched just now."""

    path: Path
    sha256: str
    address: str


class RefusedError(Exception):
    """Why an address does not give the file; `again` where another try may help."""

    def __init__(self, reason: str, again: bool = False) -> None:
        super().__init__(reason)
        self.again = again


def fetch(
    addresses: Mapping[str, str | None],
    path: Path,
    *,
    advice: str,
    progress: Progress | None = None,
    arriving: Callable[[Fetched], None] | None = None,
    wait_s: float = 1,
) -> Fetched:
    """Fetch `path` from the first of `addresses` that gives it, whole or not at all.

    Args:
        addresses: in the order to try, each with the sha256 that it must have, None where that is not known.
        path: where the file goes.
        advice: what a person can do instead; ends the message when no address gives it.
        progress: see `Progress`.
        arriving: called with what has come just before it lies at `path`.
        wait_s: seconds before the second try of an address, doubled with each further one.

    Raises:
        InputError: no address gives the file, each with its reason; or the disk has no room for it.
        TryAgainError: no address gives it, and one of them may at another try.
    """
    reasons, again = {}, False
    make_parent(path)
    for address, expected in addresses.items():
        staged = path.with_name(f".{path.name}.{hashlib.sha256(address.encode()).hexdigest()[:8]}")
        try:
            with alone(staged), room_for(path):
                found = from_address(address, staged, expected, checking_room(path, progress), wait_s)
                staged.chmod(usual_mode())
                sync(staged)
                got = Fetched(path, found, address)
                if arriving is not None:
                    arriving(got)
                staged.replace(path)
        except InputError:  # no room, and what has come would fill what is left of it
            remove(staged)
            raise
        except RefusedError as refusal:
            again |= refusal.again
            reasons[address] = f"{refusal}" + ("; what has come is kept" if parts(staged) else "")
        else:
            sync(path.parent)
            return got
    refusals = "; ".join(f"{address}: {reason}" for address, reason in reasons.items())
    error = TryAgainError if again else InputError
    raise error(f"{path.name} could not be fetched ({refusals}). Try again later, or {advice}")


@contextmanager
def alone(staged: Path) -> Iterator[None]:
    """Fetch a file in one process at a time."""
    path = staged.with_name(f"{staged.name}.lock")
    with FileLock(path):
        try:
            yield
        finally:
            path.unlink(missing_ok=True)  # while it is held: who waits for it makes a new one


def parts(staged: Path) -> list[Path]:
    """What has come so far, the largest first: gdown puts eight random characters and `.part` behind the name."""
    found = staged.parent.glob(f"{staged.name}????????.part")
    return sorted(found, key=lambda part: part.stat().st_size, reverse=True)


def remove(staged: Path) -> None:
    """Begin anew."""
    for path in (staged, *parts(staged)):
        path.unlink(missing_ok=True)


def from_address(address: str, staged: Path, expected: str | None, progress: Progress, wait_s: float) -> str:
    """Fetch one address to `staged`; its sha256.

    A file that was put together from two tries and proves wrong is fetched once more in one piece.

    Raises:
        RefusedError: it gives no file, or another one than `expected`.
    """
    for resumed in (True, False):
        if not resumed:
            remove(staged)
        pieces = staged.exists() or parts(staged)
        persist(address, staged, progress, wait_s)
        found, problem = check(staged, expected)
        if not problem:
            return found
        staged.unlink()
        if not pieces:
            break
    raise RefusedError(problem)


def check(staged: Path, expected: str | None) -> tuple[str, str]:
    """sha256 of a fetched file, and what is wrong with it, if anything."""
    with staged.open("rb") as file:
        start = file.read(512)
    if start.lstrip().startswith(PAGE):
        return "", "a web page instead of the file"
    if not start:
        return "", "an empty file"
    found = file_hash(staged)
    return found, f"sha256 {found}, expected {expected}" if expected and found != expected else ""


def persist(address: str, staged: Path, progress: Progress, wait_s: float) -> None:
    """Try an address until it gives the file, or nothing more of it `TRIES` times in a row.

    Raises:
        RefusedError: it does not.
    """
    failed, most = 0, -1
    while True:
        try:
            return attempt(address, staged, progress)
        except RefusedError as refusal:
            now = sum(part.stat().st_size for part in parts(staged))
            failed = 1 if now > most else failed + 1
            most = max(most, now)
            if not refusal.again or failed >= TRIES:
                raise
            time.sleep(wait_s * 2 ** (failed - 1))


def attempt(address: str, staged: Path, progress: Progress) -> None:
    """Try an address once, going on from what has come.

    Raises:
        RefusedError: it did not give the file.
        InputError: the disk has no room for it.
    """
    import gdown  # noqa: PLC0415 (not needed where nothing is fetched)
    from gdown.exceptions import DownloadError, FileURLRetrievalError  # noqa: PLC0415
    from requests import HTTPError, RequestException  # noqa: PLC0415

    for surplus in parts(staged)[1:]:
        surplus.unlink()
    try:
        gdown.download(
            url=address,
            output=str(staged),
            quiet=True,
            use_cookies=False,
            resume=True,
            timeout=TIMEOUT_S,
            progress=progress,
        )
    except FileURLRetrievalError as error:
        raise drive_refusal(address, str(error)) from error
    except DownloadError as error:
        if "byte range" in str(error):  # the server has another file by now, or knows no ranges
            remove(staged)
        raise RefusedError(f"broken off ({first_line(error)})", again=True) from error
    except HTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        raise RefusedError(f"HTTP {status}", again=status in TRANSIENT) from error
    except RequestException as error:
        away = "Name" in repr(error) and "resol" in repr(error)
        reason = "no network (its name cannot be looked up)" if away else f"no answer ({type(error).__name__})"
        raise RefusedError(reason, again=not away) from error
    except (InputError, OSError):
        raise
    except Exception as error:  # an answer that gdown does not expect, such as one without a content type
        raise RefusedError(f"an answer that makes no sense ({type(error).__name__}: {first_line(error)})") from error


def checking_room(path: Path, progress: Progress | None) -> Progress:
    """`progress`, which first makes sure that what is still to come fits on the disk."""
    checked = False

    def report(done: int, total: int | None) -> None:
        nonlocal checked
        if not checked and total is not None:
            check_room(path, total - done)
        checked = True
        if progress is not None:
            progress(done, total)

    return report


def drive_refusal(address: str, page: str) -> RefusedError:
    """What Google Drive's page means; gdown tells only a part of it, so that it is looked at once more."""
    import requests  # noqa: PLC0415

    with suppress(requests.RequestException), requests.get(address, timeout=TIMEOUT_S, stream=True) as answer:
        if answer.status_code in TRANSIENT or "Content-Disposition" in answer.headers:  # it has come round since
            return RefusedError(f"no file, and then HTTP {answer.status_code}", again=True)
        page += next(answer.iter_content(2**16), b"").decode(errors="replace")
    text = " ".join(page.lower().split())
    if any(words in text for words in QUOTA):
        return RefusedError("Google Drive's quota: this file was fetched too often today; it answers again in a day")
    return RefusedError("Google Drive gives no such file: it was removed, or is not shared with everybody")


def first_line(error: Exception) -> str:
    """The first line of a message, without its full stop."""
    return str(error).partition("\n")[0].rstrip(".")
