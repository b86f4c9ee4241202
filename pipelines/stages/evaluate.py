"""Stage `evaluate`: MAE, F-beta, IoU and precision-recall curves of one method on every test set (paper, IV.A)."""

from pathlib import Path

from components.common.availability import require
from components.datasets.prepared import PreparedSet
from components.maps.files import MapArchive
from components.params import load_params
from components.scoring.evaluation import SetScores, score_set, write_scores
from pipelines.harness.context import Stage
from pipelines.harness.main import main
from pipelines.harness.score_table import POLARITY, score_row, scoring_params


def evaluate(stage: Stage, *, run: str, prepared: Path, predictions: Path, out: Path) -> None:
    """Score one run's or classical method's maps."""
    require(predictions)
    params = load_params()
    decided, network = params.resolved, run not in params.baselines
    stage.params({"run": run, **scoring_params(params, "upsample", "iou", "ebd_iou_size")})
    scored: list[SetScores] = []
    for data in PreparedSet.load_all(prepared):
        small = network and data.name == "ebd" and decided.ebd_iou_size == "network"
        with MapArchive(predictions / f"{data.name}.zip") as maps:
            scored += score_set(
                maps.__getitem__,
                data,
                {name: data.split(name) for name in data.test_splits()},
                upsample=decided.upsample,
                iou_size=params.image_size if small else None,
                iou=decided.iou,
            )
    write_scores(out, scored)
    stage.table("scores", [score_row(each) for each in scored], POLARITY)
    for each in scored:
        stage.metrics({f"{each.name}/{metric}": value for metric, value in each.scores.items()})


if __name__ == "__main__":
    main(evaluate)
