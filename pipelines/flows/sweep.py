"""The flow `sweep`: one sweep as Prefect sees it, each stage that its points share or own a task run."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from prefect import flow
from prefect.runtime import flow_run
from prefect_dask import DaskTaskRunner

from pipelines.flows.reproduce import watched
from pipelines.flows.steps import by_prefect
from pipelines.running.sweep import Sweep
from pipelines.running.sweep_plan import axes_text
from pipelines.system import environment

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State


def named() -> str:
    """Name of a flow run: what is swept, since when."""
    return f"sweep {axes_text(flow_run.get_parameters()['axes'])} {datetime.now():%Y-%m-%d %H:%M:%S}"


@flow(name="sweep", flow_run_name=named, retries=0, persist_result=False, task_runner=DaskTaskRunner())
def sweep(axes: dict[str, list[Any]], only: list[str] | None = None, jobs: int | None = None) -> "State[None]":
    """Reproduce every combination of values; what several have in common runs once.

    Args:
        axes: key of params.yaml -> its values.
        only: stages to make, with what they depend on; by default all.
        jobs: stages at once; by default as many as cores.
    """
    return watched(lambda stop: Sweep(environment.root(), axes, only or [], print).run(jobs, stop, by_prefect))
