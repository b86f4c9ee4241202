"""The paper's tables filled: ours, the authors' weights and published maps, each against the paper's value.

A score is compared as the paper prints it, to three decimals: difference = rounded score - paper.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from components.catalog.test_sets import TEST_SETS
from components.recipe import Recipe
from components.report.records import SUMMARY_KEY, RunRecord, Spread
from components.scoring.paper_tables import ABSENT, TOLERANCE, Key, PaperRow, PaperTable

SYMBOL = {"MAE": "MAE ↓", "F_beta": "Fβ ↑", "F_beta_published": "Fβ published ↑", "IoU": "IoU ↑"}
RULES: dict[Recipe, str] = {
    "paper": "Fβ is taken at the threshold 0.5.",
    "published_code": "Fβ of the paper’s networks is taken as their code prints it (of each photograph at the "
    "threshold 0.5, or of everything called blurred where that is more), of other methods at the threshold 0.5.",
}
"""How Fβ in Tables I to VI was taken, by the departure `f_beta`."""
BESIDE = ("I", "II", "III")
"""Tables that show the authors' weights and published maps beside ours: those that compare methods."""

Source = Literal["ours", "authors_weights", "published_maps"]
"""Whose scores: of a run or classical method of ours, of the authors' checkpoints, of somebody's maps."""
SOURCES: tuple[Source, ...] = ("ours", "authors_weights", "published_maps")


@dataclass(frozen=True)
class Filling:
    """What fills a row of the paper's tables: its scores, and whose they are."""

    source: Source
    row: str
    record: RunRecord


@dataclass(frozen=True)
class Ground:
    """What stands on the same ground as the paper.

    `settings`: the experiment's are the paper's. `rendered`: test sets of rendered stand-ins. `f_beta`: the rule of
    the networks' Fβ.
    """

    settings: bool
    rendered: frozenset[str] = frozenset()
    f_beta: Recipe = "published_code"

    def metric(self, metric: str, row: PaperRow) -> str:
        """The metric of a record that stands beside a row's printed one."""
        published = metric == "F_beta" and row.kind == "model" and self.f_beta == "published_code"
        return "F_beta_published" if published else metric

    def count(self, record: RunRecord, test_set: str) -> tuple[int, int] | None:
        """Photographs scored and published; None for a test set that is rendered or not the paper's."""
        images = record.summary.get(test_set, {}).get("images")
        if images is None or test_set in self.rendered or test_set not in TEST_SETS:
            return None
        return int(images), TEST_SETS[test_set].images

    def compares(self, filling: Filling, test_set: str) -> bool:
        """Whether a score was measured on all photographs of the paper's test set and by the paper's settings."""
        count = self.count(filling.record, test_set)
        whole = count is not None and count[0] == count[1]
        return whole and (self.settings or filling.source == "published_maps")


@dataclass(frozen=True)
class Cell:
    """One number beside the paper's; `within` is None where the two are not comparable.

    `count`: photographs scored and published, where some are missing. `spread`: over seeds, where there are several;
    `value` is then their mean.
    """

    key: Key
    paper: float | None
    value: float | None
    difference: float | None = None
    within: bool | None = None
    best: bool = False
    count: tuple[int, int] | None = None
    spread: Spread | None = None


@dataclass(frozen=True)
class Line:
    """One run's or method's numbers in a row."""

    source: Source
    run: str
    name: str
    cells: tuple[Cell, ...]

    @property
    def counts(self) -> dict[str, tuple[int, int] | None]:
        """Photographs scored and published of each test set of which some are missing, None for the others."""
        return {cell.key[0]: cell.count for cell in self.cells}

    @property
    def seeds(self) -> int:
        """How many seeds the values are means over, at most."""
        return max((cell.spread.seeds for cell in self.cells if cell.spread), default=1)

    def is_partial(self, test_sets: Collection[str]) -> bool:
        """Whether photographs of some of these test sets are missing."""
        return any(count for test_set, count in self.counts.items() if test_set in test_sets)


@dataclass(frozen=True)
class Row:
    """A row of a table; `absent` says why nothing of ours fills it, or nothing at all fills another's row."""

    paper: PaperRow
    lines: tuple[Line, ...]
    absent: str

    @property
    def height(self) -> int:
        """Lines on the page: the paper's, and two to four for each of `lines`."""
        return 1 + sum(2 + line.is_partial(line.counts) + (line.seeds > 1) for line in self.lines)


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

    @property
    def is_judged(self) -> bool:
        """Whether any number could be compared with the paper's."""
        return any(cell.within is not None for row in self.rows for line in row.lines for cell in line.cells)


