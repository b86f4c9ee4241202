"""What goes to a DVC remote and comes back, every object held to its hash.

DVC's own `push` and `pull` go by the names of objects (docs/sharing.md says what becomes of a damaged one). Here an
object is hashed on its way, before it is in the cache, and what is damaged or missing is named.
"""

import os
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.common.errors import InputError
from pipelines.repo.lock_file import LOCK, broken, recorded_stages
from pipelines.repo.objects import LISTING, listed, md5
from pipelines.system.progress import Progress

MODE = 0o444  # DVC takes an object with these rights for whole


@dataclass(frozen=True)
class Output:
    """An output as `dvc.lock` records it: its stage, its path in the checkout, its object's name (MD5, `.dir`)."""

    stage: str
    path: str
    oid: str


@dataclass(frozen=True)
class Trouble:
    """An object that could not be had or sent: the outputs that it belongs to, and what is the matter in words."""

    outputs: tuple[Output, ...]
    message: str


Places = Mapping[str, Sequence[tuple[Output, str]]]
"""Object's name -> the outputs that it belongs to, each with the file in it ('' for the output itself)."""


def recorded(root: Path, words: Sequence[str] = ()) -> list[Output]:
    """The outputs in `dvc.lock`; with `words` those of that path, below it, or of that stage.

    Raises:
        InputError: no `dvc.lock`; a word that fits no output.
    """
    stages = recorded_stages(root)
    if not stages:
        raise InputError(
            f"{root / 'dvc.lock'}: no such file, or no stage in it; it says which outputs belong to this commit: "
            "whoever reproduced has to commit it (`git add dvc.lock`), or reproduce here (`dbdflow reproduce`)"
        )
    made = [(stage, out) for stage, told in stages.items() for out in told.get("outs", ())]
    if lacking := [out["path"] for _, out in made if "md5" not in out]:
        raise broken(root / LOCK, f"no hash of {lacking[0]}")
    outs = [Output(stage, out["path"], out["md5"]) for stage, out in made]
    for word in words:
        if not any(fits(out, word, root) for out in outs):
            raise InputError(f"{word}: no output or stage of dvc.lock, e.g. {outs[-1].path} or {outs[-1].stage}")
    return [out for out in outs if not words or any(fits(out, word, root) for word in words)]


def fits(out: Output, word: str, root: Path) -> bool:
    """Whether a word names the output's stage, or a path, relative to the working folder, that it is or lies in."""
    path = root / out.path
    return word in (out.stage, out.stage.partition("@")[0]) or Path(os.path.abspath(word)) in (path, *path.parents)


class Store:
    """The cache of a checkout and one of its remotes."""

    def __init__(self, repo: Any, name: str | None, command: str) -> None:  # noqa: ANN401 (DVC is untyped)
        self.remote = repo.cloud.get_remote_odb(name, command)
        self.cache = repo.cache.local
        self.arriving = Path(self.cache.path).parents[1] / "arriving"
        self.jobs = self.remote.fs.jobs

    def address(self, oid: str) -> str:
        return str(self.remote.fs.unstrip_protocol(self.remote.oid_to_path(oid)))

    def here(self, oid: str) -> Path:
        return Path(self.cache.oid_to_path(oid))

    def has(self, oid: str) -> bool:
        return self.here(oid).exists()

    def present(self, oids: Iterable[str]) -> set[str]:
        """Those that the remote has, by their names."""
        with asking(self):
            return set(self.remote.oids_exist(list(oids), jobs=self.jobs))

    def fetch(self, oid: str) -> str | None:
        """Bring an object into the cache; what is the matter with it, if anything."""
        arrived = self.arriving / f"{oid}.{threading.get_ident()}"
        try:
            self.remote.fs.get_file(self.remote.oid_to_path(oid), str(arrived))
        except FileNotFoundError:
            return f"not in the remote ({self.address(oid)})"
        if (found := md5(arrived)) != oid.removesuffix(LISTING):
            arrived.unlink()
            return f"damaged in the remote ({self.address(oid)} has the MD5 {found})"
        self.here(oid).parent.mkdir(parents=True, exist_ok=True)
        arrived.chmod(MODE)
        os.replace(arrived, self.here(oid))
        return None

    def send(self, oid: str) -> str | None:
        """Bring an object to the remote; what is the matter with it, if anything."""
        if not self.has(oid):
            return "not in this machine's cache"
        if (found := md5(self.here(oid))) != oid.removesuffix(LISTING):
            return f"damaged in this machine's cache ({self.here(oid)} has the MD5 {found}); not sent"
        self.remote.add(str(self.here(oid)), self.cache.fs, oid, check_exists=False)
        return None

    def places(self, outputs: Iterable[Output]) -> tuple[Places, Places]:
        """Objects that are outputs or list them; objects that are listed (of the listings in the cache)."""
        tops: dict[str, list[tuple[Output, str]]] = {}
        files: dict[str, list[tuple[Output, str]]] = {}
        for out in outputs:
            tops.setdefault(out.oid, []).append((out, ""))
            if out.oid.endswith(LISTING) and self.has(out.oid):
                for name, file in listed(self.here(out.oid)).items():
                    files.setdefault(file, []).append((out, name))
        return tops, files


