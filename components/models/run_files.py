"""The folder of a trained run: its weights, its card, its history."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.common.storage import atomic_dir, write_json
from components.models.checkpoints import save_model
from components.models.network import Network

WEIGHTS = "model.safetensors"
CARD = "card.json"
HISTORY = "history.csv"


@dataclass(frozen=True)
class EpochRecord:
    """What one epoch came to.

    Attributes:
        epoch: from 1.
        epochs: how many are run.
        values: mean over the epoch's steps of the loss and its parts, and the epoch's learning rate.
    """

    epoch: int
    epochs: int
    values: dict[str, float]


def write_run(out: Path, model: Network, records: Sequence[EpochRecord], card: dict[str, Any]) -> None:
    """Write a trained run, whole or not at all: its weights, its history, its card."""
    with atomic_dir(out) as folder:
        save_model(folder / WEIGHTS, model, {"run": str(card["run"])})
        write_json(folder / CARD, card)
        with (folder / HISTORY).open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["epoch", *(records[0].values if records else [])])
            writer.writerows([record.epoch, *(repr(value) for value in record.values.values())] for record in records)
