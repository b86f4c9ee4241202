"""Stage `cache_teacher`: what the depth teacher says of every view and flip of a training image (paper, III.B)."""

import shutil
from pathlib import Path

from components.datasets.prepared import PreparedSet
from components.models.run_files import WEIGHTS
from components.models.runtime import set_up
from components.params import load_params
from components.train import teachers
from pipelines.harness.context import Stage
from pipelines.harness.main import main


def cache_teacher(stage: Stage, *, set: str, prepared: Path, teacher: Path, out: Path) -> None:
    """Fill the cache of one set."""
    params = load_params()
    stage.params({"teacher": params.teacher.model_dump(), "departures": {"flip": params.resolved.flip}})
    device = set_up(**params.runtime.model_dump())
    data = teachers.cached_images(PreparedSet.load(prepared / set), device)
    weights, scratch = teacher / WEIGHTS, stage.scratch() / "cache"
    for done, total in teachers.cache_depth_teacher(params, data, weights=weights, cache=scratch, device=device):
        stage.progress(done, total, "views")
    out.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(out, ignore_errors=True)
    shutil.move(scratch, out)
    stage.metrics({"images": len(data)})


if __name__ == "__main__":
    main(cache_teacher)
