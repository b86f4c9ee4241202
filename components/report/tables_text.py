"""The tables as CSV and as Markdown, and how a number is written."""

from collections.abc import Sequence

import pandas as pd

from components.report.encoders import BEST
from components.report.tables import SYMBOL, Cell, Line, Row, Source, Table
from components.scoring.paper_tables import METRICS

WHOSE: dict[Source, str] = {
    "ours": "ours",
    "authors_weights": "authors’ weights",
    "published_maps": "published maps",
}
COLUMNS = (
    *("table", "row", "method", "stage1_loss", "stage2_loss", "train", "run", "source", "test_set", "metric"),
    *("paper", "value", "deviation", "seeds", "difference", "within_tolerance", "images", "not_run"),
)


def whose(line: Line) -> str:
    """Whose numbers a line holds; of ours, those of our own recipe are told from those of the paper's."""
    return "ours, recipe best" if line.source == "ours" and line.run.endswith(BEST) else WHOSE[line.source]


def show(value: float | None) -> str:
    """A score as the paper prints it; an en dash where there is none."""
    return "–" if value is None else f"{value:.3f}"


def show_difference(value: float | None) -> str:
    """A signed difference to three decimals; an en dash where there is none."""
    if value is None:
        return "–"
    text = f"{value:+.3f}".replace("-", "−")
    return "0.000" if text[1:] == "0.000" else text


def expected_source(row: Row) -> Source:
    """Whose numbers a row waits for."""
    return "ours" if row.paper.kind in ("model", "baseline") else "published_maps"


def empty_line(row: Row) -> Line:
    """The paper's values of a row with nothing beside them."""
    cells = tuple(Cell(key, paper, None) for key, paper in row.paper.values.items())
    return Line(expected_source(row), row.paper.run, row.paper.method, cells)


def csv_lines(table: Table) -> list[list[object]]:
    """One line a number; what a row waits for is there without a value."""
    lines = []
    for row in table.rows:
        paper = row.paper
        facts = [table.number, paper.number, paper.method, paper.stage1_loss, paper.stage2_loss, paper.train]
        for line in (*([empty_line(row)] if row.absent else []), *row.lines):
            for cell in line.cells:
                values = [cell.paper, cell.value, *(cell.spread or (None, None)), cell.difference, cell.within]
                count = f"{cell.count[0]} of {cell.count[1]}" if cell.count else ""
                absent = row.absent if cell.value is None else ""
                lines.append([*facts, line.run, line.source, *cell.key, *values, count, absent])
    return lines


def as_csv(tables: Sequence[Table]) -> str:
    """All tables as CSV, scores at full precision.

    `images`: scored and published, where some are missing. `deviation`: over so many `seeds`, where there are several.
    """
    lines = [line for table in tables for line in csv_lines(table)]
    return str(pd.DataFrame(lines, columns=COLUMNS, dtype=object).to_csv(index=False, lineterminator="\n"))


def markdown_cell(cell: Cell) -> str:
    """`paper / value (difference)`, the value in bold where it is the best; the MAE also says if images are missing."""
    if cell.value is None:
        return show(cell.paper)
    value = f"**{show(cell.value)}**" if cell.best else show(cell.value)
    value += f" ± {show(cell.spread.deviation)}" if cell.spread else ""
    mark = {True: " ✓", False: " ✗", None: ""}[cell.within]
    remarks = [] if cell.difference is None else [f"{show_difference(cell.difference)}{mark}"]
    remarks += [f"{cell.count[0]} of {cell.count[1]} images"] if cell.count and cell.key[1] == METRICS[0] else []
    both = value if cell.paper is None else f"{show(cell.paper)} / {value}"
    return f"{both} ({', '.join(remarks)})" if remarks else both


def markdown_rows(row: Row) -> list[str]:
    """A row of the paper: a line for each source that fills it, or one that says why none does."""
    paper = row.paper
    losses = f"{paper.stage1_loss}, {paper.stage2_loss}" if paper.stage1_loss else ""
    named = [(f"`{line.run}`", line) for line in row.lines] or [(f"not run: {row.absent}", empty_line(row))]
    return [
        " | ".join([paper.method, losses, whose(line), run, *(markdown_cell(cell) for cell in line.cells)])
        for run, line in named
    ]


def markdown_table(table: Table) -> str:
    """One table in GitHub's Markdown."""
    title = f"## {table.caption}" if table.number == "runs" else f"## Table {table.number}. {table.caption}"
    header = ["Method", "Losses", "Source", "Run"]
    header += [f"{test_set} {SYMBOL[metric]}" for test_set, metric in table.columns]
    lines = [" | ".join(header), " | ".join("---" for _ in header)]
    lines += [text for row in table.rows for text in markdown_rows(row)]
    return "\n".join([title, "", *(f"| {line} |" for line in lines)]) + "\n"


def as_markdown(tables: Sequence[Table], preface: str) -> str:
    """All tables as Markdown under `preface`."""
    note = "Each cell: paper / score (difference). Best of ours in bold. Fβ and IoU: blurred region positive.\n"
    return "\n".join([preface, "", note, *(markdown_table(table) for table in tables)])
