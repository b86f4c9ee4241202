"""What every DVC stage runs in: its journal, its scratch folder, its end.

A stage is a plain function `stage_name(stage: Stage, *, option: type, ...)`. `main` gives it a command line, runs
it (as a Prefect flow run when a server answers) and turns what happens into a journal entry and an exit code.
"""

import io
import json
import logging
import os
import shlex
import signal
import sys
import time
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import psutil

from components.common import availability
from components.common.availability import NotAvailableError
from components.common.errors import InputError, TryAgainError
from components.common.storage import file_hash, link_or_copy, read_json
from pipelines.harness import flow, options
from pipelines.harness.scratch import Scratch
from pipelines.repo import costs
from pipelines.repo.costs import Cost
from pipelines.repo.fingerprint import Fingerprint, fingerprint, flatten, load
from pipelines.repo.revisions import git_commit
from pipelines.system import environment, processes
from pipelines.system.progress import Progress
from pipelines.system.stopping import NOT_AT_HAND, TRY_AGAIN, Outcome, Terminated, signals
from pipelines.tracking import courier
from pipelines.tracking.journal import Journal

if typing.TYPE_CHECKING:
    import numpy as np

log = logging.getLogger(__name__)

PROGRESS_INTERVAL = 1.0  # seconds


class Stage:
    """The running stage: what it reports, and where it leaves checkpoints. Nothing that it reports is read back."""

    def __init__(self, function: str, arguments: list[str], depends_on: Fingerprint) -> None:
        self.function = function
        self.name = depends_on.dvc_stage or " ".join([function, *arguments])
        self.journal = Journal(function)
        self._progress = Progress(self.name)
        self._reported = float("-inf")
        self._scratch = Scratch((depends_on.dvc_stage or function), depends_on.digest)

    def params(self, values: dict[str, Any]) -> None:
        """Report parameters, nested: `{"stage1": {"epochs": 3}}` is watched as `stage1.epochs`."""
        self.journal.write("params", values=flatten(values))

    def metrics(self, values: dict[str, float], step: int = 0) -> None:
        """Report numbers at one step (epoch, iteration)."""
        self.journal.write("metrics", values={key: float(value) for key, value in values.items()}, step=step)

    def image(self, name: str, pixels: "np.ndarray[Any, Any]") -> None:
        """Report a picture, uint8 (H, W) grey or (H, W, 3) RGB, as `<name>.png`; `name` may have folders."""
        from PIL import Image

        assert pixels.dtype == "uint8", pixels.dtype
        path, encoded = Path(f"{name}.png"), io.BytesIO()
        Image.fromarray(pixels).save(encoded, "png")
        self._artifact(self.journal.keep_bytes(path.name, encoded.getvalue()), path.parent)

    def artifact(self, path: str | Path, folder: str = "") -> None:
        """Report a file or folder as it is now, to be found under `folder`."""
        path = Path(path)
        self._artifact(self.journal.keep(path), Path(folder))

    def _artifact(self, kept: str | None, folder: Path) -> None:
        if kept is not None:
            self.journal.write("artifact", file=kept, folder=folder.as_posix())

    def dataset(self, *, name: str, digest: str, images: int, context: str = "training") -> None:
        """Report a data set that goes in, with the hash of its content and its number of images."""
        self.journal.write("dataset", name=name, digest=digest, images=images, context=context)

    def model(self, path: str | Path, *, name: str, experiment: str = "", train: str = "") -> None:
        """Report the weights (safetensors) that come out and the card beside them, to be found under `model/`.

        With the experiment's name and a training split they become a version of that split's registered model.
        """
        path = Path(path)
        self._artifact(self.journal.keep(path, link_or_copy), Path("model"))
        self.tags({"dbdflow.model": name})
        if (card := path.with_name("card.json")).exists():
            self.artifact(card, folder="model")
            if note := read_json(card).get("not_published"):
                self.tags({"dbdflow.not_published": note})
        if train:
            self.journal.write("model", name=name, experiment=experiment, train=train, weights=file_hash(path))

    def reproduction(self, *, metrics: dict[str, float], tags: dict[str, str], folder: Path) -> None:
        """Report on the reproduction as a whole, to the run above this stage's: numbers, facts, a folder of files."""
        kept = self.journal.keep(folder, link_or_copy)
        self.journal.write("reproduction", metrics=metrics, tags=tags, file=kept)

    def scored(self, **facts: str | float) -> None:
        """Report what a trained run scored, for the alias `best`: `tracking.registry.Registry.score` has the names."""
        self.journal.write("scored", **facts)

    def tags(self, values: dict[str, str]) -> None:
        """Report facts about this execution itself."""
        self.journal.write("tags", values=values)

    def progress(self, done: float, total: float, message: str = "") -> None:
        """Say how far the stage is: on the console, and in the journal at most once a second and at the end."""
        self._progress.show(done, total, message)
        if done >= total or time.monotonic() - self._reported > PROGRESS_INTERVAL:
            self._reported = time.monotonic()
            self.journal.write("progress", done=done, total=total, message=self._progress.told)

    def table(self, name: str, rows: list[dict[str, Any]], description: str) -> None:
        """Report a table, a dictionary a row."""
        self.journal.write("table", name=name, rows=rows, description=description)

    def scratch(self) -> Path:
        """A folder for checkpoints, kept when the stage is interrupted and found again by its next start.

        Another parameter or other data get another folder. It is removed when the stage succeeds.
        """
        return self._scratch.open()

    def start(self, depends_on: Fingerprint) -> None:
        """Write the journal's first event: who runs what, for which reproduction, from which sources."""
        me = processes.Owner.of(psutil.Process())
        dvc = processes.dvc_ancestor()
        commit, changed = git_commit()
        self.journal.write(
            "start",
            stage=self.function,
            name=self.name,
            command=shlex.join(sys.orig_argv),
            pid=me.pid,
            created=me.created,
            reproduction=os.environ.get("DBDFLOW_REPRODUCTION") or str(processes.Owner.of(dvc) if dvc else me),
            git_commit=commit,
            git_dirty=changed,
            dvc_stage=depends_on.dvc_stage,
            deps_hash=depends_on.digest,
            params=flatten(load(Path("params.yaml"))),
            sweep=json.loads(os.environ.get("DBDFLOW_SWEEP", "null")),
        )
        courier.start()

    def end(self, outcome: Outcome) -> None:
        """Write the journal's last event."""
        if outcome.status == "FINISHED":
            self._scratch.remove()
            self._keep_seconds()
        self.journal.write("end", status=outcome.status, message=outcome.message)
        self.journal.close()
        courier.start()

    def _keep_seconds(self) -> None:
        """Leave how long this process took, for who plans the next reproduction."""
        try:
            costs.leave(self.name, Cost(round(time.time() - psutil.Process().create_time(), 1), costs.device()))
        except OSError as error:
            log.warning("how long %s took is not kept (%s)", self.name, error)

    def resumes(self) -> bool:
        """Whether an interrupted stage goes on where it was."""
        return self._scratch.path is not None


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
    sys.exit(execute(function, arguments, words))


def execute(function: Callable[..., None], arguments: dict[str, Any], words: list[str]) -> int:
    """Run a stage with its journal; the exit code."""
    try:
        name = os.environ.get("DVC_STAGE", "").rpartition(":")[2] or None
        depends_on = fingerprint(name, f"pipelines.stages.{function.__name__}", words, Path.cwd())
        stage = Stage(function.__name__, words, depends_on)
        follow_dvc()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    stage.start(depends_on)
    with signals():
        try:
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
