"""Names of files as people write them: which are one name, and which name no data at all."""

import os
import unicodedata
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif"})
"""Of images that are read."""
OTHERS = ".heic .heif .avif .jxl .jp2 .ppm .pgm .pnm .tga .psd .exr .hdr"
RAW = ".dng .cr2 .cr3 .nef .arw .raf .rw2 .orf .pef"
UNREAD = frozenset(f"{OTHERS} {RAW}".split())
"""Of photographs that are not: whoever leaves one out says so."""
JUNK = (
    ".*",  # .DS_Store, ._photo.jpg of macOS, .directory, an editor's .photo.jpg.swp and .#photo
    "Thumbs.db",
    "ehthumbs*.db",
    "desktop.ini",
    "Icon\r",
    "*~",
    "~$*",
    "*.swp",
    "*.swo",
    "*.tmp",
    "*.part",
    "*.crdownload",
    "#*#",
    "__MACOSX",
    "@eaDir",
    "$RECYCLE.BIN",
    "System Volume Information",
)
"""Patterns of what systems, editors and browsers leave in a folder; .dvcignore has those that are no files of ours."""


def same_name(name: str) -> str:
    """What names that look the same have in common: composed (NFC), whatever the case of letters.

    macOS and many archives write an accented letter as two characters (NFD), most else as one.
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def is_junk(name: str) -> bool:
    """Whether a file or folder of this name is no data: hidden, or left by a system, an editor or a browser."""
    return name not in {".", ".."} and any(fnmatch(name.casefold(), pattern.casefold()) for pattern in JUNK)


def not_read(path: Path) -> str:
    """Why a photograph of this name is not read, and what to do; empty if it may be."""
    suffix = path.suffix.lower()
    return f"{suffix} is not read; convert it to JPEG or PNG" if suffix in UNREAD else ""


def data_below(folder: Path) -> list[Path]:
    """All files in `folder` and in the folders below it that are no junk, and lie in none, in a fixed order."""
    found = []
    for path, files in folders_at(folder):
        found += [path / name for name in files if not is_junk(name) and (path / name).is_file()]
    return sorted(found)


def folders_at(root: Path) -> Iterator[tuple[Path, list[str]]]:
    """A folder and all below it that are no junk, each with its files' names, in a fixed order.

    Links to folders are followed, and a folder that several ways lead to is met once.
    """
    met = set()
    for path, names, files in os.walk(root, followlinks=True):
        status = os.stat(path)
        if (place := (status.st_dev, status.st_ino)) in met:
            names.clear()
            continue
        met.add(place)
        names[:] = sorted(name for name in names if not is_junk(name))
        yield Path(path), files
