"""The report: one self-contained HTML page, and its tables as CSV and Markdown.

The same inputs give the same bytes: nothing on the page depends on the time or on the machine.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from components.data.table7 import COLUMNS, table7
from components.data.test_sets import TEST_SETS, is_rendered
from components.report.curves import precision_recall, styles, training_figures
from components.report.datasets import FACTS, duplicates_across, facts_of, open_sets
from components.report.departures import departures_table
from components.report.gallery import gallery
from components.report.gaps import causes, gaps_of_test_sets
from components.report.paired import RESAMPLES, Pair, compare_pairs
from components.report.paper_tables import TOLERANCE, label, paper_tables
from components.report.plain import write_plain
from components.report.records import PublishedMaps, RunRecord, read_published_maps, read_run, scored_test_sets
from components.report.svg import interval
from components.report.tables import SOURCES, SYMBOL, Filling, Ground, Table, count_within, fill, runs_table
from components.report.tables_text import WHOSE, as_csv, as_markdown, show, show_difference
from components.storage import atomic_dir

HERE = Path(__file__).parent
COMPARABLE = "paper"
"""The experiment's name under which its numbers are compared with the paper's."""

NOT_COMPARABLE = (
    "The images of this experiment are rendered stand-ins: its numbers are NOT comparable with the paper’s. "
    "The paper’s numbers are shown for the shape of the tables only."
)


def build_report(
    *,
    out: Path,
    name: str,
    scores: Path,
    predictions: Path,
    prepared: Path,
    models: Path,
    external: Path,
    departures: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    provenance: Mapping[str, Any],
    runs: Sequence[str],
    beside: Mapping[str, str],
) -> None:
    """Write the page, its tables and its numbers as plain files into the folder `out`, whole or not at all.

    Args:
        out: folder to make; an old one is replaced.
        name: of the experiment; only the runs of `paper` are measured against the paper's numbers.
        scores: folder with `<run>/summary.json`, `per_image.csv`, `curves.csv`.
        predictions: folder with `<run>/<set>.zip`.
        prepared: folder with the prepared sets.
        models: folder with `<run>/history.csv`, `card.json`.
        external: folder with the scores of published maps, a folder a method.
        departures: point -> this run's choice, see `departures_table`.
        provenance: `commit`, `params` (text or mapping), `versions` (name -> version), `lock` (outputs of
            `dvc.lock`, mappings with `stage`, `path`, `md5`, `size` in bytes); any other key is shown as it stands.
        runs: names in the order to show them; what a run lacks is left out of the page.
        beside: run with the authors' weights -> the run of ours whose rows it shares.

    Raises:
        InputError: a file that is there is damaged.
    """
    records = [read_run(run, scores, models) for run in runs]
    methods = read_published_maps(external)
    every = [*records, *(method.record for method in methods)]
    test_sets = scored_test_sets(every)
    sets = open_sets(prepared)
    ground = Ground(name == COMPARABLE, rendered_test_sets(prepared))
    fillings = all_fillings(records, methods, beside)
    tables = [
        runs_table(fillings, test_sets, ground),
        *(fill(table, fillings, ground) for table in paper_tables()),
    ]
    context = {
        "name": name,
        "ground": ground,
        "every": tables[0],
        "tables": tables[1:],
        "methods": [method for method in methods if method.record.summary],
        "causes": causes(prepared, records, methods),
        "unscored": gaps_of_test_sets(prepared),
        "sets": [facts_of(data) for data in sets],
        "table7": table7(sets),
        "across": duplicates_across(sets),
        "gallery": gallery(sets, predictions, records, test_sets),
        "departures": departures_table(departures),
        "provenance": readable_provenance(provenance),
        **run_context(records, test_sets, tables[1:]),
        **curves_context(every, test_sets),
        **counts_context(every, test_sets, ground),
    }
    page = render(context)
    with atomic_dir(out) as folder:
        (folder / "index.html").write_text(page, encoding="utf-8")
        (folder / "tables.csv").write_text(as_csv(tables), encoding="utf-8")
        (folder / "tables.md").write_text(as_markdown(tables, preface(name, ground)), encoding="utf-8")
        write_plain(folder, every)


def rendered_test_sets(prepared: Path) -> frozenset[str]:
    """The test sets whose photographs are rendered stand-ins."""
    return frozenset(name for name, each in TEST_SETS.items() if is_rendered(prepared / each.dataset))


def all_fillings(
    records: Sequence[RunRecord], methods: Sequence[PublishedMaps], beside: Mapping[str, str]
) -> list[Filling]:
    """Everything that may fill rows, in the order to show it."""
    ours = [
        Filling("authors_weights" if record.run in beside else "ours", beside.get(record.run, record.run), record)
        for record in records
    ]
    return ours + [Filling("published_maps", method.row, method.record) for method in methods]


def preface(name: str, ground: Ground) -> str:
    """The head of the Markdown file."""
    warning = f"\n\n**{NOT_COMPARABLE}**" if ground.rendered else ""
    return f"# D-DFFNet reproduced: {name}{warning}"


def run_context(records: list[RunRecord], test_sets: list[str], tables: Sequence[Table]) -> dict[str, Any]:
    """What the page shows of the runs apart from tables, curves and pictures."""
    pairs = compare_pairs(records, test_sets)
    within = {source: count_within(tables, source) for source in SOURCES}
    return {
        "within": {WHOSE[source]: counts for source, counts in within.items() if counts[1]},
        "judged": any(table.is_judged for table in tables),
        "pairs": pairs,
        "bars": {(pair.before, pair.after): bars(pair) for pair in pairs},
        "findings": [finding(pair) for pair in pairs],
        "backbones": {record.run: record.card.get("backbone") for record in records},
        "cards": [(record.run, pretty(record.card)) for record in records if record.card],
    }


def curves_context(records: list[RunRecord], test_sets: list[str]) -> dict[str, Any]:
    """Figures and their legends."""
    chosen = styles(records)
    return {
        "runs_drawn": [(record.run, record.title, chosen[record.run]) for record in records if record.curves],
        "precision_recall": precision_recall(records, test_sets),
        "training": training_figures(records),
        "trained": [(r.run, r.title, chosen[r.run]) for r in records if r.history],
    }


def bars(pair: Pair) -> list[str]:
    """The interval of each change of a pair, on one axis."""
    reach = max(max(abs(each.low), abs(each.high)) for each in pair.changes) or 1.0
    return [interval(each.mean, each.low, each.high, reach, each.verdict) for each in pair.changes]


def finding(pair: Pair) -> str:
    """A pair in one sentence."""
    verdicts = [each.verdict for each in pair.changes]
    words = {"lower": "lower", "higher": "higher", "unclear": "not told apart (95% interval)"}
    counts = {words[verdict]: verdicts.count(verdict) for verdict in words if verdict in verdicts}
    told = ", ".join(f"{word} on {count}" for word, count in counts.items())
    return f"{pair.what}, {label(pair.before)} → {label(pair.after)}: of {len(verdicts)} test sets, MAE is {told}."


def counts_context(records: list[RunRecord], test_sets: list[str], ground: Ground) -> dict[str, Any]:
    """How many images each test set has, in words, and which test sets have other numbers for other runs."""
    images: dict[str, str] = {}
    uneven = set()
    for test_set in test_sets:
        counts = {each for record in records if (each := ground.count(record, test_set))}
        plain = {record.summary[test_set].get("images") for record in records if test_set in record.summary} - {None}
        scored = " or ".join(str(number) for number in sorted({int(each) for each in plain if each is not None}))
        partial = [published for number, published in counts if number < published]
        images[test_set] = f"{scored} of {partial[0]}" if partial else scored
        if len(plain) > 1:
            uneven.add(test_set)
    return {"images": images, "uneven": uneven}


def pretty(value: object) -> str:
    """A value as indented JSON; text as it stands."""
    return value if isinstance(value, str) else json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)


def readable_provenance(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """The known parts of the provenance, empty where they are not given, and the rest as `more`."""
    known = {"commit": "", "params": "", "lock": [], "versions": {}}
    parts = {key: provenance.get(key, default) for key, default in known.items()}
    more = {key: pretty(value) for key, value in provenance.items() if key not in known}
    return parts | {"params": pretty(parts["params"]), "more": more, "short": short_commit(parts["commit"])}


def short_commit(commit: str) -> str:
    """The first ten digits of a commit and a note of changes beside it; any other text as it stands."""
    found = re.fullmatch(r"([0-9a-f]{10})[0-9a-f]*(-dirty)?", commit)
    return found[1] + (" with changes" if found[2] else "") if found else commit


def codes(text: str) -> Markup:
    """A message with what stands in backquotes as code."""
    plain, code = Markup("{}"), Markup("<code>{}</code>")
    parts = text.split("`")
    return Markup("").join((code if i % 2 else plain).format(part) for i, part in enumerate(parts))


def render(context: Mapping[str, Any]) -> str:
    """The page for a context; style and script are put into it, and its own policy forbids loading anything else."""
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    environment.filters |= {"score": show, "signed": show_difference, "label": label, "codes": codes}
    script = (HERE / "script.js").read_text(encoding="utf-8")
    return environment.get_template("template.html.j2").render(
        context,
        not_comparable=NOT_COMPARABLE,
        style=(HERE / "style.css").read_text(encoding="utf-8"),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        symbol=SYMBOL,
        whose=WHOSE,
        fact_names=list(FACTS),
        table7_columns=COLUMNS,
        tolerance=TOLERANCE,
        resamples=RESAMPLES,
    )