@contextmanager
def opened(root: Path, name: str | None, command: str) -> Iterator[tuple[Any, Store]]:
    """DVC on a checkout, and its remote `name` (by default the default one).

    Raises:
        InputError: no such remote, or DVC cannot use the checkout or the remote as they are.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with chdir(root), Repo(str(root), _wait_for_lock=True) as repo:  # DVC takes paths from where one is
            store = Store(repo, name, command)
            try:
                yield repo, store
            finally:
                shutil.rmtree(store.arriving, ignore_errors=True)
    except DvcException as error:
        raise InputError(f"{command}: {' '.join(str(error).split())} (docs/sharing.md shows how)") from error


@contextmanager
def asking(store: Store) -> Iterator[None]:
    """Each kind of remote has errors of its own; here they are all one message.

    Raises:
        InputError: the remote cannot be reached, lets nobody in, or fails.
    """
    try:
        yield
    except Exception as error:
        message = f"{type(error).__name__}: {error}"
        raise InputError(
            f"{store.remote.fs.unstrip_protocol(store.remote.path)} does not do what is asked ({message}); look at its "
            "address (`dvc remote list`), the network, and the credentials in your environment"
        ) from error


def check_out(repo: Any, paths: Iterable[str], *, force: bool) -> None:  # noqa: ANN401
    """Put outputs in place as `dvc.lock` has them (targets of DVC's own checkout are looked for from where one is).

    Raises:
        InputError: what is in place is nowhere else, and `force` is not given.
        DvcException: an object is not in the cache.
    """
    from dvc.exceptions import ConfirmRemoveError

    wanted = {str(Path(repo.root_dir, path)) for path in paths}
    with repo.lock:
        for out in repo.index.outs:
            if out.fs_path in wanted:
                try:
                    out.checkout(force=force)
                except ConfirmRemoveError as error:
                    raise InputError(
                        f"{out.fs_path}: it was changed, and what is there is nowhere else; keep a copy of it, then "
                        "`--force` puts the recorded one in its place"
                    ) from error


def transfer(store: Store, places: Places, move: Callable[[str], str | None], told: str) -> list[Trouble]:
    """Fetch or send objects, several at once; what could not be had."""
    found: list[Trouble] = []
    store.arriving.mkdir(parents=True, exist_ok=True)
    progress = Progress(told)
    with asking(store):
        for done, (oid, message) in enumerate(at_once(move, places, store.jobs), 1):
            progress.show(done, len(places), "objects")
            if message:
                named = ", ".join(f"{out.path}{f'/{file}' if file else ''}" for out, file in places[oid])
                found.append(Trouble(tuple(out for out, _ in places[oid]), f"{named}: {message}"))
    return found


def at_once(move: Callable[[str], str | None], oids: Iterable[str], jobs: int) -> Iterator[tuple[str, str | None]]:
    """Each object with what came of it, as they end; what has not begun is dropped when one of them raises."""
    with ThreadPoolExecutor(jobs, thread_name_prefix="object") as pool:
        running = {pool.submit(move, oid): oid for oid in oids}
        try:
            for future in as_completed(running):
                yield running[future], future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
