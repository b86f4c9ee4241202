"""A comparison of two revisions in words: lines for a terminal, and Markdown."""

from collections.abc import Callable, Iterable, Iterator, Mapping

from components.report.measured_text import signed
from pipelines.changes.compare import BEYOND, METRICS, Comparison, MetricChange, StageChange
from pipelines.changes.markdown import code, plain, table
from pipelines.changes.pictures import Pictures
from pipelines.running.console import brief

ABSENT = "–"
CURVES_SHOWN = 10


def number(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.4f}"


def legend(comparison: Comparison) -> str:
    """How to read the marks."""
    beyond = f"marked: beyond {BEYOND:.2f} standard deviations, twice that of a difference of two runs"
    judged = any(each.spread is not None for each in comparison.metrics)
    return f"F_beta and IoU: blurred region positive; {comparison.seeds}; {beyond if judged else 'nothing is marked'}"


def stage_words(change: StageChange) -> str:
    """What happened to a stage."""
    if change.kind != "rerun":
        return change.kind
    return brief(change.why, 4) + ("; its outputs are the same" if change.same else "")


def by_row(comparison: Comparison, runs: Iterable[str]) -> dict[tuple[str, str], list[MetricChange]]:
    """(run, test set) -> its scores, in the order of `METRICS`."""
    wanted, rows = set(runs), dict[tuple[str, str], list[MetricChange]]()
    for each in comparison.metrics:
        if each.run in wanted:
            rows.setdefault((each.run, each.test_set), []).append(each)
    return rows


def unmoved(comparison: Comparison) -> list[str]:
    """Runs whose every score is the same on both sides."""
    moved = set(comparison.moved)
    return [run for run in dict.fromkeys(each.run for each in comparison.metrics) if run not in moved]


def lines(comparison: Comparison, pictures: Pictures) -> Iterator[str]:
    """For a terminal."""
    yield f"{comparison.before.short} -> {comparison.after.short}"
    yield from (f"! {gap}" for gap in (*comparison.gaps, *pictures.gaps))
    yield f"\nparams: {len(comparison.params) or 'none'} changed"
    for param in comparison.params:
        yield f"  {param.key}: {' -> '.join(param.words)}"
    yield f"\nstages: {len(comparison.stages) or 'none'} with another result or other sources"
    wide = max((len(each.stage) for each in comparison.stages), default=0)
    yield from (f"  {each.stage:{wide}}  {stage_words(each)}" for each in comparison.stages)
    yield from verdict_lines(comparison)
    yield from metric_lines(comparison)
    yield from curve_lines(comparison)
    yield from picture_lines(pictures)


def verdict_lines(comparison: Comparison) -> Iterator[str]:
    """Claims of the study whose verdict flips."""
    if comparison.verdicts:
        yield f"\nverdicts of docs/study.md: {len(comparison.verdicts)} flipped"
    for each in comparison.verdicts:
        yield f"  {each.claim}: {each.before or ABSENT} -> {each.after or ABSENT}"


def metric_lines(comparison: Comparison) -> Iterator[str]:
    """Scores of the runs that moved, a line a test set."""
    moved = comparison.moved
    yield f"\nmetrics: {len(moved)} of {len(moved) + len(unmoved(comparison))} runs moved"
    rows = by_row(comparison, moved)
    wide = max((len(f"{run} {test_set}") for run, test_set in rows), default=0)
    for (run, test_set), changes in rows.items():
        scores = (f"{METRICS[each.metric]} {score(each, '{}*')}" for each in changes)
        yield f"  {f'{run} {test_set}':{wide}}  {'  '.join(scores)}"
    yield f"  ({legend(comparison)})"


def curve_lines(comparison: Comparison) -> Iterator[str]:
    if comparison.curves:
        yield f"\nprecision-recall curves: {len(comparison.curves)} moved; at one threshold at most by"
    for each in comparison.curves[:CURVES_SHOWN]:
        yield f"  {each.run} {each.test_set}: precision {each.precision:.4f}, recall {each.recall:.4f}"


