"""Scores as people read them: the row of one test set, and what is watched of what decides them."""

from typing import Any

from components.params import Params
from components.scoring.evaluation import SetScores

COLUMNS = {"mae": "MAE", "f_beta": "F-beta", "f_beta_published": "F-beta published", "iou": "IoU"}
POLARITY = "blurred = positive (F-beta, IoU); MAE: lower is better"


def score_row(scores: SetScores) -> dict[str, str | float]:
    """The paper's three measures of one test set, F-beta by both rules."""
    return {"test set": scores.name} | {title: round(scores.scores[key], 4) for key, title in COLUMNS.items()}


def scoring_params(params: Params, *points: str) -> dict[str, Any]:
    """What is watched of the parameters that decide a score; `points` are the departures among them."""
    chosen = {point: getattr(params.resolved, point) for point in points}
    return {"recipe": params.recipe, "image_size": params.image_size, "departures": chosen}
