"""Scores as people read them: the row of one test set."""

from components.evaluation import SetScores

COLUMNS = {"mae": "MAE", "f_beta": "F-beta", "iou": "IoU"}
POLARITY = "blurred = positive (F-beta, IoU); MAE: lower is better"


def score_row(scores: SetScores) -> dict[str, str | float]:
    """The paper's three measures of one test set."""
    return {"test set": scores.name} | {title: round(scores.scores[key], 4) for key, title in COLUMNS.items()}
