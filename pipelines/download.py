"""Stage `download`: a data set in its archive's own layout and polarity, or the miniature's rendered stand-in."""

from pathlib import Path

from components.data.download import download_set
from components.data.miniature import RenderSettings
from components.params import load_params
from pipelines.stage import Stage, main


def download(stage: Stage, *, set: str, out: Path) -> None:
    """Fetch or render one set into `out`."""
    params = load_params()
    stage.params({"download": params.download.model_dump()})
    settings = RenderSettings(**params.download.render.model_dump())
    download_set(set, out, source=params.download.source, archives=Path(params.download.archives), settings=settings)


if __name__ == "__main__":
    main(download)
