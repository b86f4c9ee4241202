"""The real test sets at hand, measured: every method, its intervals, the row that the paper prints, and DFFNet.

A test set is real unless its photographs are rendered. Intervals (`components.scoring.intervals`) are over its
photographs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from components.catalog.test_sets import TEST_SETS
from components.report.encoders import encoder_of, papers_encoder, recipe_of, training_of
from components.report.paired import Difference, difference
from components.report.records import SUMMARY_KEY, RunRecord, Spread
from components.report.tables import Filling, Ground, best_of
from components.scoring.intervals import Interval
from components.scoring.paper_tables import METRICS, PaperRow, paper_tables

REFERENCES = {"best": "dffnet_best", "paper": "dffnet"}
"""Recipe -> the run that its others are compared with."""
FEWEST = 6
"""Photographs from which a difference is called one: a sign test on fewer never falls below 5 %."""
TITLES = {
    "best": "Ours, recipe best (our own: docs/cuhk.md)",
    "paper": "Ours, recipe paper (the paper’s losses, optimiser and schedule)",
    "authors_weights": "The authors’ weights",
    "functions": "Classical methods and constants",
    "published_maps": "Published maps, scored here",
}


@dataclass(frozen=True)
class Score:
    """One number: its interval over photographs, and its mean and spread over seeds where there are several."""

    value: float | None
    interval: Interval | None
    mean: float | None
    spread: Spread | None
    best: bool


@dataclass(frozen=True)
class Method:
    """One method on one test set.

    `encoder`, `training`: what it stands on and how it was trained, empty of classical methods. `printed`: the paper's
    row and its encoder. `against`: MAE less that of the group's reference, paired; None of the reference itself.
    """

    run: str
    name: str
    encoder: str
    training: str
    scores: tuple[Score, ...]
    printed: tuple[float | None, ...]
    papers_encoder: str
    against: Difference | None

    @property
    def verdict(self) -> str:
        """How it stands to the reference, in a word."""
        return "" if self.against is None else verdict(self.against)


@dataclass(frozen=True)
class Group:
    """Methods of one kind, and the run whose MAE theirs is compared with."""

    key: str
    title: str
    reference: str
    methods: tuple[Method, ...]


@dataclass(frozen=True)
class MeasuredSet:
    """One real test set; `images` are scored, of `published`."""

    test_set: str
    images: int
    published: int
    groups: tuple[Group, ...]

    @property
    def lowest(self) -> Method | None:
        """The network trained here that has the lowest MAE."""
        ours = [each for group in self.groups if group.key in REFERENCES for each in group.methods]
        known = [(each.scores[0].value, each) for each in ours if each.scores[0].value is not None]
        return min(known, key=lambda pair: pair[0], default=(None, None))[1]


def verdict(found: Difference) -> str:
    """`better` or `worse` only where the interval leaves 0 out, on enough photographs."""
    if found.images < FEWEST:
        return "too few photographs"
    return {"lower": "better", "higher": "worse", "unclear": "not distinguishable"}[found.verdict]


def real_test_sets(test_sets: Sequence[str], ground: Ground) -> list[str]:
    """Those of the paper's test sets that are scored and not rendered."""
    return [each for each in test_sets if each in TEST_SETS and each not in ground.rendered]


def measured(test_set: str, fillings: Sequence[Filling]) -> MeasuredSet:
    """Everything that is scored on a test set, in the groups of `TITLES`."""
    scored = [each for each in fillings if test_set in each.record.summary]
    records = {each.record.run: each.record for each in scored}
    best = {metric: best_of([each.value(test_set, metric) for each in records.values()], metric) for metric in BOLD}
    groups = []
    for key, title in TITLES.items():
        chosen = [each for each in scored if group_of(each) == key]
        reference = reference_of(key, records)
        methods = tuple(method(each, test_set, records.get(reference), best) for each in chosen)
        groups += [Group(key, title, reference, methods)] if methods else []
    images = max((int(each.summary[test_set].get("images") or 0) for each in records.values()), default=0)
    return MeasuredSet(test_set, images, TEST_SETS[test_set].images, tuple(groups))


BOLD = ("MAE", "F_beta", "F_beta_published", "IoU")
"""Metrics in the order of `Method.scores`."""


def group_of(filling: Filling) -> str:
    """The key of `TITLES` under which a method is shown."""
    return filling.source if filling.source != "ours" else recipe_of(filling.record) or "functions"


def reference_of(group: str, records: Mapping[str, RunRecord]) -> str:
    """The run that a group is compared with: DFFNet of its own recipe, else of the paper's, else of ours."""
    order = [REFERENCES.get(group, ""), REFERENCES["paper"], REFERENCES["best"]]
    return next((run for run in order if run in records), "")


def method(filling: Filling, test_set: str, reference: RunRecord | None, best: Mapping[str, float | None]) -> Method:
    """One method's line; `best` holds the best of each metric."""
    record, row = filling.record, printed_row(filling.row, test_set)
    against = None
    if reference is not None and reference.run != record.run:
        against = difference(reference.images(test_set), record.images(test_set), "mae")
    return Method(
        record.run,
        record.title,
        encoder_of(record.card),
        training_of(record.card),
        tuple(score(record, test_set, metric, best[metric]) for metric in BOLD),
        tuple(row.values.get((test_set, metric)) if row else None for metric in METRICS),
        papers_encoder(row) if row else "",
        against,
    )


def score(record: RunRecord, test_set: str, metric: str, best: float | None) -> Score:
    """One number of a run's own, and over its seeds; bold where the mean over them is the best."""
    own, mean = record.summary[test_set].get(SUMMARY_KEY[metric]), record.value(test_set, metric)
    spread = record.spread(test_set, metric)
    is_best = best is not None and mean is not None and round(mean, 3) == best
    return Score(own, record.interval(test_set, metric), mean if spread else None, spread, is_best)


def printed_row(run: str, test_set: str) -> PaperRow | None:
    """The first row of the paper's tables that is filled by `run` and has a number on the test set."""
    rows = [row for table in paper_tables() for row in table.rows if row.run == run]
    return next((row for row in rows if row.values.get((test_set, "MAE")) is not None), None)
