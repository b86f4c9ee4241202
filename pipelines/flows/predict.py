"""The flow `predict`: blur maps of a folder of photographs, for a deployment."""

from pathlib import Path

from prefect import flow, get_run_logger
from prefect.artifacts import create_progress_artifact, create_table_artifact, update_progress_artifact

from components.common.errors import InputError
from pipelines.running.photographs import plan_maps, predict_maps, without_map
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
    shown = create_progress_artifact(0.0, key="maps", description="photographs that have their map")
    rows = []
    for photograph in predict_maps(plan, model, device):
        rows.append({"photograph": str(photograph), "map": plan.left_out.get(photograph, str(plan.maps[photograph]))})
        update_progress_artifact(shown, 100.0 * len(rows) / len(plan.maps))  # type: ignore[arg-type]
    create_table_artifact(rows, key="maps-written", description="white = in focus")
    log.info("%d maps in %s (white = in focus)", len(plan.done), out)
    if plan.left_out:
        raise InputError(without_map(plan.left_out))
