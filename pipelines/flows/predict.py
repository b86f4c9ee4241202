"""The flow `predict`: blur maps of a folder of photographs, for a deployment."""

from contextlib import closing
from pathlib import Path

from prefect import flow, get_run_logger
from prefect.artifacts import create_progress_artifact, create_table_artifact, update_progress_artifact

from components.common.errors import InputError
from pipelines.photographs.plan import plan_maps, without_map
from pipelines.photographs.predicting import job_of, predict_maps, resume
from pipelines.system import environment, processes


@flow(name="predict", retries=0, persist_result=False)
def predict(photos: list[str], model: str = "small", out: str = "maps", device: str = "auto") -> None:
    """Blur maps of photographs at their own size; white = in focus.

    Args:
        photos: photographs and folders of them, on the worker's machine.
        model: the weights that ship, a run of data/models, a file of weights, or a method: see `running.detectors`.
        out: folder for the maps.
        device: auto, cpu or cuda.
    """
    environment.apply()
    processes.die_with_worker()
    log = get_run_logger()
    plan = plan_maps([Path(each) for each in photos], Path(out))
    job = job_of(plan, model)
    log.info("%s", resume(plan, job) or f"{len(plan.waiting)} photographs")
    shown = create_progress_artifact(0.0, key="maps", description="photographs that have their map")
    waiting = plan.waiting
    with closing(predict_maps(plan, job, model, device)) as made:
        for number, _ in enumerate(made, 1):
            update_progress_artifact(shown, 100.0 * number / len(waiting))  # type: ignore[arg-type]
    rows = [{"photograph": str(path), "map": plan.left_out.get(path, str(plan.maps[path]))} for path in waiting]
    create_table_artifact(rows, key="maps-written", description="white = in focus")
    log.info("%d maps in %s (white = in focus)", len(plan.done), out)
    if plan.left_out:
        raise InputError(without_map(plan.left_out))
