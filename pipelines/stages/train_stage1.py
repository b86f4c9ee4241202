"""Stage `train_stage1`: a defocus blur detector from labels, the defocus teacher of stage 2 (paper, III.B).

`train_stage1_depth` is the same stage for R-DFFNet, whose targets include the depth teacher's depth (appendix B.C).
"""

from pathlib import Path

from components.models.run_files import WEIGHTS, write_run
from components.models.runtime import set_up
from components.params import load_params
from components.train import experiment, teachers
from components.train.training import fit
from pipelines.harness.context import Stage
from pipelines.harness.epochs import watch, watched_params
from pipelines.harness.main import main


def train_stage1(
    stage: Stage,
    *,
    run: str,
    prepared: Path,
    inbox: Path,
    out: Path,
    teacher: Path | None = None,
    cache: Path | None = None,
) -> None:
    """Train one run; `inbox` may hold ImageNet weights, `teacher` and `cache` are the depth teacher's, for R-DFFNet."""
    params = load_params()
    settings = params.first_runs[run]
    best = settings.training == "best1"
    training = params.best1 if best else params.stage1
    stage.params(watched_params(params, training, settings, run=run, stage=1, loss=settings.loss))
    device = set_up(**params.runtime.model_dump())
    data = experiment.training_set(settings.train, prepared, device, large=best)
    stage.dataset(name=settings.train, digest=data.digest(), images=len(data), source=prepared)
    model = experiment.new_model(params, run, settings, device, inbox)
    depth = None
    if teacher is not None and cache is not None:
        weights = teacher / WEIGHTS
        depth = teachers.depth_teacher_of(
            params, data, weights=weights, cache=cache, names=teachers.DEPTH, device=device
        )
    objective = experiment.stage1_objective(params, settings, depth)
    course = experiment.course_of(params, run, settings, views=depth.views if depth else 0)
    checkpoint = stage.scratch() / "checkpoint.pt"
    records = watch(stage, fit(model, objective, data, course, device=device, checkpoint=checkpoint))
    card = experiment.run_card(params, run, 1, settings, training, **teachers.seen_by(depth))
    card |= experiment.origin(settings.pretrained, settings.backbone, inbox)
    write_run(out, model, records, card)
    stage.model(out / WEIGHTS, name=run, experiment=params.name, train=settings.train)


if __name__ == "__main__":
    main(train_stage1)
