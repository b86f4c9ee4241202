"""Stage `distill_stage2`: depth feature distillation from two frozen teachers (paper, III.B, equations 3 and 8)."""

from pathlib import Path

from components.models.checkpoints import load_weights
from components.models.run_files import WEIGHTS, write_run
from components.models.runtime import set_up
from components.params import load_params
from components.train import experiment, teachers
from components.train.training import fit
from pipelines.harness.context import Stage
from pipelines.harness.epochs import watch, watched_params
from pipelines.harness.main import main


def distill_stage2(
    stage: Stage, *, run: str, prepared: Path, models: Path, teacher: Path, cache: Path, inbox: Path, out: Path
) -> None:
    """Distil one run; its defocus teacher lies in `models`, the depth teacher in `teacher`, its features in `cache`.

    `inbox` may hold ImageNet weights for the student.
    """
    params = load_params()
    settings = params.stage2_runs[run]
    first, best = params.stage1_runs[settings.teacher], settings.training == "best2"
    if best:  # a crop is another in every epoch, so that there is nothing to cache
        params = params.with_teachers_online()
    training = params.best2 if best else params.stage2
    stage.params(
        watched_params(params, training, first, run=run, stage=2, loss=settings.loss, teacher=settings.teacher)
    )
    device = set_up(**params.runtime.model_dump())
    data = experiment.training_set(first.train, prepared, device, large=best)
    stage.dataset(name=first.train, digest=data.digest(), images=len(data), source=prepared)
    weights, scratch = models / settings.teacher / WEIGHTS, stage.scratch() / "defocus_teacher"
    depth = teachers.depth_teacher_of(
        params, data, weights=teacher / WEIGHTS, cache=cache, names=teachers.LEVELS, device=device
    )
    places = {"weights": weights, "cache": scratch}
    for done, total in teachers.cache_defocus_teacher(params, data, **places, device=device, most=depth.views):
        stage.progress(done, total, "images seen by the defocus teacher")
    defocus = teachers.defocus_teacher_of(params, data, **places, device=device)
    student = experiment.new_model(params, run, first, device, inbox)
    if best:
        load_weights(weights, student)
    objective = experiment.stage2_objective(params, settings, student, {"defocus": defocus, "depth": depth})
    course = experiment.course_of(params, run, settings, views=min(defocus.views, depth.views))
    checkpoint = stage.scratch() / "checkpoint.pt"
    records = watch(stage, fit(student, objective, data, course, device=device, checkpoint=checkpoint))
    facts = {"loss": settings.loss, "teacher": settings.teacher, **teachers.seen_by(defocus, depth)}
    card = experiment.run_card(params, run, 2, first, training, **facts)
    card |= experiment.origin(first.pretrained, first.backbone, inbox)
    write_run(out, student, records, card)
    stage.model(out / WEIGHTS, name=run, experiment=params.name, train=first.train)


if __name__ == "__main__":
    main(distill_stage2)
