"""The flow `watch`: follows a branch and reproduces each commit that reruns a stage; on a schedule, or on an event."""

import logging
from datetime import datetime

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed, Failed
from prefect_dask import DaskTaskRunner

from components.common.errors import InputError
from pipelines.flows.reproduce import in_flow_run, table
from pipelines.flows.steps import by_prefect
from pipelines.running.watching import Branch, Follower, Seen

log = logging.getLogger(__name__)


def named() -> str:
    """Name of a flow run: what is followed, when."""
    asked = flow_run.get_parameters()
    return f"watch {asked.get('remote')}/{asked.get('branch')} {datetime.now():%Y-%m-%d %H:%M:%S}"


@flow(name="watch", flow_run_name=named, retries=0, persist_result=False, task_runner=DaskTaskRunner())
def watch(
    remote: str = "origin",
    branch: str = "main",
    only: list[str] | None = None,
    jobs: int | None = None,
    again: bool = False,
) -> "State[None]":
    """Fetch a branch; reproduce where it is now if that reruns a stage. The workspace and its branches stay.

    Args:
        remote: a remote of this repository, an address, or `.` for this repository itself.
        branch: its branch.
        only: stages to make, with what they depend on; by default all.
        jobs: stages at once; by default as many as cores.
        again: reproduce the commit though it was looked at before.
    """
    found = list[Seen]()
    follower = Follower(Branch(remote, branch), tuple(only or ()), jobs, by_prefect, said)
    with in_flow_run() as stop:
        try:
            for seen, summary in follower.follow(stop, again=again):
                found.append(seen)
                shown = table(summary) if summary else seen.message
                create_markdown_artifact(
                    f"{seen.commit[:10]} {seen.subject}\n\n{shown}", key="commit", description=f"{remote}/{branch}"
                )
        except InputError as error:
            return Failed(message=str(error))
    return ended(found, f"{remote}/{branch}")


def said(line: str) -> None:
    """To the console, and to Prefect's logs."""
    print(line)
    log.info("%s", line)


def ended(found: list[Seen], branch: str) -> "State[None]":
    """Prefect's word for what was seen: the last commit's."""
    if not found:
        return Completed(message=f"{branch} is where it was", name="Nothing new")
    last = found[-1]
    message = f"{last.commit[:10]} {last.subject}: {last.message}"
    kind = {"FAILED": Failed, "KILLED": Cancelled}.get(last.status, Completed)
    return kind(message=message)