def picture_lines(pictures: Pictures) -> Iterator[str]:
    if pictures.compared:
        yield f"\nmaps: {pictures.changed} of {pictures.compared} made anew differ; mean absolute difference (0..1)"
    for each in pictures.most:
        yield f"  {each.run} {each.dataset} {each.id}: {each.difference:.4f}"


def markdown(comparison: Comparison, pictures: Pictures, link: Callable[[str], str]) -> Iterator[str]:
    """In Markdown; `link` makes the link or picture of a strip's file name."""
    yield from (f"> {plain(gap)}\n" for gap in (*comparison.gaps, *pictures.gaps))
    yield "### Params\n"
    params = [(code(each.key), *map(code, each.words)) for each in comparison.params]
    yield from table(("key", "before", "after"), params, "None changed.")
    yield "\n### Stages\n"
    stages = [(code(each.stage), code(stage_words(each))) for each in comparison.stages]
    yield from table(("stage", "why"), stages, "No stage has another result.")
    if comparison.verdicts:
        yield "\n### Verdicts of the study\n"
        flipped = [(each.claim, each.before or ABSENT, each.after or ABSENT) for each in comparison.verdicts]
        yield from table(("claim", "before", "after"), flipped)
    yield "\n### Metrics\n"
    yield from metrics_markdown(comparison)
    yield from curves_markdown(comparison)
    yield from pictures_markdown(pictures, link)


def metrics_markdown(comparison: Comparison) -> Iterator[str]:
    """A row for each run and test set; those of runs that did not move folded away."""
    if not comparison.metrics:
        yield "No scores on either side."
        return
    yield from scores_markdown(comparison, comparison.moved)
    yield f"\n{plain(legend(comparison))}"
    if still := unmoved(comparison):
        yield f"\n<details><summary>{len(still)} runs did not move: {plain(', '.join(still))}</summary>\n"
        yield from scores_markdown(comparison, still)
        yield "\n</details>"


def scores_markdown(comparison: Comparison, runs: Iterable[str]) -> Iterator[str]:
    rows = by_row(comparison, runs).items()
    lines = [(plain(run), plain(test_set), *cells(changes)) for (run, test_set), changes in rows]
    yield from table(("run", "test set", *METRICS.values()), lines, "Every score is the same.")


def curves_markdown(comparison: Comparison) -> Iterator[str]:
    if not comparison.curves:
        return
    yield "\n### Precision-recall curves\n"
    head = ("run", "test set", "largest change of precision at one threshold", "of recall")
    if (more := len(comparison.curves) - CURVES_SHOWN) > 0:
        yield f"The {CURVES_SHOWN} that moved most; {more} more did.\n"
    shown = comparison.curves[:CURVES_SHOWN]
    rows = [(plain(each.run), plain(each.test_set), f"{each.precision:.4f}", f"{each.recall:.4f}") for each in shown]
    yield from table(head, rows)


def pictures_markdown(pictures: Pictures, link: Callable[[str], str]) -> Iterator[str]:
    if not pictures.compared:
        return
    yield f"\n### Pictures\n\n{pictures.changed} of {pictures.compared} maps made anew differ. Most changed, by "
    yield "mean absolute difference (0..1). In each: photograph, label, map before, map after, difference.\n"
    rows = [
        (plain(each.run), plain(each.dataset), plain(each.id), f"{each.difference:.4f}", link(each.file))
        for each in pictures.most
    ]
    yield from table(("run", "set", "photograph", "difference", ""), rows)


def cells(changes: Iterable[MetricChange]) -> list[str]:
    """One row's scores: before, after and difference, in bold where another seed would hardly make it."""
    found: Mapping[str, MetricChange] = {each.metric: each for each in changes}
    return [score(found.get(metric)) for metric in METRICS]


def score(change: MetricChange | None, mark: str = "**{}**") -> str:
    """Before, after and difference; `mark` is put around one that another seed would hardly make."""
    if change is None:
        return ABSENT
    if change.difference == 0:
        return number(change.after)
    both = f"{number(change.before)} → {number(change.after)}"
    if change.difference is None:
        return both
    by = signed(change.difference)
    return f"{both} ({mark.format(by) if change.exceeds else by})"
