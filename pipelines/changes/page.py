"""A comparison of two revisions as one self-contained page: nothing on it is loaded from elsewhere."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from components.report import rendering as report
from components.report.curves import HISTORY_TITLES, Figure, y_range, zero_based
from components.report.records import Column, RunRecord
from components.report.svg import Line, line_chart
from pipelines.changes.compare import METRICS, Comparison
from pipelines.changes.pictures import Picture, Pictures
from pipelines.changes.text import by_row, legend, number, signed, stage_words, unmoved

SIDES = ("dashed", "solid")  # before, after
COLOURS = 10


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
    return environment.get_template("page.html.j2").render(
        comparison=comparison,
        pictures=[(each, data_uri(each)) for each in pictures.most],
        told=pictures,
        style=(report.HERE / "style.css").read_text(encoding="utf-8"),
        metrics=METRICS,
        legend=legend(comparison),
        moved=by_row(comparison, comparison.moved),
        still=by_row(comparison, unmoved(comparison)),
        curves=list(precision_recall(comparison, drawn)),
        histories=list(histories(comparison, drawn)),
        colours={run: f"s{i % COLOURS}" for i, run in enumerate(drawn)},
    )


def data_uri(picture: Picture) -> str:
    return f"data:image/png;base64,{base64.b64encode(png(picture)).decode()}"


def png(picture: Picture) -> bytes:
    """A strip as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(picture.strip).save(buffer, "png", optimize=True)
    return buffer.getvalue()


def sides(comparison: Comparison, run: str) -> Iterator[tuple[str, str, RunRecord]]:
    """A run's record before and after, with the class of its line and whose it is."""
    for snapshot, kind in zip((comparison.before, comparison.after), SIDES, strict=True):
        yield kind, snapshot.short, snapshot.records[run]


def precision_recall(comparison: Comparison, drawn: list[str]) -> Iterator[Figure]:
    """A figure a test set: every run that moved, before and after; blurred region positive."""
    tests = dict.fromkeys(test for run in drawn for test in comparison.after.records[run].curves)
    for test in tests:
        lines = [
            line(run, f"s{i % COLOURS} {kind}", whose, record.curves[test][:, 0], record.curves[test][:, 1])
            for i, run in enumerate(drawn)
            for kind, whose, record in sides(comparison, run)
            if test in record.curves
        ]
        described = f"Precision over recall on {test}: {', '.join(each.name for each in lines)}"
        labels = {"x_label": "Recall", "y_label": "Precision"}
        yield Figure(test, line_chart(lines, described=described, **labels, x_range=(0, 1), y_range=y_range(lines)))


def histories(comparison: Comparison, drawn: list[str]) -> Iterator[Figure]:
    """A figure for each column of the trainings' histories, the runs that moved, before and after."""
    for column, title in HISTORY_TITLES.items():
        lines = [
            line(run, f"s{i % COLOURS} {kind}", whose, record.history["epoch"], record.history[column])
            for i, run in enumerate(drawn)
            for kind, whose, record in sides(comparison, run)
            if column in record.history
        ]
        if lines:
            described = f"{title} over epochs: {', '.join(each.name for each in lines)}"
            chart = line_chart(lines, described=described, x_label="Epoch", y_range=zero_based(lines))
            yield Figure(title, chart)


def line(run: str, classes: str, whose: str, x: Column, y: Column) -> Line:
    return Line(run, f"{run}, {whose}", classes, x, y)
