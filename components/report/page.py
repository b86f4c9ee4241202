"""The report: one HTML page with its pictures beside it, and its tables as CSV, Markdown and LaTeX.

The same inputs give the same bytes: nothing on the page depends on the time or on the machine.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from components.catalog.test_sets import TEST_SETS, is_rendered
from components.common.storage import atomic_dir, read_json
from components.recipe import Recipe
from components.report.curves import fig7_bars, precision_recall, styled, training_figures
from components.report.datasets import duplicates_across, facts_of, open_sets
from components.report.departures import departures_table
from components.report.depth_sheet import CARD, copy_sheet, read_depth_teacher
from components.report.encoders import encoder_of, recipe_of, row_of
from components.report.gallery import embedded, gallery_data
from components.report.gaps import causes, gaps_of_test_sets
from components.report.lead import lead
from components.report.measured import real_test_sets
from components.report.measured_text import measured_csv, measured_markdown
from components.report.paired import Pair, compare_pairs
from components.report.provenance import StageFacts, stages_of
from components.report.records import PublishedMaps, RunRecord, read_published_maps, read_run, scored_test_sets
from components.report.rendering import NOT_COMPARABLE, pretty, readable_provenance, render
from components.report.sheets import Photographs, photographs_of, write_sheets
from components.report.table7 import table7
from components.report.tables import RULES, SOURCES, Filling, Ground, Table, count_within, fill, runs_table
from components.report.tables_latex import as_latex
from components.report.tables_text import WHOSE, as_csv, as_markdown
from components.scoring.paper_tables import label, paper_tables

COMPARABLE = "paper"
"""The experiment's name under which its numbers are compared with the paper's."""


def build_report(
    *,
    out: Path,
    name: str,
    scores: Path,
    predictions: Path,
    prepared: Path,
    models: Path,
    teacher: Path,
    external: Path,
    departures: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    provenance: Mapping[str, Any],
    runs: Sequence[str],
    beside: Mapping[str, str],
    progress: Callable[[int, int], None],
) -> None:
    """Write `index.html`, `gallery/` and `tables.csv`, `.md` and `.tex` into the folder `out`, whole or not at all.

    Args:
        out: folder to make; an old one is replaced.
        name: of the experiment; only the runs of `paper` are measured against the paper's numbers.
        scores: folder with `<run>/summary.json`, `per_image.csv`, `curves.csv`; of further seeds
            `seeds/<seed>/<run>/summary.json`.
        predictions: folder with `<run>/<set>.zip`.
        prepared: folder with the prepared sets.
        models: folder with `<run>/history.csv`, `card.json`.
        teacher: folder of the depth teacher, with `card.json` and, where it was validated, `sheet.png`.
        external: folder with the scores of published maps, a folder a method.
        departures: point -> this run's choice, see `departures_table`.
        provenance: `commit`, `params` (text or mapping), `versions` (name -> version), `stages` (a list of
            `StageFacts`), `executions` (a script of the checkout, relative to `out`, that the page loads where it is
            there); any other key is shown as it stands.
        runs: names in the order to show them; what a run lacks is left out of the page.
        beside: run with the authors' weights -> the run of ours whose rows it shares.
        progress: called with the number of photographs drawn, and of all.

    Raises:
        InputError: a file that is there is damaged.
    """
    records = [read_run(run, scores, models) for run in runs]
    methods = read_published_maps(external)
    every = [*records, *(method.record for method in methods)]
    test_sets = scored_test_sets(every)
    sets = open_sets(prepared)
    photographs = photographs_of(sets, predictions, records)
    ground = Ground(name == COMPARABLE, rendered_test_sets(prepared), rule_of(departures))
    fillings = all_fillings(records, methods, beside)
    tables = [
        runs_table(fillings, test_sets, ground),
        *(fill(table, fillings, ground) for table in paper_tables()),
    ]
    leads = [lead(each, fillings, photographs) for each in real_test_sets(test_sets, ground)]
    depth_teacher = read_depth_teacher(teacher, sets) if leads else None
    context = {
        "name": name,
        "leads": leads,
        "depth_teacher": depth_teacher,
        "ground": ground,
        "every": tables[0],
        "tables": tables[1:],
        "methods": [method for method in methods if method.record.summary],
        "causes": causes(prepared, records, methods),
        "unscored": gaps_of_test_sets(prepared),
        "sets": [facts_of(data) for data in sets],
        "table7": table7(sets),
        "across": duplicates_across(sets),
        "gallery": gallery_json(photographs, records),
        "photographs": sum(len(each.rows) for each in photographs),
        "departures": departures_table(departures, {record.run: record.card for record in records}),
        "provenance": readable_provenance({**provenance, **stand_ins(teacher, records)}),
        "origins": origins(every, provenance.get("stages", ())),
        **run_context(records, test_sets, tables[1:]),
        **curves_context(every, test_sets),
        **counts_context(every, test_sets, ground),
    }
    page, head = render(context), preface(name, ground, records) + measured_markdown(leads)
    with atomic_dir(out) as folder:
        (folder / "index.html").write_text(page, encoding="utf-8")
        rows = (row for each in photographs for row in write_sheets(folder / "gallery", each, predictions))
        for done, _ in enumerate(rows, start=1):
            progress(done, context["photographs"])
        copy_sheet(depth_teacher, folder / "gallery")
        if leads:
            (folder / "measured.csv").write_text(measured_csv(leads), encoding="utf-8")
        (folder / "tables.csv").write_text(as_csv(tables), encoding="utf-8")
        (folder / "tables.md").write_text(as_markdown(tables, head), encoding="utf-8")
        (folder / "tables.tex").write_text(
            as_latex(tables, NOT_COMPARABLE * bool(ground.rendered), RULES[ground.f_beta]), encoding="utf-8"
        )


def stand_ins(teacher: Path, records: Sequence[RunRecord]) -> dict[str, str]:
    """For the provenance: what the depth teacher or a run began with that is not the published file."""
    card = read_json(teacher / CARD) if (teacher / CARD).is_file() else {}
    cards = {"depth_teacher": card} | {record.run: record.card for record in records}
    said = [f"{run}: {card['not_published']}" for run, card in cards.items() if "not_published" in card]
    return {"not_the_published_file": "; ".join(said)} if said else {}


def rendered_test_sets(prepared: Path) -> frozenset[str]:
    """The test sets whose photographs are rendered stand-ins."""
    return frozenset(name for name, each in TEST_SETS.items() if is_rendered(prepared / each.dataset))


def rule_of(departures: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> Recipe:
    """By which rule the networks' Fβ is compared with the paper's: as those were made, unless it is said."""
    chosen = departures.get("f_beta") if isinstance(departures, Mapping) else None
    return "paper" if chosen == "paper" else "published_code"


def all_fillings(
    records: Sequence[RunRecord], methods: Sequence[PublishedMaps], beside: Mapping[str, str]
) -> list[Filling]:
    """Everything that may fill rows, in the order to show it."""
    ours = [
        Filling("authors_weights" if record.run in beside else "ours", beside.get(record.run, row_of(record)), record)
        for record in records
    ]
    return ours + [Filling("published_maps", method.row, method.record) for method in methods]


def preface(name: str, ground: Ground, records: Sequence[RunRecord]) -> str:
    """The head of the Markdown file."""
    warning = f"\n\n**{NOT_COMPARABLE}**" if ground.rendered else ""
    encoders = dict.fromkeys(encoder_of(each.card) for each in records if each.summary and "loss" in each.card)
    warning += f"\n\nOurs on {', '.join(encoders)}; the paper’s networks on ResNeSt101." if encoders else ""
    return f"# D-DFFNet reproduced: {name}{warning}\n\nTables I to VI: {RULES[ground.f_beta]}"


def gallery_json(photographs: Sequence[Photographs], records: Sequence[RunRecord]) -> Markup | None:
    """What the gallery's script reads; None where no map has a score."""
    data = gallery_data(photographs, records)
    return embedded(data) if data["metrics"] else None


