"""Many photographs on the workers of a scheduler, a chunk at a time; what a lost worker was at is made by another."""

import os
from collections.abc import Generator, Sequence
from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from components.common.errors import InputError
from pipelines.photographs.making import Job, Made, make
from pipelines.running import engine
from pipelines.running.detectors import resolved
from pipelines.system.environment import THREADS

if TYPE_CHECKING:
    from dbdflow import Detector

CHUNK = 8  # photographs: a second or two, so that little is lost with a worker, and few photographs are spread, too
AHEAD = 2  # chunks handed over a core: no worker waits, and no memory grows


def spread(photographs: Sequence[Path], job: Job, model: str, device: str) -> Generator[Made]:
    """Write the files of photographs, as `making.make` does, on workers that see them and the folder for the maps.

    Yields:
        Each photograph when its chunk is done.

    Raises:
        InputError: the scheduler does not answer, a worker does not see the photographs, or there is no room.
    """
    from distributed import KilledWorker, as_completed

    found, fitted = resolved(model)
    chosen = (found.absolute() if isinstance(found, Path) else found, fitted and fitted.absolute(), device)
    where = replace(job, out=job.out.absolute())
    given = {each.absolute(): each for each in photographs}
    paths = list(given)
    chunks = iter([paths[start : start + CHUNK] for start in range(0, len(paths), CHUNK)])
    with engine.started(None) as started:

        def hand_over(chunk: Sequence[Path]) -> object:
            asked = (chosen, chunk, where, started.seen)
            return started.client.submit(make_chunk, *asked, resources={"core": 1}, pure=False)

        ahead = AHEAD * sum(started.client.nthreads().values())
        waiting = as_completed(list(map(hand_over, islice(chunks, ahead))), with_results=True)
        try:
            for _, made in waiting:
                yield from ((given[photograph], row) for photograph, row in made)
                if chunk := next(chunks, None):
                    waiting.add(hand_over(chunk))
        except KilledWorker as error:
            raise InputError(
                f"{error.allowed_failures + 1} workers died at the same photographs; look into their logs "
                "(memory?); run again, what is done is kept"
            ) from error


# ---- on a worker


def make_chunk(
    chosen: tuple[str | Path, Path | None, str], photographs: Sequence[Path], job: Job, seen: Path | None
) -> list[Made]:
    """Write the files of a chunk, as long as somebody waits for it.

    Raises:
        InputError: this machine does not see what the one sees that asked; no such device; no room.
        Reschedule: nobody waits for it here; on another worker it is begun anew.
    """
    import socket

    from distributed import Reschedule, get_worker

    if seen and not seen.exists():
        raise InputError(
            f"{socket.gethostname()} does not share the disk of who asked; put photographs and --out on one that all "
            "workers see, or unset DBDFLOW_SCHEDULER to work here"
        )
    worker, found, detect = get_worker(), list[Made](), loaded(*chosen)
    for made in make(detect, photographs, job, workers=1):
        found.append(made)
        if engine.orphaned(worker, worker.get_current_task()):
            raise Reschedule
    return found


@cache
def loaded(model: str | Path, fitted: Path | None, device: str) -> "Detector":
    """The detector, which stays with the worker; one thread a chunk (a stage's process is told its own number)."""
    os.environ.update(dict.fromkeys(THREADS, "1"))
    from dbdflow import Detector

    return Detector.load(model, device=device, fitted=fitted)
