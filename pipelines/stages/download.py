"""Stage `download`: a data set in its archive's own layout and polarity, or the miniature's rendered stand-in."""

from pathlib import Path

from components.acquire.download import fetch_set
from components.acquire.obtain import Inbox
from components.params import load_params
from components.render.miniature import RenderSettings, render_set
from pipelines.harness.context import Stage
from pipelines.harness.main import main


def download(stage: Stage, *, set: str, inbox: Path, out: Path) -> None:
    """Fetch or render one set into `out`."""
    settings = load_params().download
    stage.params({"download": settings.model_dump()})
    if settings.source == "rendered":
        render_set(set, out, RenderSettings(**settings.render.model_dump()))
    else:
        fetch_set(set, out, Inbox(inbox, settings.without, stage.progress))


if __name__ == "__main__":
    main(download)
