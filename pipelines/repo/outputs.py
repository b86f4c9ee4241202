"""Outputs as a dvc.lock records them, and their files in DVC's cache by its hashes: nothing is checked out or run."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from components.common.errors import InputError
from pipelines.repo.lock_file import LOCK, broken, recorded_stages

LISTING = ".dir"
"""What the name of an object (its MD5) ends in that lists the files of a folder."""


@dataclass(frozen=True)
class Output:
    """An output as `dvc.lock` records it: its stage, its path in the checkout, its object's name (MD5, `.dir`)."""

    stage: str
    path: str
    oid: str


def outputs_of(stages: Mapping[str, Any]) -> list[Output]:
    """What stages' entries in a dvc.lock name; an output that was not hashed has no object (`""`)."""
    made = ((stage, out) for stage, entry in stages.items() for out in entry.get("outs", ()))
    return [Output(stage, out["path"], out.get("md5", "")) for stage, out in made]


def recorded(root: Path, words: Sequence[str] = ()) -> list[Output]:
    """The outputs in `dvc.lock`; with `words` those of that path, below it, or of that stage.

    Raises:
        InputError: no `dvc.lock`; a word that fits no output.
    """
    outs = outputs_of(recorded_stages(root))
    if not outs:
        raise InputError(
            f"{root / 'dvc.lock'}: no such file, or no stage in it; it says which outputs belong to this commit: "
            "whoever reproduced has to commit it (`git add dvc.lock`), or reproduce here (`dbdflow reproduce`)"
        )
    if lacking := [out.path for out in outs if not out.oid]:
        raise broken(root / LOCK, f"no hash of {lacking[0]}")
    for word in words:
        if not any(fits(out, word, root) for out in outs):
            raise InputError(f"{word}: no output or stage of dvc.lock, e.g. {outs[-1].path} or {outs[-1].stage}")
    return [out for out in outs if not words or any(fits(out, word, root) for word in words)]


def fits(out: Output, word: str, root: Path) -> bool:
    """Whether a word names the output's stage, or a path, relative to the working folder, that it is or lies in."""
    path = root / out.path
    return word in (out.stage, out.stage.partition("@")[0]) or Path(os.path.abspath(word)) in (path, *path.parents)


def md5(path: Path) -> str:
    """DVC's hash of a file, 32 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def listed(listing: Path) -> dict[str, str]:
    """File in the folder that an object lists -> the file's object."""
    return {each["relpath"]: each["md5"] for each in json.loads(listing.read_bytes())}


@dataclass(frozen=True)
class Stored:
    """One file of an output: its path in a checkout, its object's name, where DVC's cache has it if it does."""

    path: PurePosixPath
    oid: str
    place: Path

    def checked(self) -> Path:
        """Where the cache has the file, its content verified.

        Raises:
            InputError: it is not in the cache, or damaged there.
        """
        try:
            found = md5(self.place)
        except OSError as error:
            raise InputError(f"{self.path} is not in DVC's cache ({self.oid})") from error
        if found != self.oid.removesuffix(LISTING):
            raise InputError(f"{self.path} is damaged in DVC's cache ({self.place} has {found}); delete that file")
        return self.place


class Outputs:
    """Outputs in the cache of a checkout."""

    def __init__(self, outs: Iterable[Output], cache: Path) -> None:
        self.outs, self.cache = {out.path: out for out in outs if out.oid}, cache

    def below(self, folder: str) -> list[str]:
        """Paths of the outputs that lie in a folder, which itself is none."""
        return [path for path in self.outs if PurePosixPath(path).parent == PurePosixPath(folder)]

    def stored(self, path: str, oid: str) -> Stored:
        return Stored(PurePosixPath(path), oid, self.cache / "files" / "md5" / oid[:2] / oid[2:])

    def top(self, path: str) -> Stored:
        """The object of an output: its content, or the list of its files."""
        return self.stored(path, self.outs[path].oid)

    def files(self, path: str) -> dict[str, Stored]:
        """The files of an output, by their paths in a checkout.

        Raises:
            InputError: the list of the files of a folder is not in the cache, or damaged there.
        """
        whole = self.top(path)
        names = listed(whole.checked()) if whole.oid.endswith(LISTING) else {"": whole.oid}
        files = (self.stored(f"{path}/{name}", oid) for name, oid in names.items())
        return {str(file.path): file for file in files}

    def lay_out(self, path: str, suffixes: tuple[str, ...], folder: Path) -> None:
        """Put links to the files of an output with these endings below a folder, as they lie in a checkout.

        Raises:
            InputError: one of them is not in the cache, or damaged there.
        """
        for file in self.files(path).values():
            if file.path.suffix in suffixes:
                target = folder / file.path
                target.parent.mkdir(parents=True, exist_ok=True)
                os.symlink(file.checked().resolve(), target)
