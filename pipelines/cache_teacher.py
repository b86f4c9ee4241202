"""Stage `cache_teacher`: what the depth teacher says of every view and flip of a training image (paper, III.B)."""

import shutil
from pathlib import Path

from components import experiment, teachers
from components.data.prepared import PreparedSet
from components.params import load_params
from pipelines.stage import Stage, main


def cache_teacher(stage: Stage, *, set: str, prepared: Path, teacher: Path, out: Path) -> None:
    """Fill the cache of one set."""
    params = load_params()
    stage.params({"teacher": params.teacher.model_dump(), "departures": {"flip": params.resolved.flip}})
    device = experiment.device_of(params)
    data = teachers.cached_images(PreparedSet.load(prepared / set), device)
    weights, scratch = teacher / experiment.WEIGHTS, stage.scratch() / "cache"
    for done, total in teachers.cache_depth_teacher(params, data, weights=weights, cache=scratch, device=device):
        stage.progress(done, total, "views")
    out.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(out, ignore_errors=True)
    shutil.move(scratch, out)
    stage.metrics({"images": len(data)})


if __name__ == "__main__":
    main(cache_teacher)
