"""Stage `depth_teacher`: MiDaS v2.1's published weights; in the miniature, a small net trained on rendered depth."""

from pathlib import Path

from components import experiment
from components.data.prepared import PreparedSet
from components.objectives import DepthFromRendering
from components.params import load_params
from components.training import EpochRecord, fit
from pipelines.epochs import watch
from pipelines.stage import Stage, main


def depth_teacher(stage: Stage, *, prepared: Path, out: Path) -> None:
    """Make the depth teacher's weights."""
    params = load_params()
    stage.params({"runtime": params.runtime.model_dump(), "depth_teacher": params.depth_teacher.model_dump()})
    device = experiment.device_of(params)
    model = experiment.new_depth_model(params.depth_teacher, device)
    records: list[EpochRecord] = []
    if params.depth_teacher.source == "trained":
        data = experiment.depth_training_set(PreparedSet.load(prepared), device)
        schedule = experiment.depth_schedule(params.depth_teacher)
        checkpoint = stage.scratch() / "checkpoint.pt"
        records = watch(stage, fit(model, DepthFromRendering(), data, schedule, device=device, checkpoint=checkpoint))
    card = {"run": "depth_teacher", "params": params.depth_teacher.model_dump()}
    experiment.write_run(out, model, records, card)
    stage.model(out / experiment.WEIGHTS, name="depth_teacher")


if __name__ == "__main__":
    main(depth_teacher)
