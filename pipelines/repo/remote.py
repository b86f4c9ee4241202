"""What goes to a DVC remote and comes back, every object held to its hash.

DVC carries the objects, several at once, and hashes what arrives. Its own `push` and `pull` trust the names of objects
and do not say which one is damaged (docs/sharing.md): here it is named, and kept out of the cache and of the remote.
"""

import logging
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir, contextmanager, suppress
from pathlib import Path
from typing import Any

from components.common.errors import InputError
from pipelines.repo.outputs import LISTING, Output, listed
from pipelines.system.progress import Progress

log = logging.getLogger(__name__)

Store = Any
"""DVC's cache or a remote, `dvc_data.hashfile.db.HashFileDB`; DVC is untyped."""


class Exchange:
    """The cache of a checkout and one of its remotes."""

    def __init__(self, repo: Any, name: str | None, command: str) -> None:  # noqa: ANN401
        self.remote, self.cache, self.command = repo.cloud.get_remote_odb(name, command), repo.cache.local, command
        folder = Path(self.cache.path).parents[1] / "arriving"
        self.arriving = type(self.cache)(self.cache.fs, str(folder), hash_name="md5")

    def fetch(self, outs: Sequence[Output], suffixes: tuple[str, ...] = ("",)) -> tuple[list[str], int]:
        """Bring what the cache lacks of outputs' files with these endings into it.

        Returns:
            What could not be had and why, in words, and the number of objects that came.
        """
        faults, fetched, names = dict[str, str](), 0, dict[str, list[str]]()
        for _ in range(2):  # listings first: they say what else there is
            names = self._names(outs)
            asked = {
                oid
                for oid, paths in names.items()
                if oid.endswith(LISTING) or any(path.endswith(suffixes) for path in paths)
            }
            if not (lacking := sorted(asked - faults.keys() - self._here(asked))):
                continue
            there = self._there(lacking)
            try:
                self._copy(self.remote, self.arriving, there, checked=True)
            finally:  # what has come stays, also where one is stopped
                whole = self.arriving.oids_exist(there)
                for oid in filter(self.cache.exists, whole):  # damaged, or it would be here
                    self.cache.delete(oid)
                self.cache.add([*map(self.arriving.oid_to_path, whole)], self.cache.fs, whole, hardlink=True)
            found = self._faults(self.remote, "the remote", [oid for oid in lacking if oid not in whole])
            faults |= {oid: fault or "came damaged" for oid, fault in found.items()}
            fetched += len(whole)
        return worded(names, faults), fetched

    def send(self, outs: Sequence[Output], *, again: bool) -> tuple[list[str], int, int]:
        """Bring outputs to the remote, with `again` over what is there.

        Returns:
            What could not be sent and why, in words, the number of objects sent, and of those that were there.
        """
        names, tops = self._names(outs), {out.oid for out in outs}
        faults, sent, there = self._send(names.keys() - tops, again=again)
        whole = {out.oid for out in outs if faults.keys().isdisjoint(self.objects(out))}
        more, *counts = self._send(whole, again=again)  # a listing goes after what it lists, and not without it
        return worded(names, faults | more), sent + counts[0], there + counts[1]

    def whole(self, outs: Iterable[Output]) -> list[Output]:
        """Outputs of which the cache has every object."""
        return [out for out in outs if self._here(objects := self.objects(out)) == objects.keys()]

    def objects(self, out: Output) -> dict[str, str]:
        """Object -> the file of an output that it is; those that are listed, once the listing is here."""
        found = {out.oid: out.path}
        if out.oid.endswith(LISTING) and self._here(found):
            files = listed(Path(self.cache.oid_to_path(out.oid)))
            found |= {oid: f"{out.path}/{name}" for name, oid in files.items()}
        return found

    def _names(self, outs: Iterable[Output]) -> dict[str, list[str]]:
        """Object -> the files of outputs that it is."""
        found: dict[str, list[str]] = {}
        for oid, path in (pair for out in outs for pair in self.objects(out).items()):
            found.setdefault(oid, []).append(path)
        return found

    def _here(self, oids: Iterable[str]) -> set[str]:
        """Those that the cache has whole; what it has not hashed since it was written is hashed."""
        from dvc_data.hashfile.hash import hash_file

        found = set[str]()
        for oid in oids:
            with suppress(FileNotFoundError):
                _, content = hash_file(self.cache.oid_to_path(oid), self.cache.fs, "md5", self.cache.state)
                if str(content.value).removesuffix(LISTING) == oid.removesuffix(LISTING):
                    found.add(oid)
        return found

    def _there(self, oids: Collection[str]) -> set[str]:
        """Those that the remote has, by their names."""
        with self._asking():
            found = set(self.remote.list_oids_exists(oids))
            if oids and not found:  # over HTTP a server that fails has nothing, too: reading tells
                with suppress(FileNotFoundError):
                    self.remote.fs.fs.cat_file(self.remote.oid_to_path(next(iter(oids))), end=1)
            return found

    def _send(self, oids: Collection[str], *, again: bool) -> tuple[dict[str, str], int, int]:
        """Send what is whole: what is the matter with the others, how many were sent, how many were there."""
        there = set() if again else self._there(oids)
        found = self._faults(self.cache, "this machine's cache", [oid for oid in oids if oid not in there])
        faults = {oid: fault for oid, fault in found.items() if fault}
        self._copy(self.cache, self.remote, found.keys() - faults.keys(), checked=False)
        return faults, len(found) - len(faults), len(there)

    def _copy(self, source: Store, target: Store, oids: Collection[str], *, checked: bool) -> None:
        """Have DVC copy objects over what is there; `checked`: what is there whole stays, what comes damaged goes."""
        from fsspec.callbacks import Callback

        progress = Progress(self.command)
        shown = Callback(hooks={"shown": lambda size, value, **_: progress.show(value, size, "objects")})
        with self._asking():
            paths = [source.oid_to_path(oid) for oid in oids]
            target.add(paths, source.fs, list(oids), verify=checked, check_exists=checked, callback=shown)

    def _faults(self, store: Store, where: str, oids: Collection[str]) -> dict[str, str]:
        """What is the matter with objects by their content, empty for those that are whole."""
        from dvc_data.hashfile.hash import file_md5

        def fault(oid: str) -> str:
            address = store.fs.unstrip_protocol(store.oid_to_path(oid))
            try:
                found = file_md5(store.oid_to_path(oid), store.fs)
            except FileNotFoundError:
                return f"not in {where} ({address})"
            return "" if found == oid.removesuffix(LISTING) else f"damaged in {where} ({address} has the MD5 {found})"

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


def worded(names: Mapping[str, Sequence[str]], faults: Mapping[str, str]) -> list[str]:
    """Objects' faults, by the files that they are."""
    return sorted(f"{', '.join(names[oid])}: {fault}" for oid, fault in faults.items())


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
                lacking, _ = exchange.fetch(outputs, suffixes)
        except InputError as error:
            lacking = [str(error)]
        if lacking:
            log.warning("the DVC remote does not give %d objects, e.g. %s", len(lacking), lacking[0])
