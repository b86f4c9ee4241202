"""Stage `published`: one of the authors' checkpoints as a run, so that it is predicted and scored as ours are."""

import difflib
from pathlib import Path

from components.acquire.obtain import Inbox, obtained
from components.acquire.sources import CHECKPOINTS, Archive
from components.common import ledger
from components.common.errors import InputError
from components.common.storage import file_hash
from components.models.checkpoints import load_published
from components.models.registry import build_model
from components.models.run_files import WEIGHTS, write_run
from components.params import load_params
from pipelines.harness.context import Stage
from pipelines.harness.main import main


def published(stage: Stage, *, run: str, inbox: Path, out: Path) -> None:
    """Load one checkpoint, which `inbox` holds or gets, and keep it as a trained run is kept."""
    params = load_params()
    archive, settings = find_checkpoint(run), params.published[run]
    stage.params({"run": run, "model": settings.model_dump(), "image_size": params.image_size})
    model = build_model(settings.model, settings.backbone, backbone_kwargs=settings.backbone_options)
    with obtained(archive, run, Inbox(inbox, params.download.without, stage.progress)) as path:
        unused = load_published(path, model)
        card = {
            "run": run,
            "published": True,
            "model": settings.model,
            "backbone": settings.backbone,
            "weights": {"file": path.name, "sha256": file_hash(path), "unused_tensors": len(unused)},
            "params": {"image_size": params.image_size, "published": settings.model_dump()},
        }
        card |= ledger.stand_in(inbox, run, path.name, file_hash(path))
    write_run(out, model, [], card)
    stage.model(out / WEIGHTS, name=run)


def find_checkpoint(run: str) -> Archive:
    """The published checkpoint called `run`.

    Raises:
        InputError: no such checkpoint; names the nearest one.
    """
    if run not in CHECKPOINTS:
        near = difflib.get_close_matches(run, CHECKPOINTS, n=1, cutoff=0.0)[0]
        raise InputError(
            f"params.yaml: published.{run}: no published checkpoint of this name; did you mean {near!r}? "
            f"(known: {', '.join(CHECKPOINTS)})"
        )
    return CHECKPOINTS[run]


if __name__ == "__main__":
    main(published)
