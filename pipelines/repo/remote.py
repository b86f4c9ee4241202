"""What goes to a DVC remote and comes back, every object held to its hash.

DVC carries the objects, several at once, and hashes what arrives. Its own `push` and `pull` trust the names of objects
and do not say which one is damaged (docs/sharing.md): here it is named, and kept out of the cache and of the remote.
"""

import logging
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.common.errors import InputError
from pipelines.repo.outputs import LISTING, Output, listed
from pipelines.system.progress import Progress

log = logging.getLogger(__name__)

Store = Any
"""DVC's cache or a remote, `dvc_data.hashfile.db.HashFileDB`; DVC is untyped."""


@dataclass(frozen=True)
class Trouble:
    """An object that could not be had or sent: the outputs that it belongs to, and what is the matter in words."""

    outputs: tuple[Output, ...]
    message: str


Places = Mapping[str, Sequence[tuple[Output, str]]]
"""Object's name -> the outputs that it belongs to, each with the file in it ('' for the output itself)."""


class Exchange:
    """The cache of a checkout and one of its remotes."""

    def __init__(self, repo: Any, name: str | None, command: str) -> None:  # noqa: ANN401
        from dvc_data.hashfile.db import get_odb

        self.remote, self.cache = repo.cloud.get_remote_odb(name, command), repo.cache.local
        self.arriving = get_odb(self.cache.fs, str(Path(self.cache.path).parents[1] / "arriving"), hash_name="md5")
        self.command = command

    def fetch(self, outputs: Sequence[Output], suffixes: tuple[str, ...] = ("",)) -> tuple[list[Trouble], int]:
        """Bring what the cache lacks of outputs' files with these endings into it.

        Returns:
            What could not be had, and the number of objects that came.
        """
        troubles, fetched = list[Trouble](), 0
        for part in (0, 1):  # listings first: they say what else there is
            places = self.places(outputs)[part]
            asked = [
                oid for oid, using in places.items() if any(not name or name.endswith(suffixes) for _, name in using)
            ]
            here = self.here(asked)
            lacking = [oid for oid in asked if oid not in here]
            there = self.there(lacking)
            try:
                self._copy(self.remote, self.arriving, there, checked=True)
            finally:  # what has come stays, also where one is stopped
                whole = self.arriving.oids_exist(there)
                self.cache.add([*map(self.arriving.oid_to_path, whole)], self.cache.fs, whole, hardlink=True)
            faults = self._faults(self.remote, "the remote", [oid for oid in lacking if oid not in whole])
            troubles += [trouble(places[oid], fault or "came damaged") for oid, fault in faults.items()]
            fetched += len(whole)
        return troubles, fetched

    def send(self, outputs: Sequence[Output], *, again: bool) -> tuple[list[Trouble], int, int]:
        """Bring outputs to the remote, with `again` over what is there.

        Returns:
            What could not be sent, the number of objects that were sent, and of those that were there.
        """
        troubles, sent, there = list[Trouble](), 0, 0
        for places in reversed(self.places(outputs)):  # a listing goes after what it lists, and not without it
            broken = {out for trouble in troubles for out in trouble.outputs}
            wanted = [oid for oid, using in places.items() if broken.isdisjoint(out for out, _ in using)]
            present = set() if again else self.there(wanted)
            faults = self._faults(self.cache, "this machine's cache", [oid for oid in wanted if oid not in present])
            self._copy(self.cache, self.remote, [oid for oid, fault in faults.items() if not fault], checked=False)
            found = [trouble(places[oid], fault) for oid, fault in faults.items() if fault]
            sent, there = sent + len(faults) - len(found), there + len(present)
            troubles += found
        return troubles, sent, there

    def whole(self, outputs: Sequence[Output]) -> list[Output]:
        """Those of which the cache has every object."""
        tops, files = self.places(outputs)
        here = self.here([*tops, *files])
        broken = {out for oid, using in (*tops.items(), *files.items()) if oid not in here for out, _ in using}
        return [out for out in outputs if out not in broken]

    def here(self, oids: Iterable[str]) -> set[str]:
        """Those that the cache has."""
        return set(self.cache.oids_exist(list(oids)))

    def there(self, oids: Collection[str]) -> set[str]:
        """Those that the remote has, by their names."""
        with self._asking():
            found = set(self.remote.list_oids_exists(oids))
            if oids and not found:  # over HTTP a server that fails has nothing, too: reading tells
                with suppress(FileNotFoundError):
                    self.remote.fs.fs.cat_file(self.remote.oid_to_path(next(iter(oids))), end=1)
            return found

    def places(self, outputs: Iterable[Output]) -> tuple[Places, Places]:
        """Objects that are outputs or list them; objects that are listed (of the listings in the cache)."""
        tops: dict[str, list[tuple[Output, str]]] = {}
        files: dict[str, list[tuple[Output, str]]] = {}
        for out in outputs:
            tops.setdefault(out.oid, []).append((out, ""))
        here = self.here(tops)
        for oid in (oid for oid in tops if oid.endswith(LISTING) and oid in here):
            for name, file in listed(Path(self.cache.oid_to_path(oid))).items():
                files.setdefault(file, []).extend((out, name) for out, _ in tops[oid])
        return tops, files

    def _copy(self, source: Store, target: Store, oids: Collection[str], *, checked: bool) -> None:
        """Have DVC copy objects over what is there; `checked`: hash them there, and drop those that are damaged."""
        from fsspec.callbacks import Callback

        progress = Progress(self.command)
        told = Callback(hooks={"told": lambda size, value, **_: progress.show(value, size, "objects")})
        with self._asking():
            paths = [source.oid_to_path(oid) for oid in oids]
            target.add(paths, source.fs, list(oids), verify=checked, check_exists=checked, callback=told)

    def _faults(self, store: Store, told: str, oids: Collection[str]) -> dict[str, str]:
        """What is the matter with objects by their content, empty for those that are whole."""
        from dvc_data.hashfile.hash import file_md5

        def fault(oid: str) -> str:
            address = store.fs.unstrip_protocol(store.oid_to_path(oid))
            try:
                found = file_md5(store.oid_to_path(oid), store.fs)
            except FileNotFoundError:
                return f"not in {told} ({address})"
            return "" if found == oid.removesuffix(LISTING) else f"damaged in {told} ({address} has the MD5 {found})"

        with self._asking(), ThreadPoolExecutor(store.fs.jobs) as pool:
            return dict(zip(oids, pool.map(fault, oids), strict=True))

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Each kind of remote has errors of its own; here they are all one message.

        Raises:
            InputError: the remote cannot be reached, lets nobody in, or fails.
        """
        try:
            yield
        except Exception as error:
            message = f"{type(error).__name__}: {error}"
            raise InputError(
                f"{self.remote.fs.unstrip_protocol(self.remote.path)} does not do what is asked ({message}); look at "
                "its address (`dvc remote list`), the network, and the credentials in your environment"
            ) from error


def trouble(using: Sequence[tuple[Output, str]], fault: str) -> Trouble:
    """An object's fault, told of everything that it is used in."""
    named = ", ".join(f"{out.path}{f'/{file}' if file else ''}" for out, file in using)
    return Trouble(tuple(out for out, _ in using), f"{named}: {fault}")


