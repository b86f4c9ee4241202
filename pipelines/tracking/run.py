"""A stage's own run in MLflow, as the stage writes it: whatever MLflow does, the stage goes on.

The first thing that MLflow does not take costs one warning, and ends the writing: the stage goes on at full speed, its
run counts as killed once its process has ended, and `dbdflow log` makes one from the stage's outputs.
"""

import logging
import os
from collections.abc import Callable

from pipelines.system import environment
from pipelines.system.stopping import later
from pipelines.tracking.client import Store, page
from pipelines.tracking.execution import Execution

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
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "CRITICAL")  # what is wrong is said here, once
        logging.getLogger("urllib3").setLevel(logging.ERROR)
        self._attempt(self._begin, execution)

    def _begin(self, execution: Execution) -> None:
        store = self.store or Store()
        self.id, self.above = store.begin(execution)
        pages = environment.mlflow_pages()
        self.store, self.page = store, pages and page(pages, store.experiment, self.id)

    def end(self, status: str, message: str = "", moment: int | None = None) -> None:
        """End it, now or at a moment in unix ms, and what is above it if nothing else of that runs."""
        if message:
            self.write(lambda store, run: store.log(run, tags={"dbdflow.message": message}))
        self.write(lambda store, run: store.end(run, self.above, status, moment))

    def write(self, call: Callable[[Store, str], object]) -> None:
        """Let `call` write to the store for the run of this id; nothing where there is none, or none any more."""
        if self.store is not None and self.id is not None:
            self._attempt(call, self.store, self.id)

    def _attempt(self, call: Callable[..., object], *arguments: object) -> None:
        """Call MLflow; an interruption meanwhile comes when it is done."""
        with later():
            try:
                call(*arguments)
            except Exception as error:  # whatever MLflow, its database or the network throws
                reason = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:200]}"
                if getattr(error, "error_code", None) in REFUSED:
                    log.warning("MLflow leaves something out (%s)", reason)
                    return
                self.store = None
                log.warning("MLflow fails (%s): going on without it; `dbdflow log` makes up for it", reason)
