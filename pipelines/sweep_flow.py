"""The flow `sweep`: one sweep as Prefect sees it, each stage that its points share or own a task run."""

from typing import TYPE_CHECKING, Any

from prefect import flow

from pipelines import environment
from pipelines.reproduce import as_task, watched
from pipelines.sweeps import Sweep

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State


@flow(name="sweep", persist_result=False, retries=0)
def sweep(axes: dict[str, list[Any]], only: list[str] | None = None, jobs: int | None = None) -> "State[None]":
    """Reproduce every combination of values; what several have in common runs once.

    Args:
        axes: key of params.yaml -> its values.
        only: stages to make, with what they depend on; by default all.
        jobs: stages at once; by default as many as cores.
    """
    return watched(lambda stop: Sweep(environment.root(), axes, only or [], print).run(jobs, stop, as_task))
