"""What the gallery's script knows: photographs, methods, metrics of each photograph, and the paper's questions.

A value is a whole number of ten-thousandths, so that 3000 photographs of 25 methods fit into 3 MB of JSON.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from markupsafe import Markup

from components.report.paired import DISTILLED
from components.report.records import RunRecord, in_order
from components.report.sheets import OWN, Photographs
from components.scoring.regions import REGIONS

UNIT = 10_000
DOF = ("shallow", "wide", "")

METRICS = {
    "mae": ("MAE", "lower"),
    "f_beta": ("Fβ", "higher"),
    "f_beta_published": ("Fβ published", "higher"),
    "iou": ("IoU", "higher"),
    **{f"mae_{region}": (f"MAE: {name.lower()}", "lower") for region, name in REGIONS.items()},
}
"""Columns of `per_image.csv` by which photographs can be sorted: name, and whether lower or higher is better."""


@dataclass(frozen=True)
class Question:
    """A question that the paper answers with pictures: how the gallery looks to answer it here.

    `pairs`: the two methods to compare, (before, after), the first of which that are both there is taken.
    `metric`: what to sort by, after - before, largest gain first. `dof`: of the photographs, empty = any.
    """

    key: str
    name: str
    figures: str
    pairs: tuple[tuple[str, str], ...]
    metric: str
    view: str
    dof: str = ""


QUESTIONS = (
    Question(
        "homogeneous",
        "Homogeneous regions in focus",
        "Figs. 1, 4, 8, 12, 13: distillation should stop them from being taken for blur",
        DISTILLED,
        "mae_homogeneous_in_focus",
        "errors",
    ),
    Question(
        "boundaries",
        "DOF boundaries",
        "Fig. 9, there for the DOF-edge loss: errors near the boundaries of the label",
        (("d_dffnet_bce_bce", "d_dffnet_bce_el"), ("dffnet_bce", "dffnet"), *DISTILLED),
        "mae_edge",
        "slider",
    ),
    Question(
        "wide",
        "Wide DOF",
        "Section IV: almost everything is in focus, near and far",
        DISTILLED,
        "mae",
        "side",
        "wide",
    ),
    Question(
        "backbones",
        "Backbones on wide DOF",
        "Fig. 11: VGG16 against ResNeSt101",
        (("d_dffnet_vgg16", "d_dffnet"),),
        "mae",
        "side",
        "wide",
    ),
)

Column = list[int | None]


def scores_of(record: RunRecord, photographs: Sequence[Photographs]) -> dict[str, Column]:
    """Metric -> its value on every photograph of the gallery, in whole ten-thousandths, None where there is none;
    metrics that a run does not have are left out."""
    found = []
    for each in photographs:
        known = pd.concat([record.images(split) for split in each.prepared.test_splits()])
        found.append(known[~known.index.duplicated()].reindex([each.prepared.rows[row].id for row in each.rows]))
    table = pd.concat(found).reindex(columns=list(METRICS)).dropna(axis=1, how="all") * UNIT
    return {name: [None if math.isnan(value) else round(value) for value in column] for name, column in table.items()}


def questions_among(runs: Sequence[str], metrics: Sequence[str]) -> list[dict[str, str]]:
    """The questions for which both methods and the metric are there."""
    found = []
    for each in QUESTIONS:
        pair = next((pair for pair in each.pairs if set(pair) <= set(runs)), None)
        if pair and each.metric in metrics:
            facts = {"key": each.key, "name": each.name, "figures": each.figures, "view": each.view, "dof": each.dof}
            found.append(facts | {"first": pair[0], "second": pair[1], "metric": each.metric})
    return found


def gallery_data(photographs: Sequence[Photographs], records: Sequence[RunRecord]) -> dict[str, Any]:
    """Everything that the script needs, ready for JSON; columns have an entry a photograph, all in one order."""
    shown = {run for each in photographs for run in each.runs}
    methods = [record for record in records if record.run in shown]
    rows = [(number, each.prepared.rows[row], row) for number, each in enumerate(photographs) for row in each.rows]
    tests = {split for each in photographs for split in each.prepared.test_splits()}
    names = in_order({split for _, row, _ in rows for split in row.splits} & tests)
    scores = {record.run: scores_of(record, photographs) for record in methods}
    metrics = [metric for metric in METRICS if any(metric in columns for columns in scores.values())]
    return {
        "unit": UNIT,
        "methods": [{"run": record.run, "name": record.title} for record in methods],
        "metrics": [{"key": key, "name": METRICS[key][0], "better": METRICS[key][1]} for key in metrics],
        "sets": names,
        "folders": [
            {"name": each.prepared.name, "side": each.side, "tiles": {run: OWN + i for i, run in enumerate(each.runs)}}
            for each in photographs
        ],
        "photographs": {
            "id": [row.id for _, row, _ in rows],
            "folder": [number for number, _, _ in rows],
            "row": [place for _, _, place in rows],
            "sets": [[names.index(split) for split in row.splits if split in names] for _, row, _ in rows],
            "dof": [DOF.index(row.dof) for _, row, _ in rows],
            "focus": [round(row.in_focus * 1000) for _, row, _ in rows],
            "shape": [round(1000 * row.width / row.height) for _, row, _ in rows],
        },
        "scores": scores,
        "questions": questions_among([record.run for record in methods], metrics),
    }


def embedded(data: object) -> Markup:
    """Data as JSON that can stand in a page: no `<` could end the element that holds it."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return Markup(text.replace("<", "\\u003c"))
