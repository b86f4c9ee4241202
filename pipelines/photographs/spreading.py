"""Many photographs on the workers of a scheduler, a chunk at a time; what a lost worker was at is made by another."""

from collections.abc import Generator, Sequence
from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from components.common.errors import InputError
from pipelines.photographs.making import Job, Made, make
from pipelines.running import engine

if TYPE_CHECKING:
    from dbdflow import Detector

CHUNK = 64  # photographs: seconds, so that little is lost with a worker
AHEAD = 2  # chunks handed over a core: no worker waits, and no memory grows


def spread(photographs: Sequence[Path], job: Job, model: str, device: str) -> Generator[Made]:
    """Write the files of photographs, as `making.make` does, on workers that see them and the folder for the maps.

    Yields:
        Each photograph when its chunk is done.

    Raises:
        InputError: the scheduler does not answer, a worker does not see the photographs, or there is no room.
    """
    from distributed import KilledWorker, as_completed

    where, chosen = replace(job, out=job.out.absolute()), (*resolved(model), device)
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
            for _, found in waiting:
                yield from ((given[photograph], row) for photograph, row in found)
                if chunk := next(chunks, None):
                    waiting.add(hand_over(chunk))
        except KilledWorker as error:
            raise InputError(
                f"{error.allowed_failures + 1} workers died at the same photographs; look into their logs "
                "(memory?); run again, what is done is kept"
            ) from error


def resolved(model: str) -> tuple[str, Path | None]:
    """A model as every worker finds it: a method with what it has learned, or a file of weights."""
    from components.baselines import CLASSICAL
    from pipelines.running.detectors import learned, unknown, weights_of

    if model in CLASSICAL:
        fitted = learned(model)
        return model, fitted and fitted.absolute()
    if file := weights_of(model):
        return str(file.absolute()), None
    raise unknown(model)


# ---- on a worker


def make_chunk(
    chosen: tuple[str, Path | None, str], photographs: Sequence[Path], job: Job, seen: Path | None
) -> list[Made]:
    """Write the files of a chunk.

    Raises:
        InputError: this machine does not see what the one sees that asked; no such device; no room.
    """
    import socket

    if seen and not seen.exists():
        raise InputError(
            f"{socket.gethostname()} does not share the disk of who asked; put photographs and --out on one that all "
            "workers see, or unset DBDFLOW_SCHEDULER to work here"
        )
    return list(make(loaded(*chosen), photographs, job, workers=1))


@cache
def loaded(model: str, fitted: Path | None, device: str) -> "Detector":
    """The detector, which stays with the worker; one thread of it a chunk."""
    import torch

    from dbdflow import Detector

    torch.set_num_threads(1)
    return Detector.load(model, device=device, fitted=fitted)
