"""How a training is watched: its curves, and a line on the console after every epoch."""

from collections.abc import Iterable

from components.training import EpochRecord
from pipelines.stage import Stage


def watch(stage: Stage, records: Iterable[EpochRecord]) -> list[EpochRecord]:
    """Run a training to its end, reporting each epoch; all its records."""
    seen = []
    for record in records:
        seen.append(record)
        stage.metrics(record.values, step=record.epoch)
        stage.progress(record.epoch, record.epochs, f"epochs, loss {record.values['loss']:.4f}")
    return seen
