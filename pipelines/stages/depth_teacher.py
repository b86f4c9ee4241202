"""Stage `depth_teacher`: MiDaS v2.1's published weights, or a net of its architecture trained on the depth at hand."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from components.acquire.obtain import Inbox, obtained
from components.acquire.sources import MIDAS
from components.common import ledger
from components.common.storage import atomic_path, file_hash
from components.datasets.prepared import PreparedSet
from components.models.network import Network
from components.models.run_files import WEIGHTS, EpochRecord, write_run
from components.models.runtime import Device, set_up
from components.params import Params, load_params
from components.train import depth_validation, experiment
from components.train.objectives import RelativeDepth
from components.train.training import fit
from pipelines.harness.context import Stage
from pipelines.harness.epochs import watch
from pipelines.harness.main import main

SHEET = "sheet.png"


def depth_teacher(stage: Stage, *, prepared: Path, inbox: Path, out: Path) -> None:
    """Make the depth teacher's weights; `inbox` holds or gets published ones, `prepared` has depth to train on."""
    params = load_params()
    settings = params.depth_teacher
    stage.params({"runtime": params.runtime.model_dump(), "depth_teacher": settings.model_dump()})
    device = set_up(**params.runtime.model_dump())
    card: dict[str, Any] = {"run": "depth_teacher", "params": settings.model_dump()}
    if settings.source == "midas_v21":
        with obtained(MIDAS, MIDAS.name, Inbox(inbox, params.download.without, stage.progress)) as weights:
            model = experiment.new_depth_model(settings, device, weights, inbox)
            card["weights"] = {"file": weights.name, "sha256": file_hash(weights), "stated": MIDAS.sha256_start}
            card |= ledger.stand_in(inbox, MIDAS.name, weights.name, card["weights"]["sha256"])
        write_run(out, model, [], card)
    else:
        card |= experiment.origin(settings.pretrained, settings.backbone, inbox)
        model = experiment.new_depth_model(settings, device, None, inbox)
        data = PreparedSet.load(prepared)
        records = train(stage, params, model, data, device)
        found, pixels = validate(params, model, data, device)
        stage.metrics(found, step=len(records))
        write_run(out, model, records, card | found)
        stage.image("validation", pixels)
        with atomic_path(out / SHEET) as temporary:
            Image.fromarray(pixels).save(temporary, "png")
    stage.model(out / WEIGHTS, name="depth_teacher")


def train(stage: Stage, params: Params, model: Network, prepared: PreparedSet, device: Device) -> list[EpochRecord]:
    """Train the depth teacher on CUHK-TR-1-FIT."""
    data = experiment.depth_training_set(prepared, "CUHK-TR-1-FIT", device)
    schedule = experiment.depth_schedule(params.depth_teacher)
    checkpoint = stage.scratch() / "checkpoint.pt"
    return watch(stage, fit(model, RelativeDepth(), data, schedule, device=device, checkpoint=checkpoint))


def validate(
    params: Params, model: Network, prepared: PreparedSet, device: Device
) -> tuple[dict[str, float], NDArray[np.uint8]]:
    """Its errors on CUHK-TR-1-VAL, and a sheet of pictures."""
    data = experiment.depth_training_set(prepared, "CUHK-TR-1-VAL", device)
    predicted = depth_validation.predictions(model, data.images, params.depth_teacher.batch_size)
    return depth_validation.errors(predicted, data.labels[:, 0].cpu()), depth_validation.sheet(data, predicted)


if __name__ == "__main__":
    main(depth_teacher)