@contextmanager
def opened(root: Path, name: str | None, command: str) -> Iterator[tuple[Any, Exchange]]:
    """DVC on a checkout, and its remote `name` (by default the default one).

    Raises:
        InputError: no such remote, or DVC cannot use the checkout or the remote as they are.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with chdir(root), Repo(str(root), _wait_for_lock=True) as repo:  # DVC takes paths from where one is
            exchange = Exchange(repo, name, command)
            try:
                yield repo, exchange
            finally:
                shutil.rmtree(exchange.arriving.path, ignore_errors=True)
    except DvcException as error:
        raise InputError(f"{command}: {' '.join(str(error).split())} (docs/sharing.md shows how)") from error


def has_remote(root: Path) -> bool:
    """Whether a checkout has a default DVC remote."""
    from dvc.repo import Repo

    with Repo(str(root)) as repo:
        return bool(repo.config["core"].get("remote"))


def fetch(root: Path, outputs: Sequence[Output], suffixes: tuple[str, ...]) -> None:
    """Bring outputs' files with these endings from the default remote, if there is one, into the cache.

    What cannot be had is warned of: whoever reads it next says that it is missing.
    """
    if outputs and has_remote(root):
        try:
            with opened(root, None, "fetch") as (_, exchange):
                troubles, _ = exchange.fetch(outputs, suffixes)
        except InputError as error:
            log.warning("%s", error)
        else:
            for each in troubles:
                log.warning("%s", each.message)
