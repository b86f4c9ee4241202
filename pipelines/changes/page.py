"""A comparison of two revisions as one self-contained page: nothing on it is loaded from elsewhere."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from components.report import rendering as report
from components.report.charts import Drawn
from components.report.curves import COLOURS, histories, precision_recall
from components.report.measured_text import signed
from pipelines.changes.compare import METRICS, Comparison
from pipelines.changes.pictures import Picture, Pictures
from pipelines.changes.text import by_row, legend, number, stage_words, unmoved


def render(comparison: Comparison, pictures: Pictures) -> str:
    """The page."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {"number": number, "signed": signed, "stage_words": stage_words, "codes": report.codes}
    drawn = [run for run in comparison.moved if run in comparison.before.records and run in comparison.after.records]
    every = sides(comparison, drawn)
    tests = dict.fromkeys(test for run in drawn for test in comparison.after.records[run].curves)
    return environment.get_template("page.html.j2").render(
        comparison=comparison,
        pictures=[(each, data_uri(each)) for each in pictures.most],
        found=pictures,
        style=(report.HERE / "style.css").read_text(encoding="utf-8"),
        metrics=METRICS,
        legend=legend(comparison),
        moved=by_row(comparison, comparison.moved),
        still=by_row(comparison, unmoved(comparison)),
        curves=precision_recall(every, list(tests)),
        histories=histories(every),
        colours={run: f"s{i % COLOURS}" for i, run in enumerate(drawn)},
    )


def data_uri(picture: Picture) -> str:
    return f"data:image/png;base64,{base64.b64encode(png(picture)).decode()}"


def png(picture: Picture) -> bytes:
    """A strip as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(picture.strip).save(buffer, "png", optimize=True)
    return buffer.getvalue()


def sides(comparison: Comparison, runs: Sequence[str]) -> list[Drawn]:
    """The runs' records before, dashed, and after, solid."""
    return [
        Drawn(side.records[run], f"{run}, {side.short}", f"s{i % COLOURS} {line}")
        for i, run in enumerate(runs)
        for side, line in ((comparison.before, "dashed"), (comparison.after, "solid"))
    ]
