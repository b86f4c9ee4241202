"""Stage `predict`: a run's maps of every photograph of every test set, half floats, 1 = in focus, at network size."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.common.storage import atomic_dir, read_json
from components.datasets.prepared import PreparedSet
from components.maps.files import grey, write_maps
from components.maps.inference import by_best, predict_maps
from components.models.checkpoints import load_model
from components.models.run_files import CARD, WEIGHTS
from components.models.runtime import set_up, to_be_asked
from components.params import load_params
from pipelines.harness.context import Stage
from pipelines.harness.main import main


def predict(stage: Stage, *, run: str, prepared: Path, models: Path, out: Path) -> None:
    """Predict the test sets of every prepared set."""
    params = load_params()
    stage.params({"run": run, "image_size": params.image_size, "runtime": params.runtime.model_dump()})
    device = set_up(**params.runtime.model_dump())
    model = load_model(models / run / WEIGHTS).to(device.device).eval()
    if device.device.type == "cuda":  # on a CPU, maps that are scored keep their bits
        model = to_be_asked(model)
    best = by_best(read_json(models / run / CARD))
    sets = PreparedSet.load_all(prepared)
    total, done = sum(len(each.test_rows()) for each in sets), 0
    with atomic_dir(out) as folder:
        for each in sets:
            rows = each.test_rows()
            maps: list[NDArray[np.float16]] = []
            images = each.images[rows]
            found = predict_maps(model, images, batch_size=params.predict.batch_size, device=device.device, best=best)
            for batch in found:
                maps.extend(batch)
                done += len(batch)
                stage.progress(done, total, "images")
            write_maps(folder / f"{each.name}.zip", zip((each.ids[row] for row in rows), maps, strict=True))
            beside = each.labels[rows[0]] * 255, grey(maps[0])
            example = [images[0], *(np.repeat(picture[..., None], 3, -1) for picture in beside)]
            stage.image(f"maps/{each.name}", np.hstack(example).astype(np.uint8))
    stage.metrics({"images": total})


if __name__ == "__main__":
    main(predict)
