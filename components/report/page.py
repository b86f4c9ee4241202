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

from components.report.curves import precision_recall, styles, training_figures
from components.report.departures import departures_table
from components.report.gallery import gallery
from components.report.paired import RESAMPLES, Pair, compare_pairs
from components.report.paper_tables import TOLERANCE, label, paper_tables
from components.report.records import RunRecord, read_run, scored_test_sets
from components.report.svg import interval
from components.report.tables import (
    SYMBOL,
    Table,
    as_csv,
    as_markdown,
    count_within,
    fill,
    runs_table,
    show,
    show_difference,
)
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
    departures: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    provenance: Mapping[str, Any],
    runs: Sequence[str],
) -> None:
    """Write `index.html`, `tables.csv` and `tables.md` into the folder `out`, whole or not at all.

    Args:
        out: folder to make; an old one is replaced.
        name: of the experiment; only `paper` is measured against the paper's numbers.
        scores: folder with `<run>/summary.json`, `per_image.csv`, `curves.csv`.
        predictions: folder with `<run>/<set>.zip`.
        prepared: folder with the prepared sets.
        models: folder with `<run>/history.csv`, `card.json`.
        departures: point -> this run's choice, see `departures_table`.
        provenance: `commit`, `params` (text or mapping), `versions` (name -> version), `lock` (outputs of
            `dvc.lock`, mappings with `stage`, `path`, `md5`, `size` in bytes); any other key is shown as it stands.
        runs: names in the order to show them; what a run lacks is left out of the page.

    Raises:
        InputError: a file that is there is damaged.
    """
    records = [read_run(run, scores, models) for run in runs]
    test_sets = scored_test_sets(records)
    tables = [fill(table, records, name == COMPARABLE) for table in paper_tables()]
    every = runs_table(records, test_sets)
    context = {
        "name": name,
        "tables": tables,
        "every": every,
        "gallery": gallery(prepared, predictions, records, test_sets),
        "departures": departures_table(departures),
        "provenance": readable_provenance(provenance),
        **run_context(records, test_sets, tables),
    }
    page = render(context)
    with atomic_dir(out) as folder:
        (folder / "index.html").write_text(page, encoding="utf-8")
        (folder / "tables.csv").write_text(as_csv([every, *tables]), encoding="utf-8")
        (folder / "tables.md").write_text(as_markdown([every, *tables], preface(name)), encoding="utf-8")


def preface(name: str) -> str:
    """The head of the Markdown file."""
    warning = "" if name == COMPARABLE else f"\n\n**{NOT_COMPARABLE}**"
    return f"# D-DFFNet reproduced: {name}{warning}"


def run_context(records: list[RunRecord], test_sets: list[str], tables: list[Table]) -> dict[str, Any]:
    """What the page shows of the runs apart from tables and pictures."""
    chosen = styles(records)
    pairs = compare_pairs(records, test_sets)
    return {
        "within": count_within(tables),
        "runs_drawn": [(record.run, label(record.run), chosen[record.run]) for record in records if record.curves],
        "precision_recall": precision_recall(records, test_sets),
        "pairs": pairs,
        "bars": {(pair.before, pair.after): bars(pair) for pair in pairs},
        "findings": [finding(pair) for pair in pairs],
        "training": training_figures(records),
        "trained": [(r.run, label(r.run), chosen[r.run]) for r in records if r.history],
        "images": {test_set: image_count(records, test_set) for test_set in test_sets},
        "backbones": {record.run: record.card.get("backbone") for record in records},
        "cards": [(record.run, pretty(record.card)) for record in records if record.card],
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


def image_count(records: list[RunRecord], test_set: str) -> int | None:
    """How many images a test set has, as the first run scored on it says."""
    counts = [record.summary[test_set].get("images") for record in records if test_set in record.summary]
    return next((int(count) for count in counts if count is not None), None)


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


def render(context: Mapping[str, Any]) -> str:
    """The page for a context; style and script are put into it, and its own policy forbids loading anything else."""
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    environment.filters |= {"score": show, "signed": show_difference, "label": label}
    script = (HERE / "script.js").read_text(encoding="utf-8")
    return environment.get_template("template.html.j2").render(
        context,
        comparable=context["name"] == COMPARABLE,
        not_comparable=NOT_COMPARABLE,
        style=(HERE / "style.css").read_text(encoding="utf-8"),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        symbol=SYMBOL,
        tolerance=TOLERANCE,
        resamples=RESAMPLES,
    )
