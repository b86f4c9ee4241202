"""The flow `reproduce`: one reproduction as Prefect sees it, each stage a task run of its name.

Prefect decides: it begins the steps, by the limits that its page sets for their tags, tries again those that had bad
luck, and may cancel. DVC alone says what is out of date, and Dask's workers do it. What comes out of a stage is kept
whatever happens to the server meanwhile; a step that Prefect loses is done without it.
"""

import json
import logging
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.exceptions import Abort
from prefect.logging.handlers import PrefectConsoleHandler
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed, Failed
from prefect_dask import DaskTaskRunner

from components.common.errors import InputError
from pipelines.flows.steps import by_prefect
from pipelines.harness.flow import answers
from pipelines.running import experiments
from pipelines.running.experiments import Request
from pipelines.running.reproduction import Summary
from pipelines.system import environment, processes
from pipelines.system.progress import duration
from pipelines.system.stopping import Stop, by_signals

log = logging.getLogger(__name__)

POLL = 2.0  # seconds between two looks whether Prefect has been told to cancel

summaries: list[Summary] = []
"""What the flow of this process made; kept here should Prefect lose it."""


def named() -> str:
    """Name of a flow run: what is reproduced, since when."""
    asked = flow_run.get_parameters()
    what = asked.get("preset") or ("with values set" if asked.get("set") else "workspace")
    return f"reproduce {what} {datetime.now():%Y-%m-%d %H:%M:%S}"


@flow(name="reproduce", flow_run_name=named, retries=0, persist_result=False, task_runner=DaskTaskRunner())
def reproduce(
    preset: str | None = None,
    set: dict[str, Any] | None = None,  # what a person writes after --param
    only: list[str] | None = None,
    jobs: int | None = None,
) -> "State[None]":
    """Bring the checkout up to date, or run a DVC experiment that leaves the workspace alone.

    Args:
        preset: params of `presets/<preset>.yaml` in place of params.yaml: an experiment.
        set: key of params.yaml -> value: an experiment.
        only: stages to make, with what they depend on; by default all.
        jobs: stages at once; by default as many as cores.
    """
    request = Request(preset, set or {}, tuple(only or ()), jobs)
    return watched(lambda stop: experiments.run(request, submit=by_prefect, stop=stop))


def watched(work: Callable[[Stop], Summary]) -> "State[None]":
    """Do the work of a flow run: Prefect may cancel it, and is told how it ended."""
    if (context := FlowRunContext.get()) is not None and context.flow_run is not None:
        print(f"in Prefect: {os.environ['PREFECT_API_URL'].removesuffix('/api')}/runs/flow-run/{context.flow_run.id}")
    with in_flow_run() as stop:
        try:
            summary = work(stop)
        except InputError as error:
            return Failed(message=str(error))
    summaries.append(summary)
    return end_of(summary)


@contextmanager
def in_flow_run() -> Iterator[Stop]:
    """This process does the work of a flow run: what stops it, a signal or Prefect."""
    environment.apply()
    log_to_prefect_alone()
    processes.die_with_worker()
    stop = Stop()
    with by_signals(stop), cancelled_by_prefect(stop):
        yield stop


def log_to_prefect_alone() -> None:
    """The console's lines are the flow run's logs; Prefect does not print them again.

    Its handler would end the process when the worker that reads it has gone.
    """
    for name in ("components", "pipelines"):
        logging.getLogger(name).setLevel(logging.INFO)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, PrefectConsoleHandler):
            handler.setLevel(logging.CRITICAL)


def from_console(run: "Callable[[], State[Any]]") -> Summary:
    """Run a flow in this process, which a person started; how it ended.

    Raises:
        InputError: a preset, key or stage that does not exist.
    """
    try:
        message = run().message
    except Exception as error:
        message = f"Prefect failed ({type(error).__name__}: {error})"
        log.warning("%s", message)
    if not summaries:
        raise InputError(message or "the flow did not begin")
    print("\n".join(summaries[-1].lines()))
    return summaries[-1]


def end_of(summary: Summary) -> "State[None]":
    """The flow's end, with the summary as an artifact of its run.

    Raises:
        Abort: the server has gone meanwhile, and Prefect shall not try for long to tell it.
    """
    if not answers(os.environ["PREFECT_API_URL"]):
        raise Abort("the server has gone")
    create_markdown_artifact(table(summary), key="summary", description="how each stage of this reproduction ended")
    message = "\n".join(summary.lines())
    kind = {"FINISHED": Completed, "FAILED": Failed, "KILLED": Cancelled}[summary.status]
    return kind(message=message)


def table(summary: Summary) -> str:
    """The summary in Markdown."""
    rows = [
        f"| {done.stage} | {done.status} | {duration(done.seconds)} | {done.cause} | {summary.log(done.stage) or ''} |"
        for done in summary.done.values()
    ]
    head = ["| stage | | time | cause | log |", "|---|---|---|---|---|"] if rows else []
    return "\n".join([*summary.lines()[:1], "", *head, *rows])


@contextmanager
def cancelled_by_prefect(stop: Stop) -> Iterator[None]:
    """Set `stop` when this flow run is to be cancelled; Prefect itself can only cancel what a worker runs."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        yield
        return
    address = f"{os.environ['PREFECT_API_URL']}/flow_runs/{context.flow_run.id}"
    over = threading.Event()
    watch = threading.Thread(target=watch_for_cancel, args=(address, stop, over), daemon=True)
    watch.start()
    try:
        yield
    finally:
        over.set()


def watch_for_cancel(address: str, stop: Stop, over: threading.Event) -> None:
    while not over.wait(POLL):
        try:
            with urllib.request.urlopen(address, timeout=POLL) as answer:
                state = json.load(answer)["state_type"]
        except (OSError, ValueError, urllib.error.URLError):
            continue  # the server is busy, or gone: the work goes on
        if state in ("CANCELLING", "CANCELLED"):
            stop.set("cancelled in Prefect", 1)
            return
