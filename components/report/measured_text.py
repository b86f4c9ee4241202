"""The real test sets as Markdown, above the paper's tables, and as CSV."""

from collections.abc import Iterator, Sequence

import pandas as pd

from components.report.lead import Lead
from components.report.measured import BOLD, Group, MeasuredSet, Method, Score
from components.report.tables import SYMBOL
from components.report.tables_text import show
from components.scoring.paper_tables import METRICS

COLUMNS = (
    *("test_set", "photographs", "published", "kind", "run", "method", "encoder", "metric", "value", "low", "high"),
    *("mean_over_seeds", "deviation", "seeds", "paper", "papers_encoder"),
    *("reference", "mae_difference", "difference_low", "difference_high", "verdict"),
)
TOLD = (
    "In brackets: 95% interval over the photographs. Fβ: at the threshold 0.5; published: no photograph below what it "
    "is with everything called blurred. Difference: MAE less that of the reference, paired; better and worse are said "
    "only where its interval leaves out 0."
)


def signed(value: float) -> str:
    """A difference of MAE to four decimals."""
    return f"{value:+.4f}".replace("-", "−")


def score_text(score: Score) -> str:
    """`0.045 [0.038, 0.052]`, in bold where it is the best, with the mean over seeds where there are several."""
    text = f"**{show(score.value)}**" if score.best else show(score.value)
    text += f" [{score.interval[0]:.3f}, {score.interval[1]:.3f}]" if score.interval else ""
    spread = score.spread
    return f"{text}; {spread.seeds} seeds {show(score.mean)} ± {show(spread.deviation)}" if spread else text


def difference_text(method: Method) -> str:
    """`−0.0031 [−0.0050, −0.0011] better`."""
    found = method.against
    if found is None:
        return "–"
    return f"{signed(found.mean)} [{signed(found.low)}, {signed(found.high)}] {method.verdict}"


def paper_text(method: Method) -> str:
    """The paper's MAE, Fβ and IoU, and on which encoder."""
    if all(value is None for value in method.printed):
        return "–"
    numbers = " / ".join(show(value) for value in method.printed)
    return f"{numbers} ({method.papers_encoder})" if method.papers_encoder else numbers


def group_lines(group: Group) -> Iterator[str]:
    """A group's rows, under its title."""
    reference = f", against `{group.reference}`" if group.reference else ""
    yield f"| *{group.title}{reference}* |" + " |" * 7
    for each in group.methods:
        cells = [f"{each.name} `{each.run}`", each.encoder or "–", *map(score_text, each.scores)]
        yield f"| {' | '.join([*cells, difference_text(each), paper_text(each)])} |"


def photographs(found: MeasuredSet) -> str:
    """How many photographs there are, and of how many."""
    whole = found.images == found.published
    return f"{found.images} photographs" if whole else f"{found.images} of its {found.published} photographs"


def measured_markdown(leads: Sequence[Lead]) -> str:
    """A table a test set, each with its heading; empty where nothing is real."""
    header = ["Method", "Encoder", *(SYMBOL[metric] for metric in BOLD), "Difference of MAE", "Paper: MAE / Fβ / IoU"]
    parts = []
    for found in (each.measured for each in leads):
        lines = [f"## {found.test_set}, measured here: {photographs(found)}", "", TOLD, ""]
        lines += [f"| {' | '.join(header)} |", f"| {' | '.join('---' for _ in header)} |"]
        parts.append("\n".join([*lines, *(line for group in found.groups for line in group_lines(group))]))
    return "".join(f"\n\n{part}" for part in parts)


def csv_rows(found: MeasuredSet) -> Iterator[list[object]]:
    """One line a number."""
    for group in found.groups:
        for each in group.methods:
            facts = [found.test_set, found.images, found.published, group.key, each.run, each.name, each.encoder]
            printed = dict(zip(METRICS, each.printed, strict=True))
            for metric, score in zip(BOLD, each.scores, strict=True):
                against = each.against if metric == "MAE" else None
                row = [*facts, metric, score.value, *(score.interval or (None, None)), score.mean]
                row += [*(score.spread or (None, None)), printed.get(metric), each.papers_encoder]
                row += [group.reference, against.mean, against.low, against.high] if against else [None] * 4
                yield [*row, each.verdict if against else None]


def measured_csv(leads: Sequence[Lead]) -> str:
    """Every number at full precision; an empty cell where there is none."""
    rows = [row for each in leads for row in csv_rows(each.measured)]
    return str(pd.DataFrame(rows, columns=COLUMNS, dtype=object).to_csv(index=False, lineterminator="\n"))