def best_of(values: list[float | None], metric: str) -> float | None:
    """The best of the values at three decimals (lowest MAE, highest else); None unless two or more compete."""
    rounded = [round(value, 3) for value in values if value is not None]
    if len(rounded) < 2:
        return None
    return min(rounded) if metric == "MAE" else max(rounded)


def compare(
    key: Key,
    paper: float | None,
    value: float | None,
    best: float | None,
    *,
    comparable: bool,
    count: tuple[int, int] | None = None,
    spread: Spread | None = None,
) -> Cell:
    """One cell: the difference where both have a value, and whether it is within tolerance where comparable.

    `count`: photographs scored and published, if known. `spread`: of `value` over seeds.
    """
    if value is None:
        return Cell(key, paper, None)
    rounded = round(value, 3)
    difference = None if paper is None else round(rounded - paper, 3)
    within = abs(difference) <= TOLERANCE[key[1]] if comparable and difference is not None else None
    partial = count if count and count[0] < count[1] else None
    return Cell(key, paper, value, difference, within, rounded == best, partial, spread)


def line_of(filling: Filling, row: PaperRow, best: dict[Key, float | None], ground: Ground) -> Line:
    """One filling beside the paper's values; `best` holds the best of each column."""
    record = filling.record
    cells = [
        compare(
            key,
            paper,
            record.value(key[0], ground.metric(key[1], row)),
            best[key],
            comparable=ground.compares(filling, key[0]),
            count=ground.count(record, key[0]),
            spread=record.spread(key[0], ground.metric(key[1], row)),
        )
        for key, paper in row.values.items()
    ]
    return Line(filling.source, record.run, record.title, tuple(cells))


def reason(row: PaperRow, fillings: Sequence[Filling]) -> str:
    """Why a row is not filled as it should be: one of ours by our own run, another's by anything; empty if it is."""
    expected = [each for each in fillings if each.source == "ours" or row.kind not in ("model", "baseline")]
    if any(each.record.summary for each in expected):
        return ""
    if not expected:
        return ABSENT[row.kind].format(row=row.run)
    gap = expected[0].record.gap
    return gap.reason if gap else "in this parameter file, but not scored yet"


def fill(table: PaperTable, fillings: Sequence[Filling], ground: Ground) -> Table:
    """The paper's table with everything that fills its rows; the best of ours is marked."""
    sources = SOURCES if table.number in BESIDE else SOURCES[:1]
    chosen = [each for source in sources for each in fillings if each.source == source]
    by_row = {row.run: [each for each in chosen if each.row == row.run] for row in table.rows}
    ours = [(each.record, row) for row in table.rows for each in by_row[row.run] if each.source == "ours"]
    best = {
        (test_set, metric): best_of([each.value(test_set, ground.metric(metric, row)) for each, row in ours], metric)
        for test_set, metric in table.columns
    }
    rows = [
        Row(
            row,
            tuple(line_of(each, row, best, ground) for each in by_row[row.run] if each.record.summary),
            reason(row, by_row[row.run]),
        )
        for row in table.rows
    ]
    return Table(table.number, table.caption, table.columns, tuple(rows))


def runs_table(fillings: Sequence[Filling], test_sets: Sequence[str], ground: Ground) -> Table:
    """Everything that is scored on every test set, as a table without a paper's side; the best of all is marked."""
    columns = tuple((test_set, metric) for test_set in test_sets for metric in SUMMARY_KEY)
    scored = [each for each in fillings if each.record.summary]
    best = {key: best_of([each.record.value(*key) for each in scored], key[1]) for key in columns}
    nothing: dict[Key, float | None] = dict.fromkeys(columns)
    rows = []
    for i, each in enumerate(scored, start=1):
        row = PaperRow("runs", i, "run", each.record.run, each.record.title, "", "", "", nothing)
        rows.append(Row(row, (line_of(each, row, best, ground),), ""))
    return Table("runs", "Every run", columns, tuple(rows))


def count_within(tables: Sequence[Table], source: Source) -> tuple[int, int]:
    """How many different numbers of the paper a source meets within tolerance, and how many could be compared."""
    verdicts = {
        (line.run, cell.key): cell.within
        for table in tables
        for row in table.rows
        for line in row.lines
        if line.source == source
        for cell in line.cells
        if cell.within is not None
    }
    return sum(verdicts.values()), len(verdicts)