def origins(records: Sequence[RunRecord], stages: Sequence[StageFacts]) -> list[tuple[RunRecord, list[StageFacts]]]:
    """Everything that is scored, with the stages that made it."""
    return [(record, stages_of(stages, record.run)) for record in records if record.summary]


def run_context(records: list[RunRecord], test_sets: list[str], tables: Sequence[Table]) -> dict[str, Any]:
    """What the page shows of the runs apart from tables, curves and pictures."""
    pairs = compare_pairs(records, test_sets)
    within = {source: count_within(tables, source) for source in SOURCES}
    return {
        "within": {WHOSE[source]: counts for source, counts in within.items() if counts[1]},
        "judged": any(table.is_judged for table in tables),
        "pairs": pairs,
        "findings": [finding(pair) for pair in pairs],
        "backbones": {record.run: encoder_of(record.card) for record in records},
        "best_runs": [record.run for record in records if recipe_of(record) == "best"],
        "cards": [(record.run, pretty(record.card)) for record in records if record.card],
    }


def curves_context(records: list[RunRecord], test_sets: list[str]) -> dict[str, Any]:
    """Figures and their legends."""
    every = styled(records)
    return {
        "runs_drawn": [(each.record.run, each.name, each.classes) for each in every if each.record.curves],
        "precision_recall": precision_recall(every, test_sets),
        "bars": fig7_bars(every, test_sets),
        "training": training_figures(every),
        "trained": [(each.record.run, each.name, each.classes) for each in every if each.record.history],
    }


def finding(pair: Pair) -> str:
    """A pair in one sentence."""
    verdicts = [each.whole.verdict for each in pair.changes]
    words = {"lower": "lower", "higher": "higher", "unclear": "not told apart (95% interval)"}
    counts = {words[verdict]: verdicts.count(verdict) for verdict in words if verdict in verdicts}
    results = ", ".join(f"{word} on {count}" for word, count in counts.items())
    return f"{pair.what}, {label(pair.before)} → {label(pair.after)}: of {len(verdicts)} test sets, MAE is {results}."


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
