"""Stage `prepare`: labels made canonical (1 = in focus), images at network size, an index with splits."""

import logging
from pathlib import Path

from components.datasets.prepared import PreparedSet
from components.params import load_params
from components.prepare.build import prepare_set
from pipelines.harness.context import Stage
from pipelines.harness.main import main

log = logging.getLogger(__name__)


def prepare(stage: Stage, *, set: str, raw: Path, out: Path) -> None:
    """Prepare one set from its raw folder."""
    params = load_params()
    stage.params({"image_size": params.image_size, "prepare": params.prepare.model_dump()})
    read_as = prepare_set(
        set,
        raw,
        out,
        image_size=params.image_size,
        large_size=params.prepare.large_size,
        partial=params.prepare.partial,
        progress=stage.progress,
    )
    for reading, count in read_as.items():
        log.info("%d labels: %s", count, reading)
    stage.artifact(out / "validation.json")
    rows = PreparedSet.load(out).rows
    stage.metrics({"images": sum(bool(row.image) for row in rows), "labels": len(rows)})


if __name__ == "__main__":
    main(prepare)
