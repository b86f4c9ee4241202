"""What a recipe decides: the paper's, or the published code's, at every point where the two depart.

The schema (`components.params`) says what may be chosen; this says what a choice comes to, so stages depend on it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Recipe = Literal["paper", "published_code"]
TrainingSplit = Literal["CUHK-TR-1", "CUHK-TR-1-FIT", "CUHK-TR-1 & DUT-TR", "CUHK-TR-2 & DUT-TR"]


@dataclass(frozen=True)
class Resolved:
    """The departures with every `recipe` replaced by what the recipe says."""

    flip: Literal["vertical", "horizontal"]
    edge_reduction: Literal["mean", "sum"]
    stage2_final_weight: float
    distill_weight: Recipe
    epochs: Recipe
    poly: Recipe
    teacher_batchnorm: Literal["eval", "batch"]
    teacher_mode: Literal["cached", "online", "by_device"]
    """by_device: online on a GPU, cached on a CPU; a run's card says which it was."""
    precision: Literal["float32", "bfloat16"]
    jitter: str
    """Strengths of colour jitter: of both stages, or of stage 1 and of stage 2."""
    gradient_clip: float
    depth_outputs: Literal["final_and_sides", "sides"]
    upsample: Literal["nearest", "bilinear"]
    iou: Literal["pooled", "per_image"]
    ebd_iou_size: Literal["network", "full"]
    f_beta: Recipe


_SILENT = {"gradient_clip": 0.5, "upsample": "nearest", "iou": "pooled", "ebd_iou_size": "network"}
RECIPES: dict[Recipe, dict[str, Any]] = {
    "paper": {
        "flip": "vertical",
        "edge_reduction": "mean",
        "stage2_final_weight": 1.0,
        "distill_weight": "paper",
        "epochs": "paper",
        "poly": "paper",
        "teacher_batchnorm": "eval",
        "teacher_mode": "by_device",
        "depth_outputs": "final_and_sides",
        "f_beta": "paper",
        **_SILENT,
    },
    "published_code": {
        "flip": "horizontal",
        "edge_reduction": "sum",
        "stage2_final_weight": 1.1,
        "distill_weight": "published_code",
        "epochs": "published_code",
        "poly": "published_code",
        "teacher_batchnorm": "batch",
        "teacher_mode": "online",
        "depth_outputs": "sides",
        "f_beta": "published_code",
        **_SILENT,
    },
}


def resolve(
    recipe: Recipe,
    chosen: Mapping[str, Any],
    *,
    precision: Literal["float32", "bfloat16"],
    jitter: Sequence[tuple[float, float, float]],
) -> Resolved:
    """The departures, decided: `chosen` has one value each, or `recipe`; `jitter` is brightness, contrast, saturation.

    The strengths of both stages' jitter are told once where they are the same.
    """
    decided = {point: RECIPES[recipe][point] if value == "recipe" else value for point, value in chosen.items()}
    strengths = dict.fromkeys(", ".join(map(str, each)) for each in jitter)
    return Resolved(**decided, precision=precision, jitter=f"{' and '.join(strengths)}, in shuffled order")


def training_splits(train: TrainingSplit) -> list[tuple[str, str]]:
    """The (set, split) pairs of a training split: "CUHK-TR-1 & DUT-TR" -> cuhk/CUHK-TR-1, dut/DUT-TR."""
    return [(split.split("-")[0].lower(), split) for split in train.split(" & ")]
