"""What cannot be made because something it needs is not at hand, told from stage to stage up to the report.

A stage whose input is not available does not fail: it leaves its output folder with `not_available.json` in it, and
what reads that folder is not available in turn, for the same reason. What can be made is made.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

from components.common.errors import InputError
from components.common.storage import atomic_dir, read_json, write_json

MARKER = "not_available.json"


@dataclass(frozen=True)
class Gap:
    """Something that is not at hand: what, why, and how to get it."""

    what: str
    reason: str
    remedy: str

    def __str__(self) -> str:
        """In one sentence."""
        return f"{self.what}: not at hand ({self.reason}); {self.remedy}"


class NotAvailableError(InputError):
    """What is asked for needs something that is not at hand; see `gap`."""

    def __init__(self, gap: Gap) -> None:
        super().__init__(str(gap))
        self.gap = gap


def mark(folder: Path, gap: Gap) -> None:
    """Leave `folder` with nothing but the reason in it, whole or not at all."""
    with atomic_dir(folder) as temporary:
        write_json(temporary / MARKER, asdict(gap))


def gap_of(folder: Path) -> Gap | None:
    """Why `folder` is not available, None where it is (or does not exist).

    Raises:
        InputError: the reason cannot be read.
    """
    path = folder / MARKER
    return Gap(**read_json(path)) if path.is_file() else None


def require(folder: Path) -> None:
    """Go on only if `folder` is available.

    Raises:
        NotAvailableError: it is not.
    """
    if gap := gap_of(folder):
        raise NotAvailableError(gap)
