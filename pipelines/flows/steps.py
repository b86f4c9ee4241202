"""Steps of a walk as Prefect's task runs, which Dask's workers do.

A module of its own: workers find by its name what is sent to them, and a flow that a deployment loads has another.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import dask
from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import FlowRunContext, TaskRunContext
from prefect.states import Cancelled, Completed, Failed
from prefect_dask import DaskTaskRunner

from pipelines.harness.flow import PARENT
from pipelines.running.done import Done
from pipelines.running.walk import Order, attempt, report

if TYPE_CHECKING:
    from distributed import Client, Future

BAD_LUCK = "BadLuck"
"""Name of the state of a step that another try may help."""


class ByPrefect:
    """Hands steps to Prefect: task runs of their names, which Prefect's task runner has Dask run.

    Prefect decides whether one begins (limits of its tags: `dbdflow`, `gpu`, `network`, and its group's name), and
    whether it is tried again.
    """

    def client(self, started: "Client") -> "Client":
        """The task runner's: a step's words and its end come in order over one connection."""
        context = FlowRunContext.get()
        assert context is not None
        assert isinstance(context.task_runner, DaskTaskRunner)
        return context.task_runner.client

    def __call__(self, client: "Client", order: Order, before: "Sequence[Future[Any]]") -> "Future[Any]":
        with dask.annotate(**order.how()):
            future = task_of(order).submit(order, wait_for=[each.in_prefect for each in before])
        future.wrapped_future.in_prefect = future
        found: Future[Any] = future.wrapped_future
        return found


by_prefect = ByPrefect()


def task_of(order: Order) -> Any:  # noqa: ANN401 (Prefect's types do not know of `wrapped_future`)
    """A step as a task of Prefect's."""
    step, need = order.step, order.step.need
    return Task(
        in_task,
        name=step.group,
        task_run_name=step.name,
        tags=["dbdflow", step.group, *(kind for kind in ("gpu", "network") if step.units.get(kind))],
        retries=len(need.retries),
        retry_delay_seconds=list(need.retries),
        retry_condition_fn=is_bad_luck,
        cache_policy=NO_CACHE,
        persist_result=False,
    )


def in_task(order: Order) -> "State[Any]":
    """A step, on a worker, inside its task run; the stage's own flow run becomes a child of that."""
    context = TaskRunContext.get()
    assert context is not None
    turn, turns = context.task_run.run_count, 1 + len(order.step.need.retries)
    after = (0.0, f"turn {turn} of {turns}") if turn > 1 else None
    done = attempt(order, after, {PARENT: str(context.task_run.id)})
    if not done.again or turn == turns:
        report(order, "end", asdict(done))
    return state_of(done)


def is_bad_luck(task: "Task[..., Any]", run: TaskRun, state: "State[Any]") -> bool:
    """Whether a step that failed is worth another try."""
    return state.name == BAD_LUCK


def state_of(done: Done) -> "State[None]":
    """Prefect's word for how a stage ended."""
    if done.well:
        return Completed(message=done.status, name={"ran": "Completed"}.get(done.status, "Cached"))
    if done.again:
        return Failed(message=done.cause, name=BAD_LUCK)
    return (Cancelled if done.status == "interrupted" else Failed)(message=done.cause)
