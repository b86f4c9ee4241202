"""Stage `external`: published maps of any method, scored on the prepared labels by the same rules as ours."""

from itertools import count
from pathlib import Path

from components.params import load_params
from components.scoring.external_maps import FoundMaps
from components.scoring.external_methods import find_methods
from components.scoring.external_scores import found_or_gap, scored_or_gap, write_external
from components.scoring.paper_tables import paper_tables
from pipelines.harness.context import Stage
from pipelines.harness.main import main
from pipelines.harness.score_table import POLARITY, score_row, scoring_params


def external(stage: Stage, *, external: Path, prepared: Path, out: Path) -> None:
    """Score every folder of maps below `external`; what cannot be scored is said, and the others go on."""
    params = load_params()
    decided = params.resolved
    stage.params(scoring_params(params, "iou", "ebd_iou_size"))
    rows = {row.run: row.kind for table in paper_tables() for row in table.rows}
    size = params.image_size if decided.ebd_iou_size == "network" else None
    methods = find_methods(external, list(rows))
    found = [found_or_gap(method, test_set, prepared) for method in methods for test_set in method.folders]
    total = sum(len(each.rows) for each in found if isinstance(each, FoundMaps))
    done = count(1)
    results = [
        scored_or_gap(
            each,
            iou_size=size if rows[each.method.row] == "model" else None,
            iou=decided.iou,
            seen=lambda: stage.progress(next(done), total, "maps"),
        )
        if isinstance(each, FoundMaps)
        else each
        for each in found
    ]
    write_external(out, methods, results)
    table = [{"method": result.method.id, **score_row(scores)} for result in results for scores in result.scores]
    stage.table("scores", table, f"published maps; {POLARITY}")
    for result in results:
        for scores in result.scores:
            stage.metrics({f"{result.method.id}/{scores.name}/{key}": value for key, value in scores.scores.items()})


if __name__ == "__main__":
    main(external)
