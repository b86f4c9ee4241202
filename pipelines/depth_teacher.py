"""Stage `depth_teacher`: MiDaS v2.1's published weights; in the miniature, a small net trained on rendered depth."""

from pathlib import Path
from typing import Any

from components import experiment
from components.data.obtain import Inbox, obtained
from components.data.prepared import PreparedSet
from components.data.sources import MIDAS
from components.models.network import Network
from components.objectives import DepthFromRendering
from components.params import Params, load_params
from components.runtime import Device
from components.storage import file_hash
from components.training import EpochRecord, fit
from pipelines.epochs import watch
from pipelines.stage import Stage, main


def depth_teacher(stage: Stage, *, prepared: Path, inbox: Path, out: Path) -> None:
    """Make the depth teacher's weights; `inbox` holds or gets the published ones, `prepared` has the rendered depth."""
    params = load_params()
    stage.params({"runtime": params.runtime.model_dump(), "depth_teacher": params.depth_teacher.model_dump()})
    device = experiment.device_of(params)
    card: dict[str, Any] = {"run": "depth_teacher", "params": params.depth_teacher.model_dump()}
    if params.depth_teacher.source == "midas_v21":
        with obtained(MIDAS, MIDAS.name, Inbox(inbox, params.download.without, stage.progress)) as weights:
            model = experiment.new_depth_model(params.depth_teacher, device, weights)
            card["weights"] = {"file": weights.name, "sha256": file_hash(weights), "stated": MIDAS.sha256_start}
        experiment.write_run(out, model, [], card)
    else:
        model = experiment.new_depth_model(params.depth_teacher, device, None)
        experiment.write_run(out, model, train(stage, params, model, prepared, device), card)
    stage.model(out / experiment.WEIGHTS, name="depth_teacher")


def train(stage: Stage, params: Params, model: Network, prepared: Path, device: Device) -> list[EpochRecord]:
    """Train the depth teacher of the miniature."""
    data = experiment.depth_training_set(PreparedSet.load(prepared), device)
    schedule = experiment.depth_schedule(params.depth_teacher)
    checkpoint = stage.scratch() / "checkpoint.pt"
    return watch(stage, fit(model, DepthFromRendering(), data, schedule, device=device, checkpoint=checkpoint))


if __name__ == "__main__":
    main(depth_teacher)
