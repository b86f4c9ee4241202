"""Places that a person named for what a command writes: checked before any work, so that nothing there is harmed."""

import os
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from components.common.errors import InputError


def is_folder(path: Path) -> bool:
    """Whether a folder is there, whatever the name: `Path.is_dir` raises for one that is too long."""
    return os.path.lexists(path) and path.is_dir()


def nearest(folder: Path) -> Path:
    """What is there of the way to a folder: itself, or the last that is."""
    return next(each for each in (folder.absolute(), *folder.absolute().parents) if os.path.lexists(each))


def longest_name(folder: Path) -> int:
    """Bytes that a file's name may have in a folder, which need not be there yet."""
    return os.pathconf(nearest(folder), "PC_NAME_MAX")


def check_folder(folder: Path) -> None:
    """Refuse a folder that files cannot be written to; it need not be there yet, and nothing is made."""
    there = nearest(folder)
    if not there.is_dir():
        raise InputError(f"{folder}: cannot make this folder ({there} is none); name one that you may write to")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"{there}: this folder cannot be written to; change its rights or name another one")
    for name in folder.absolute().relative_to(there).parts:
        check_name(name, there)


def check_name(name: str, folder: Path) -> None:
    """Refuse a name that is too long for a folder."""
    length, longest = len(os.fsencode(name)), longest_name(folder)
    if length > longest:
        raise InputError(f"{name[:20]}...: a name of {length} bytes, and {folder} takes {longest}; name another place")


def check_places(
    outputs: Iterable[Path],
    inputs: Collection[Path] = (),
    *,
    overwrite: bool,
    ours: Callable[[Path], bool] = lambda path: False,
) -> None:
    """See to it that files can be written to their places, and that nothing is lost there.

    Args:
        outputs: what will be written, a file each.
        inputs: what will be read; never written over.
        overwrite: whether other files may be written over.
        ours: whether a file is what the command wrote itself, unchanged since; it may be written over.

    Raises:
        InputError: a folder or name that cannot be, two outputs at one place, or something would be written over.
    """
    places: dict[Path, Path] = {}
    for output in outputs:
        check_folder(output.parent)
        check_name(output.name, output.parent)
        if places.setdefault(output.parent.resolve() / output.name, output) is not output:
            raise InputError(f"{output}: two files would be written there; name another place for one")
        if is_folder(output):
            raise InputError(f"{output}: a folder is there, where a file would be written; name another place")
    keep_apart(inputs, places.values())
    if not overwrite:
        keep_others(places.values(), ours)


def keep_apart(inputs: Collection[Path], outputs: Iterable[Path]) -> None:
    """Refuse an output that is an input, by whatever name or link it is reached."""
    of = {(status.st_dev, status.st_ino): path for path in inputs for status in [path.stat()]}
    for output in outputs:
        if output.exists() and (status := output.stat()) and (read := of.get((status.st_dev, status.st_ino))):
            raise InputError(f"{output}: is the photograph {read} itself, and would be replaced; name another place")


def keep_others(outputs: Iterable[Path], ours: Callable[[Path], bool]) -> None:
    """Refuse an output where something is that is not ours; a link never is."""
    there = [path for path in outputs if os.path.lexists(path) and (path.is_symlink() or not ours(path))]
    if there:
        more = f" and {len(there) - 1} more" if len(there) > 1 else ""
        raise InputError(
            f"{there[0]}{more}: not made by this command, or changed since, and would be replaced; name another "
            "place, or add --overwrite"
        )
