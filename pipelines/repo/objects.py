"""Objects as DVC's caches and remotes keep them, named by the MD5 of their bytes; that of a listing ends in `.dir`."""

import hashlib
import json
from pathlib import Path

LISTING = ".dir"
"""What the name of an object ends in that lists the files of a folder."""


def md5(path: Path) -> str:
    """DVC's hash of a file, 32 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def place(cache: Path, oid: str) -> Path:
    """Where an object lies in a cache, `.dvc/cache/files/md5`."""
    return cache / oid[:2] / oid[2:]


def listed(listing: Path) -> dict[str, str]:
    """File in the folder that an object lists -> the file's object."""
    return {each["relpath"]: each["md5"] for each in json.loads(listing.read_bytes())}
