"""A stage from its command line to its exit code.

A stage is a plain function `stage_name(stage: Stage, *, option: type, ...)`. `main` runs it (as a Prefect flow run
when a server answers) and turns what happens into a run in MLflow and an exit code.
"""

import gc
import logging
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import psutil

from components.common import availability
from components.common.availability import NotAvailableError
from components.common.errors import InputError, TryAgainError
from pipelines.harness import flow, options
from pipelines.harness.context import Stage
from pipelines.repo.fingerprint import fingerprint
from pipelines.system import environment, processes
from pipelines.system.stopping import NOT_AT_HAND, TRY_AGAIN, Outcome, Terminated, signals

log = logging.getLogger(__name__)


def main(function: Callable[..., None], words: list[str] | None = None) -> NoReturn:
    """Run a stage from the command line and end the process.

    Exit codes: 0 done, 1 failed (with traceback), 2 bad input (one message, no traceback), 75 the same where another
    try may help, 130 and 143 interrupted.
    """
    words = sys.argv[1:] if words is None else words
    arguments = options.parse(function, words)
    environment.apply()
    logging.basicConfig(format="%(asctime)s %(name)s: %(message)s", datefmt="%H:%M:%S", level=logging.WARNING)
    for name in ("components", "pipelines"):
        logging.getLogger(name).setLevel(logging.INFO)
    gc.disable()  # while MLflow and Prefect are imported: a million objects, and no garbage
    code = execute(function, arguments, words)
    gc.freeze()  # nothing is searched for garbage at exit either: 1 s less in all
    sys.exit(code)


def execute(function: Callable[..., None], arguments: dict[str, Any], words: list[str]) -> int:
    """Run a stage, watched; the exit code."""
    try:
        name = os.environ.get("DVC_STAGE", "").rpartition(":")[2] or None
        depends_on = fingerprint(name, f"pipelines.stages.{function.__name__}", words, Path.cwd())
        stage = Stage(function.__name__, words, depends_on)
        follow_dvc()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    with signals():
        try:
            stage.begin(shlex.join(sys.orig_argv), time.time_ns() // 1_000_000)
            outcome = flow.run(lambda: attempt(function, stage, arguments), stage, function, arguments)
        except (KeyboardInterrupt, Terminated) as stop:  # before the work began
            outcome = interrupted(stage, stop)
        for number in (signal.SIGINT, signal.SIGTERM):  # what has ended writes its end in peace
            signal.signal(number, signal.SIG_IGN)
        stage.end(outcome)
    return outcome.code


def attempt(function: Callable[..., None], stage: Stage, arguments: dict[str, Any]) -> Outcome:
    """Call the stage's function and tell on the console what went wrong, if anything did.

    A stage that needs something that is not at hand leaves the reason in its output, and has done what it could.
    """
    gc.freeze()
    gc.enable()
    try:
        function(stage, **arguments)
    except NotAvailableError as error:
        print(f"{NOT_AT_HAND}{error.gap.what}: {error.gap.reason}; {error.gap.remedy}", file=sys.stderr)
        availability.mark(arguments["out"], error.gap)
        stage.tags({"dbdflow.not_available": str(error)})
        return Outcome("FINISHED", 0)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return Outcome("FAILED", TRY_AGAIN if isinstance(error, TryAgainError) else 2, str(error))
    except (KeyboardInterrupt, Terminated) as stop:
        return interrupted(stage, stop)
    except Exception as error:
        log.exception("%s: failed", stage.name)
        return Outcome("FAILED", 1, f"{type(error).__name__}: {error}")
    return Outcome("FINISHED", 0)


def interrupted(stage: Stage, stop: BaseException) -> Outcome:
    """Tell on the console what the interruption costs."""
    resumes = "goes on from the last checkpoint" if stage.resumes() else "begins anew"
    message = f"{stage.name}: interrupted; the next start {resumes}"
    print(message, file=sys.stderr)
    return Outcome("KILLED", 143 if isinstance(stop, Terminated) else 130, message)


def follow_dvc() -> None:
    """A stage that DVC started ends with it, so that a killed `dvc repro` leaves no trainer behind."""
    if "DVC_STAGE" in os.environ:
        parent = processes.dvc_ancestor() or psutil.Process(os.getppid())
        if parent.pid == 1 and not processes.is_dvc(parent.cmdline()):
            sys.exit("DVC, which started this stage, is gone: the stage does not start")
        processes.die_with(processes.Owner.of(parent))
