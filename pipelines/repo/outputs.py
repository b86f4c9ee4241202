"""The outputs of a revision, read from DVC's cache by the hashes of its dvc.lock: nothing is checked out or run."""

import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from components.common.errors import InputError
from pipelines.repo.objects import LISTING, listed, md5, place

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stored:
    """One file of an output: its path in a checkout, its hash, where DVC's cache has it if it does."""

    path: PurePosixPath
    md5: str
    place: Path

    def checked(self) -> Path:
        """Where the cache has the file, its content verified.

        Raises:
            InputError: it is not in the cache, or damaged there.
        """
        try:
            found = md5(self.place)
        except OSError as error:
            raise InputError(f"{self.path} is not in DVC's cache ({self.md5})") from error
        if found != self.md5.removesuffix(LISTING):
            raise InputError(f"{self.path} is damaged in DVC's cache ({self.place} has {found}); delete that file")
        return self.place


class Outputs:
    """Outputs by the stages of a dvc.lock.

    Args:
        stages: the lock's stages.
        cache: DVC's cache folder.
    """

    def __init__(self, stages: dict[str, Any], cache: Path) -> None:
        outs = (out for stage in stages.values() for out in stage.get("outs", ()))
        self.hashes: dict[str, str] = {out["path"]: out["md5"] for out in outs if out.get("md5")}
        self.cache = cache

    def below(self, folder: str) -> list[str]:
        """Paths of the outputs that lie in a folder, which itself is none."""
        return [path for path in self.hashes if PurePosixPath(path).parent == PurePosixPath(folder)]

    def stored(self, path: PurePosixPath, oid: str) -> Stored:
        return Stored(path, oid, place(self.cache / "files" / "md5", oid))

    def files(self, path: str) -> Iterator[Stored]:
        """The files of an output.

        Raises:
            InputError: the list of the files of a folder is not in the cache, or damaged there.
        """
        whole = self.stored(PurePosixPath(path), self.hashes[path])
        if not whole.md5.endswith(LISTING):
            yield whole
            return
        for name, file in listed(whole.checked()).items():
            yield self.stored(whole.path / name, file)

    def file(self, path: str, name: str) -> Stored | None:
        """A file of an output that is a folder, None if it has none of this name."""
        return next((file for file in self.files(path) if file.path == PurePosixPath(path, name)), None)

    def lacking(self, path: str, suffixes: tuple[str, ...]) -> bool:
        """Whether the cache lacks an output's list of files, or one of those with these endings."""
        try:
            return not all(file.place.exists() for file in self.files(path) if file.path.suffix in suffixes)
        except InputError:
            return True

    def lay_out(self, path: str, suffixes: tuple[str, ...], folder: Path) -> None:
        """Put links to the files of an output with these endings below a folder, as they lie in a checkout.

        Raises:
            InputError: one of them is not in the cache, or damaged there.
        """
        for file in self.files(path):
            if file.path.suffix in suffixes:
                target = folder / file.path
                target.parent.mkdir(parents=True, exist_ok=True)
                os.symlink(file.checked().resolve(), target)


def has_remote(root: Path) -> bool:
    """Whether a checkout has a default DVC remote."""
    from dvc.repo import Repo

    with Repo(str(root)) as repo:
        return bool(repo.config["core"].get("remote"))


def fetch(root: Path, commit: str | None, paths: Iterable[str]) -> None:
    """Bring outputs of a revision (None: of the workspace) from the default remote, if there is one, into the cache.

    What cannot be had is warned of: whoever reads it next says that it is missing.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    wanted = list(paths)
    if not wanted or not has_remote(root):
        return
    with chdir(root), Repo(str(root)) as repo:  # DVC takes paths from where one is
        try:
            repo.fetch(targets=wanted, revs=[commit] if commit else None, workspace=commit is None)
        except (DvcException, OSError) as error:
            log.warning("the DVC remote does not give %s: %s", ", ".join(wanted), error)
