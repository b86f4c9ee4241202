"""How a training is watched: its curves, and a line on the console after every epoch."""

from collections.abc import Iterable
from typing import Any

from components.models.run_files import EpochRecord
from components.params import Best1, Params, Stage1Run, Training
from components.train.experiment import run_params
from pipelines.harness.context import Stage


def watch(stage: Stage, records: Iterable[EpochRecord]) -> list[EpochRecord]:
    """Run a training to its end, reporting each epoch; all its records."""
    seen = []
    for record in records:
        seen.append(record)
        stage.metrics(record.values, step=record.epoch)
        stage.progress(record.epoch, record.epochs, f"epochs, loss {record.values['loss']:.4f}")
    return seen


def watched_params(
    params: Params,
    training: Training | Best1,
    first: Stage1Run,
    *,
    run: str,
    stage: int,
    loss: str,
    teacher: str = "none",
) -> dict[str, Any]:
    """What is watched of a run's parameters: the same names in both stages, so that any two runs can be compared.

    Args:
        params: of the experiment.
        training: of the run's stage.
        first: the run of stage 1 that decides model, backbone and training split; its loss is not stage 2's.
        run: name.
        stage: 1 or 2.
        loss: of the run.
        teacher: the run that is stage 2's defocus teacher.
    """
    known = run_params(params, training, first)
    model = {key: value for key, value in known["model"].items() if key != "loss"}
    return known | {"model": model, "run": run, "stage": stage, "loss": loss, "defocus_teacher": teacher}
