"""A stage as a Prefect flow run when a server answers, a plain call of the same function when none does.

Prefect watches here and decides nothing: what comes out of the stage's function is kept whatever happens to the
server meanwhile. An ephemeral server (13-22 s) is never started.
"""

import inspect
import logging
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from pipelines.harness.artifacts import TIMEOUT, Artifacts
from pipelines.system import environment, probe
from pipelines.system.stopping import Outcome, Terminated, signals

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

    from pipelines.harness.context import Stage

log = logging.getLogger(__name__)

PARENT = "DBDFLOW_PREFECT_PARENT_TASK_RUN"
"""Environment variable: the task run, of the flow that started this process, that the stage's flow run belongs to."""


def answers(api: str) -> bool:
    """Whether a Prefect server answers at this address, asked without importing Prefect (1.9 s)."""
    return probe.answers(f"{api.rstrip('/')}/health", below=500)


def reachable() -> str | None:
    """Address of the Prefect API to report to; None, with a warning where one was expected, if it does not answer."""
    api = environment.prefect_api()
    if api is None or answers(api):
        return api
    log.warning("no Prefect server answers at %s: going on without one", api)
    return None


def prepare(api: str) -> None:
    """Have Prefect, which reads its settings when it is imported, use this address and a home that is there."""
    assert "prefect" not in sys.modules
    os.environ["PREFECT_API_URL"] = api
    environment.state().mkdir(parents=True, exist_ok=True)


def run(
    attempt: Callable[[], Outcome], stage: "Stage", function: Callable[..., None], options: dict[str, Any]
) -> Outcome:
    """Call `attempt`, which never raises, as a flow run named after the stage if a server answers."""
    api = reachable()
    if api is None:
        return attempt()
    os.environ["PREFECT_API_URL"] = api
    outcomes: list[Outcome] = []

    def work(**_: object) -> "State[None] | None":
        with signals():  # Prefect's own handler would take SIGTERM for itself
            outcomes.append(attempt())
        return report(outcomes[0], api)

    try:
        watched(work, stage, function, options)
    except BaseException as error:
        if not outcomes and isinstance(error, KeyboardInterrupt | Terminated):
            raise
        kept = "the stage's result is kept" if outcomes else "the stage runs without it"
        log.warning("Prefect failed (%s: %s); %s", type(error).__name__, error, kept)
    return outcomes[0] if outcomes else attempt()


def watched(
    work: "Callable[..., State[None] | None]", stage: "Stage", function: Callable[..., None], options: dict[str, Any]
) -> None:
    """Call `work` in a flow run named after the stage, with the stage's options for parameters."""
    from prefect import Flow
    from prefect.client.orchestration import get_client
    from prefect.flow_engine import run_flow

    work.__signature__ = without_stage(function)  # type: ignore[attr-defined]
    work.__doc__ = function.__doc__
    flow = Flow(work, name=stage.function, retries=0, persist_result=False, validate_parameters=False)
    parent, api = os.environ.get(PARENT), os.environ["PREFECT_API_URL"]
    with get_client(httpx_settings={"timeout": TIMEOUT}, sync_client=True) as client:
        flow_run = client.create_flow_run(
            flow, name=stage.name, parameters=printable(options), parent_task_run_id=UUID(parent) if parent else None
        )
        stage.watched_as(Artifacts(client, str(flow_run.id), api))
        run_flow(flow, flow_run=flow_run, parameters=options, return_type="state")


def without_stage(function: Callable[..., None]) -> inspect.Signature:
    """The signature of a stage's function as its flow has it: the options alone."""
    parameters = inspect.signature(function, eval_str=True).parameters.values()
    return inspect.Signature([each for each in parameters if each.kind is inspect.Parameter.KEYWORD_ONLY])


def printable(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value if isinstance(value, bool | int | float) else str(value) for name, value in options.items()}


def report(outcome: Outcome, api: str) -> "State[None] | None":
    """Prefect's word for an outcome.

    Raises:
        Abort: the server has gone meanwhile, and Prefect shall not try for long to tell it.
    """
    from prefect.exceptions import Abort
    from prefect.states import Cancelled, Failed

    if not answers(api):
        raise Abort("the server has gone")
    if outcome.status == "FINISHED":
        return None
    return Failed(message=outcome.message) if outcome.status == "FAILED" else Cancelled(message=outcome.message)
