"""What a run stands on: its encoder and its recipe, from its card; a small encoder is never shown as the paper's."""

from collections.abc import Mapping
from typing import Any, Literal

from components.report.records import RunRecord
from components.scoring.paper_tables import PaperRow

Recipe = Literal["best", "paper"]

NAMES = {"mobilenetv2_100": "MobileNetV2", "resnest101e": "ResNeSt101", "vgg16": "VGG16"}
"""Encoders as people call them, by timm's name."""
PAPERS = {"d_dffnet_vgg16": "VGG16"}
"""Row of the paper -> its encoder, where that is not ResNeSt101."""
BEST = "_best"
"""What a run of our own recipe has after the name of the paper's run that it stands beside."""


def encoder_of(card: Mapping[str, Any]) -> str:
    """A run's encoder in words; empty of what has none."""
    backbone = str(card.get("backbone") or "")
    return NAMES.get(backbone, backbone)


def papers_encoder(row: PaperRow) -> str:
    """The encoder of a row of the paper; empty of other methods."""
    return PAPERS.get(row.run, "ResNeSt101") if row.kind == "model" else ""


def recipe_of(record: RunRecord) -> Recipe | None:
    """By which recipe a run was trained here: ours, whose loss no run of the paper's has; None if it was not."""
    if "loss" not in record.card:
        return None
    return "best" if record.card["loss"] == "bce&iou" else "paper"


def row_of(record: RunRecord) -> str:
    """The run of the paper's that a run stands beside."""
    return record.run.removesuffix(BEST) if recipe_of(record) == "best" else record.run


def training_of(card: Mapping[str, Any]) -> str:
    """Stage, losses, epochs and teachers of a run in words; empty of what was not trained here."""
    if "stage" not in card:
        return ""
    stage = "two stages" if str(card["stage"]).endswith("2") else "one stage"
    epochs = card.get("params", {}).get("training", {}).get("epochs")
    parts = [stage, str(card.get("loss", "")), f"{epochs} epochs" if epochs else ""]
    parts.append(f"teachers {card['teachers']}" if "teachers" in card else "")
    return " · ".join(part for part in parts if part)
