"""A stage's own run in MLflow, as the stage writes it: whatever MLflow does, the stage goes on.

The first thing that MLflow does not take costs one warning, and ends the writing: the stage goes on at full speed, its
run counts as killed once its process has ended, and `dbdflow log` makes one from the stage's outputs.
"""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.system import environment
from pipelines.system.stopping import later
from pipelines.tracking.client import Execution, Store, page

if TYPE_CHECKING:
    from PIL.Image import Image

log = logging.getLogger(__name__)

REFUSED = ("INVALID_PARAMETER_VALUE", "BAD_REQUEST", "RESOURCE_DOES_NOT_EXIST")
"""What MLflow says of a value that it will never take: that one alone is left out."""


class Run:
    """The run of one execution.

    Attributes:
        store: a connection to MLflow, once begun, unless it has failed.
        id: in MLflow, once begun; `page` is its address, if it is served.
    """

    def __init__(self, store: Store | None = None) -> None:
        self.store = store
        self.id: str | None = None
        self.above = ""
        self.page: str | None = None

    def begin(self, execution: Execution) -> None:
        """Begin it; `DBDFLOW_MLFLOW=off` has no run at all."""
        if os.environ.get("DBDFLOW_MLFLOW") == "off":
            return
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "CRITICAL")  # it is said here, once
        self._attempt(self._begin, execution)

    def _begin(self, execution: Execution) -> None:
        store = self.store or Store()
        self.id, self.above = store.begin(execution)
        pages = environment.mlflow_pages()
        self.store, self.page = store, pages and page(pages, store.experiment, self.id)

    def end(self, status: str, message: str = "", moment: int | None = None) -> None:
        """End it, now or at a moment in unix ms, and what is above it if nothing else of that runs."""
        if message:
            self.tags({"dbdflow.message": message})
        self._write(lambda store, run: store.end(run, self.above, status, moment))

    def params(self, values: dict[str, str]) -> None:
        """Log parameters."""
        self._write(lambda store, run: store.log(run, params=values))

    def metrics(self, values: dict[str, float], step: int) -> None:
        """Log numbers at one step."""
        self._write(lambda store, run: store.log(run, metrics=values, step=step))

    def tags(self, values: dict[str, str]) -> None:
        """Log facts."""
        self._write(lambda store, run: store.log(run, tags=values))

    def image(self, name: str, image: "Image") -> None:
        """Log a picture."""
        self._write(lambda store, run: store.client.log_image(run, image, f"{name}.png"))

    def artifact(self, path: Path, folder: str) -> None:
        """Log a file or folder."""
        self._write(lambda store, run: store.client.log_artifact(run, str(path), folder or None))

    def dataset(self, **facts: Any) -> None:  # noqa: ANN401 (those of Store.log_dataset)
        """Log a data set of this run and what is above it."""
        self._write(lambda store, run: store.log_dataset(run, self.above, **facts))

    def model(self, **facts: Any) -> None:  # noqa: ANN401 (those of Registry.log)
        """Log weights of this run and what is above it."""
        self._write(lambda store, run: store.registry.log(run, self.above, **facts))

    def scored(self, **facts: Any) -> None:  # noqa: ANN401 (those of Registry.score)
        """Note what weights scored."""
        self._write(lambda store, run: store.registry.score(**facts))

    def whole(self, *, metrics: dict[str, float], tags: dict[str, str], folder: Path) -> None:
        """Log what is said of the reproduction: to the run above this one."""
        self._write(lambda store, run: store.log(self.above, metrics=metrics, tags=tags))
        self._write(lambda store, run: store.client.log_artifacts(self.above, str(folder), folder.name))

    def _write(self, call: Callable[[Store, str], object]) -> None:
        if self.store is not None and self.id is not None:
            self._attempt(call, self.store, self.id)

    def _attempt(self, call: Callable[..., object], *arguments: object) -> None:
        """Call MLflow; an interruption meanwhile comes when it is done."""
        with later():
            try:
                call(*arguments)
            except Exception as error:  # whatever MLflow, its database or the network throws
                reason = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
                if getattr(error, "error_code", None) in REFUSED:
                    log.warning("MLflow leaves something out (%s)", reason)
                    return
                self.store = None
                log.warning("MLflow fails (%s): going on without it; `dbdflow log` makes up for it", reason)
