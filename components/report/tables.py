"""The paper's tables with ours beside them, and the same as CSV and Markdown.

Ours is compared as the paper prints it, to three decimals: difference = ours rounded - paper.
"""

import csv
import io
from dataclasses import dataclass

from components.report.paper_tables import ABSENT, METRICS, TOLERANCE, Key, PaperRow, PaperTable, label
from components.report.records import RunRecord

SYMBOL = {"MAE": "MAE ↓", "F_beta": "Fβ ↑", "IoU": "IoU ↑"}


@dataclass(frozen=True)
class Cell:
    """One number of the paper and ours; `within` is None where the two are not comparable."""

    key: Key
    paper: float | None
    ours: float | None
    difference: float | None = None
    within: bool | None = None
    best: bool = False


@dataclass(frozen=True)
class Row:
    """A row of a table; `absent` says why no run of ours fills it, and is empty when one does."""

    paper: PaperRow
    cells: tuple[Cell, ...]
    absent: str


@dataclass(frozen=True)
class Table:
    """One table, ready to be shown."""

    number: str
    caption: str
    columns: tuple[Key, ...]
    rows: tuple[Row, ...]

    @property
    def groups(self) -> list[tuple[str, int]]:
        """Test sets in order, and how many columns each spans."""
        names = [test_set for test_set, _ in self.columns]
        return [(name, names.count(name)) for name in dict.fromkeys(names)]

    @property
    def has_losses(self) -> bool:
        """Whether the rows differ by the losses of the two stages (Tables IV and VI)."""
        return any(row.paper.stage1_loss for row in self.rows)


def best_of(values: list[float | None], metric: str) -> float | None:
    """The best of the values at three decimals (lowest MAE, highest else); None unless two or more compete."""
    rounded = [round(value, 3) for value in values if value is not None]
    if len(rounded) < 2:
        return None
    return min(rounded) if metric == "MAE" else max(rounded)


def compare(key: Key, paper: float | None, ours: float | None, best: float | None, comparable: bool) -> Cell:
    """One cell: the difference where both have a value, and whether it is within tolerance where comparable."""
    if ours is None:
        return Cell(key, paper, None)
    is_best = best is not None and round(ours, 3) == best
    if paper is None:
        return Cell(key, None, ours, best=is_best)
    difference = round(round(ours, 3) - paper, 3)
    within = abs(difference) <= TOLERANCE[key[1]] if comparable else None
    return Cell(key, paper, ours, difference, within, is_best)


def reason(row: PaperRow, runs: dict[str, RunRecord]) -> str:
    """Why no run of ours fills this row; empty when one does."""
    if row.run not in runs:
        return ABSENT[row.kind]
    return "" if runs[row.run].summary else "in this parameter file, but not scored yet"


def fill(table: PaperTable, records: list[RunRecord], comparable: bool) -> Table:
    """The paper's table with ours in it; `comparable` says that both were measured on the same photographs."""
    runs = {record.run: record for record in records}
    filled = [runs.get(row.run, RunRecord(row.run)) for row in table.rows]
    best = {key: best_of([record.value(*key) for record in filled], key[1]) for key in table.columns}
    rows = [
        Row(
            row,
            tuple(compare(key, row.values[key], record.value(*key), best[key], comparable) for key in table.columns),
            reason(row, runs),
        )
        for row, record in zip(table.rows, filled, strict=True)
    ]
    return Table(table.number, table.caption, table.columns, tuple(rows))


def runs_table(records: list[RunRecord], test_sets: list[str]) -> Table:
    """Every scored run on every test set, as a table without a paper's side."""
    columns = tuple((test_set, metric) for test_set in test_sets for metric in METRICS)
    rows = tuple(
        PaperRow("runs", i, "model", record.run, label(record.run), "", "", "", dict.fromkeys(columns))
        for i, record in enumerate(records, start=1)
        if record.summary
    )
    return fill(PaperTable("runs", "Every run", columns, rows), records, comparable=False)


def count_within(tables: list[Table]) -> tuple[int, int]:
    """How many different numbers of the paper are within tolerance, and how many could be compared."""
    verdicts = {
        (row.paper.run, cell.key): cell.within
        for table in tables
        for row in table.rows
        for cell in row.cells
        if cell.within is not None
    }
    return sum(verdicts.values()), len(verdicts)


def show(value: float | None) -> str:
    """A score as the paper prints it; an en dash where there is none."""
    return "–" if value is None else f"{value:.3f}"


def show_difference(value: float | None) -> str:
    """A signed difference to three decimals; an en dash where there is none."""
    if value is None:
        return "–"
    text = f"{value:+.3f}".replace("-", "−")
    return "0.000" if text[1:] == "0.000" else text


def csv_lines(table: Table) -> list[list[str]]:
    """One line a number: table, row, method, losses, training split, run, test set, metric, paper, ours, ..."""
    lines = []
    for row in table.rows:
        paper = row.paper
        facts = [table.number, str(paper.number), paper.method, paper.stage1_loss, paper.stage2_loss, paper.train]
        for cell in row.cells:
            values = [cell.paper, cell.ours, cell.difference, cell.within]
            texts = ["" if value is None else str(value) for value in values]
            lines.append([*facts, paper.run, *cell.key, *texts, row.absent])
    return lines


def as_csv(tables: list[Table]) -> str:
    """All tables as CSV, ours at full precision."""
    names = "table row method stage1_loss stage2_loss train run test_set metric paper ours difference within_tolerance"
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([*names.split(), "not_run"])
    for table in tables:
        writer.writerows(csv_lines(table))
    return buffer.getvalue()


def markdown_cell(cell: Cell, absent: str) -> str:
    """`paper / ours (difference)`, ours in bold where it is the best of ours."""
    if absent:
        return show(cell.paper)
    ours = f"**{show(cell.ours)}**" if cell.best else show(cell.ours)
    if cell.difference is None:
        return ours if cell.paper is None else f"{show(cell.paper)} / {ours}"
    mark = {True: " ✓", False: " ✗", None: ""}[cell.within]
    return f"{show(cell.paper)} / {ours} ({show_difference(cell.difference)}{mark})"


def markdown_table(table: Table) -> str:
    """One table in GitHub's Markdown."""
    title = f"## {table.caption}" if table.number == "runs" else f"## Table {table.number}. {table.caption}"
    header = ["Method", "Losses", "Run"] + [f"{test_set} {SYMBOL[metric]}" for test_set, metric in table.columns]
    lines = [title, "", " | ".join(header), " | ".join("---" for _ in header)]
    for row in table.rows:
        losses = f"{row.paper.stage1_loss}, {row.paper.stage2_loss}" if row.paper.stage1_loss else ""
        run = f"not run: {row.absent}" if row.absent else f"`{row.paper.run}`"
        lines.append(
            " | ".join([row.paper.method, losses, run, *(markdown_cell(cell, row.absent) for cell in row.cells)])
        )
    return "\n".join([*lines[:2], *(f"| {line} |" for line in lines[2:])]) + "\n"


def as_markdown(tables: list[Table], preface: str) -> str:
    """All tables as Markdown under `preface`."""
    note = "Each cell: paper / ours (difference). Best of ours in bold. Fβ and IoU: blurred region positive.\n"
    return "\n".join([preface, "", note, *(markdown_table(table) for table in tables)])
