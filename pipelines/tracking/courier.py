"""The process that carries journals to MLflow, so that no stage waits for a database or imports MLflow.

One a checkout (`.dbdflow/courier.lock`), started by a stage that finds none, ended by itself when no stage lives and
everything has arrived. It may be killed at any moment: the next one goes on. What does not arrive (no server, full
disk) is written to `.dbdflow/courier.log` and stays in its journal for the next one.

    python -m pipelines.tracking.courier
"""

import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.system import environment, locks, processes
from pipelines.tracking import executions, journal
from pipelines.tracking.parcels import Parcel, Reproduction, parcels, reproductions, sweep
from pipelines.tracking.showing import Showing

if TYPE_CHECKING:
    from pipelines.tracking.client import Tracker

log = logging.getLogger(__name__)

POLL = 0.5  # seconds between two looks
IDLE = 2.0  # seconds without anything to do before the courier ends
PATIENCE = 5  # failures in a row (pauses of 1, 2, 4 .. seconds) before the rest is left to the next courier
NICENESS = 10
OF_A_STAGE = ("DVC_STAGE", "DBDFLOW_REPRODUCTION")  # environment variables that are not the courier's

_started: list["subprocess.Popen[bytes]"] = []


@contextmanager
def only_one() -> Iterator[bool]:
    """Hold the lock of the checkout's courier; False if another process has it."""
    folder = environment.state()
    folder.mkdir(parents=True, exist_ok=True)
    lock = locks.take(folder / "courier.lock")
    try:
        yield lock is not None
    finally:
        if lock is not None:
            lock.release()


def start() -> None:
    """Start a courier if none is running; that it cannot be started is no reason for a stage to fail.

    `DBDFLOW_COURIER=off` leaves the journals for later (`dbdflow track`).
    """
    if os.environ.get("DBDFLOW_COURIER") == "off":
        return
    try:
        with only_one() as free:
            pass
        if free:
            _spawn()
    except OSError as error:
        log.warning("tracking: no courier (%s); the journals wait for the next one", error)


def _spawn() -> None:
    """Detached from the stage: own session, own log, nothing inherited, the checkout's own code where it has one."""
    root = environment.root()
    sources = next(
        folder for folder in (root, Path(__file__).parents[2]) if (folder / "pipelines/tracking/courier.py").exists()
    )
    own = {
        "DVC_ROOT": str(root),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(sources), os.environ.get("PYTHONPATH")])),
        "OMP_NUM_THREADS": "1",
    }
    inherited = {name: value for name, value in environment.for_children().items() if name not in OF_A_STAGE}
    with processes.open_log(environment.state() / "courier.log") as output:
        command = [sys.executable, "-m", "pipelines.tracking.courier"]
        process = subprocess.Popen(
            command,
            cwd=root,
            env=inherited | own,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    _started.append(process)  # never waited for: it outlives this process


class Courier:
    """Carries what there is, again and again."""

    def __init__(self) -> None:
        self.tracker: Tracker | None = None
        self.showing = Showing()
        self.failures = 0

    def serve(self) -> None:
        """Deliver until there has been nothing to do for a while, or nothing can be delivered."""
        sweep()
        last_open = time.monotonic()
        while time.monotonic() - last_open < IDLE:
            if self.round():
                last_open = time.monotonic()
            if self.failures > PATIENCE and not any(parcel.alive() for parcel in parcels()):
                log.warning("given up after %d failures: the journals stay for the next courier", self.failures)
                return
            time.sleep(POLL if self.failures == 0 else min(2.0 ** (self.failures - 1), 30.0))

    def round(self) -> bool:
        """Carry everything once; whether anything is still open (a stage, a reproduction, something to show)."""
        try:
            waiting = [parcel for parcel in parcels() if not self._carry(parcel)]
            self._end_reproductions({parcel.start["reproduction"] for parcel in waiting})
        except Exception as error:  # whatever MLflow, its database or the network throws: later again
            self.failures += 1
            self.tracker = None
            log.warning("not delivered, tried %d times: %s: %s", self.failures, type(error).__name__, error)
            return True
        self.failures = 0
        return self.showing.again() or bool(waiting) or bool(reproductions())

    def _carry(self, parcel: Parcel) -> bool:
        """Deliver what is new of one journal; whether it has arrived whole."""
        events, offset = parcel.read()
        if not events:
            return False
        tracker = self._tracker()
        if parcel.run is None:
            Reproduction(parcel.start["reproduction"]).path.touch()
            parcel.run = tracker.stage(parcel.name, parcel.start)
        tracker.deliver(parcel.run, events, parcel.files)
        parcel.experiment = tracker.experiment
        self.showing.show(parcel, events, parcel.run)
        if events[-1]["event"] == "end":
            executions.keep(parcel, events[-1])
            parcel.discard()
            return True
        parcel.arrived(offset)
        return False

    def _end_reproductions(self, busy: set[str]) -> None:
        for reproduction in reproductions():
            if reproduction.identity not in busy and not reproduction.alive():
                self._tracker().end_reproduction(reproduction.identity)
                reproduction.path.unlink()

    def _tracker(self) -> "Tracker":
        from pipelines.tracking.client import Tracker

        self.tracker = self.tracker or Tracker()
        return self.tracker


def pending() -> bool:
    """Whether anything has still to arrive: a journal, or the end of a reproduction that is over."""
    return any(journal.folder().glob("*.jsonl")) or any(not reproduction.alive() for reproduction in reproductions())


def wait(timeout: float) -> bool:
    """Wait until everything has arrived in MLflow, at most `timeout` seconds; whether it has."""
    deadline = time.monotonic() + timeout
    while pending():
        if time.monotonic() > deadline:
            return False
        start()
        time.sleep(POLL / 2)
    return True


def main() -> None:
    """Serve as the checkout's courier, or end at once if it has one."""
    environment.apply()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    os.nice(NICENESS)
    unfinished = True
    while unfinished:
        with only_one() as free:
            if not free:
                return
            courier = Courier()
            courier.serve()
        unfinished = courier.failures == 0 and pending()  # a journal begun while this one was letting go of the lock


if __name__ == "__main__":
    main()
