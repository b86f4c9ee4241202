"""The paper's Tables I to VI as data, and the run of ours that fills each row.

`paper_tables.csv` holds one line a row: `kind` (`model`, `baseline`, `published` method), `run`
(the name a run of ours must have to fill it), what the paper prints beside the numbers, and one column a test set and
metric: empty where the table has no such column, `-` where the paper prints a dash.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

Key = tuple[str, str]
"""Test set and metric, such as ("DUT-TE", "F_beta")."""

TEST_SETS = ("CUHK-TE-1", "CUHK-TE-2", "DUT-TE", "CTCUG", "EBD", "EBD(1305)")
METRICS = ("MAE", "F_beta", "IoU")
TOLERANCE = {"MAE": 0.003, "F_beta": 0.005, "IoU": 0.005}
"""Absolute difference from the paper's value up to which a number counts as reproduced."""

CAPTIONS = {
    "I": "Methods trained on CUHK-TR-1",
    "II": "Methods trained on CUHK-TR-1 & DUT-TR",
    "III": "Methods trained on CUHK-TR-2 & DUT-TR",
    "IV": "Ablation of the losses and of distillation",
    "V": "Backbone of D-DFFNet",
    "VI": "Ablation of the dense feature fusion module (DFFM)",
}

ABSENT = {
    "model": "not in this parameter file",
    "baseline": "not in this parameter file",
    "published": "needs maps in data/external/{row} (data/external/README.md)",
}
"""Why nothing fills a row, by its kind."""

LABELS = {
    "all_blurred": "All blurred",
    "all_in_focus": "All in focus",
    "gradient": "Gradient magnitude",
    "hifst": "HiFST",
    "dbdf": "DBDF",
    "lbp": "LBP",
    "dffnet": "DFFNet",
    "dffnet_best": "DFFNet, recipe best",
    "pdnet": "PDNet",
    "rdffnet": "R-DFFNet",
    "d_dffnet": "D-DFFNet",
    "d_dffnet_best": "D-DFFNet, recipe best",
    "d_pdnet": "D-PDNet",
    "dffnet_dut": "DFFNet, CUHK-1 & DUT",
    "dffnet_cuhk2_dut": "DFFNet, CUHK-2 & DUT",
    "dffnet_bce": "DFFNet, BCE",
    "dffnet_without_dffm": "DFFNet w/o DFFM",
    "dffnet_vgg16": "DFFNet, VGG16",
    "d_dffnet_dut": "D-DFFNet, CUHK-1 & DUT",
    "d_dffnet_cuhk2_dut": "D-DFFNet, CUHK-2 & DUT",
    "d_dffnet_bce_bce": "D-DFFNet, BCE → BCE",
    "d_dffnet_bce_el": "D-DFFNet, BCE → BCE & edge",
    "d_dffnet_without_dffm": "D-DFFNet w/o DFFM",
    "d_dffnet_vgg16": "D-DFFNet, VGG16",
    "published_dffnet_cuhk1": "DFFNet, authors’ weights",
    "published_d_dffnet_cuhk1": "D-DFFNet, authors’ weights",
    "published_dffnet_cuhk1_dut": "DFFNet, CUHK-1 & DUT, authors’ weights",
    "published_d_dffnet_cuhk1_dut": "D-DFFNet, CUHK-1 & DUT, authors’ weights",
    "published_dffnet_cuhk2_dut": "DFFNet, CUHK-2 & DUT, authors’ weights",
    "published_d_dffnet_cuhk2_dut": "D-DFFNet, CUHK-2 & DUT, authors’ weights",
}


@dataclass(frozen=True)
class PaperRow:
    """A row of one of the paper's tables; `values` maps a column to its value, None where the paper prints a dash."""

    table: str
    number: int
    kind: str
    run: str
    method: str
    stage1_loss: str
    stage2_loss: str
    train: str
    values: dict[Key, float | None]


@dataclass(frozen=True)
class PaperTable:
    """One table: its Roman number, columns in the paper's order, and rows."""

    number: str
    caption: str
    columns: tuple[Key, ...]
    rows: tuple[PaperRow, ...]


def label(run: str) -> str:
    """The name people know a run by; the run's own name when it has no other."""
    return LABELS.get(run, run)


def read_row(line: dict[str, str]) -> PaperRow:
    """One line of the CSV file as a row."""
    columns = [(test_set, metric) for test_set in TEST_SETS for metric in METRICS]
    printed = {key: line[" ".join(key)] for key in columns if line[" ".join(key)]}
    values = {key: None if text == "-" else float(text) for key, text in printed.items()}
    facts = {name: line[name] for name in ("table", "kind", "run", "method", "stage1_loss", "stage2_loss", "train")}
    return PaperRow(**facts, number=int(line["row"]), values=values)


def paper_tables() -> list[PaperTable]:
    """Tables I to VI in order."""
    with (Path(__file__).parent / "paper_tables.csv").open(newline="", encoding="utf-8") as file:
        rows = [read_row(line) for line in csv.DictReader(file)]
    grouped = {number: tuple(row for row in rows if row.table == number) for number in CAPTIONS}
    return [
        PaperTable(number, CAPTIONS[number], tuple(members[0].values), members) for number, members in grouped.items()
    ]
