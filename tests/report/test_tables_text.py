"""The tables as CSV, Markdown and LaTeX."""

import csv
import io
from dataclasses import replace

import pytest

from components.report.tables import Filling, Ground, fill
from components.report.tables_latex import as_latex, escaped, latex_table
from components.report.tables_text import as_csv, as_markdown, show, show_difference
from components.scoring.paper_tables import PaperRow, PaperTable, paper_tables
from tests.report.test_tables import PAPER, TABLE_I, ours, record

SMALL = PaperTable(
    "I",
    "Methods",
    (("CUHK-TE-1", "MAE"), ("EBD(1305)", "F_beta")),
    tuple(
        PaperRow("I", i, kind, run, method, "bce&el" if i == 1 else "", "-", "", values)
        for i, (kind, run, method, values) in enumerate(
            [
                ("model", "dffnet", "DFFNet", {("CUHK-TE-1", "MAE"): 0.039, ("EBD(1305)", "F_beta"): 0.97}),
                ("model", "d_dffnet", "D-DFFNet", {("CUHK-TE-1", "MAE"): 0.036, ("EBD(1305)", "F_beta"): None}),
                ("published", "x_y", "X_Y [1]", {("CUHK-TE-1", "MAE"): 0.1, ("EBD(1305)", "F_beta"): 0.5}),
            ],
            start=1,
        )
    ),
)
SMALL_LATEX = r"""% Table I. Methods
\begin{tabular}{llrr}
\toprule
 & & \multicolumn{1}{c}{CUHK-TE-1} & \multicolumn{1}{c}{EBD(1305)} \\
\cmidrule(lr){3-3} \cmidrule(lr){4-4}
Method &  & MAE $\downarrow$ & $F_\beta$ $\uparrow$ \\
\midrule
DFFNet (bce\&el, -) & paper & 0.039 & 0.970 \\
 & ours & 0.050 & -- \\
 & difference & $+0.011$ & -- \\
\addlinespace
D-DFFNet & paper & 0.036 & -- \\
 & ours & \textbf{0.030} $\pm$ 0.014 & -- \\
 & difference & $-0.006$ & -- \\
\addlinespace
X\_Y [1] & paper & 0.100 & 0.500 \\
 & \multicolumn{3}{l}{\emph{not run: needs maps in data/external/x\_y (data/external/README.md)}} \\
\bottomrule
\end{tabular}
"""


def table_one(*fillings, ground=PAPER):
    return fill(TABLE_I, fillings, ground)


def rows_of(*fillings):
    return list(csv.DictReader(io.StringIO(as_csv([table_one(*fillings)]))))


def test_numbers_as_shown():
    assert [show(0.0395), show(None)] == ["0.040", "–"]
    assert [show_difference(value) for value in (0.0124, -0.0005001, -0.0004, None)] == [
        "+0.012",
        "−0.001",
        "0.000",
        "–",
    ]


def test_csv_holds_every_number_once_and_ours_in_full():
    lines = rows_of(*ours(record("dffnet", 0.04049)))
    assert len(lines) == 13 * 15
    line = next(each for each in lines if each["run"] == "dffnet" and each["metric"] == "MAE")
    shown = [line[key] for key in ("source", "paper", "value", "difference", "within_tolerance", "images", "not_run")]
    assert shown == ["ours", "0.039", "0.04049", "0.001", "True", "", ""]
    assert {each["not_run"] for each in lines if each["run"] == "dffnet"} == {""}
    assert next(each for each in lines if each["run"] == "btbnet" and each["test_set"] == "EBD")["paper"] == ""


def test_csv_says_whose_every_number_is():
    weights = Filling("authors_weights", "dffnet", record("published_dffnet_cuhk1", 0.04, images=7))
    maps = Filling("published_maps", "dffnet", record("external/x", 0.05))
    lines = [line for line in rows_of(weights, maps) if line["method"] == "DFFNet" and line["metric"] == "MAE"]
    first = [line for line in lines if line["test_set"] == "CUHK-TE-1"]
    assert [(line["source"], line["run"], line["value"], line["images"], line["not_run"]) for line in first] == [
        ("ours", "dffnet", "", "", "not in this parameter file"),
        ("authors_weights", "published_dffnet_cuhk1", "0.04", "7 of 100", ""),
        ("published_maps", "external/x", "0.05", "", ""),
    ]
    absent = {line["run"]: (line["source"], line["value"]) for line in rows_of()}
    assert (absent["dbdf"], absent["btbnet"]) == (("ours", ""), ("published_maps", ""))


def test_markdown_shows_paper_value_and_difference():
    table = table_one(*ours(record("dffnet", 0.0404), record("d_dffnet", 0.05)))
    lines = as_markdown([table], "# Head").splitlines()
    row = next(line for line in lines if line.startswith("| DFFNet "))
    assert row.startswith(
        "| DFFNet |  | ours | `dffnet` | 0.039 / **0.040** (+0.001 ✓) | 0.971 / **0.900** (−0.071 ✗) |"
    )
    cells = [line.count("|") for line in lines if line.startswith("|")]
    assert set(cells) == {20}


def test_markdown_has_a_line_for_every_source_and_says_what_is_partial():
    table = table_one(
        *ours(record("hifst", 0.25, images=7)), Filling("published_maps", "hifst", record("external/hifst", 0.223))
    )
    lines = [line for line in as_markdown([table], "").splitlines() if line.startswith("| HiFST")]
    assert lines[0].startswith(
        "| HiFST [3] |  | ours | `hifst` | 0.223 / 0.250 (+0.027, 7 of 100 images) | 0.803 / 0.9"
    )
    assert lines[1].startswith("| HiFST [3] |  | published maps | `external/hifst` | 0.223 / 0.223 (0.000 ✓) |")


def test_markdown_says_why_a_row_is_empty():
    text = as_markdown([fill(table, [], Ground(settings=False)) for table in paper_tables()], "")
    assert (
        "| CENet [6] |  | published maps | not run: needs maps in data/external/cenet (data/external/README.md) |"
        in text
    )
    assert "| PDNet | bce&el, - | ours | not run: not in this parameter file | 0.041 |" in text


def test_latex_to_the_letter():
    """Two seeds of 0.02 and 0.04: 0.03, standard deviation 0.0141."""
    seeds = ({"CUHK-TE-1": {"mae": 0.02}},)
    student = replace(record("d_dffnet", 0.04), seeds=seeds)
    table = fill(SMALL, ours(record("dffnet", 0.05), student), Ground(settings=False))
    assert latex_table(table) == SMALL_LATEX
    assert as_latex([table], "Made up.").endswith("% Made up.\n\n" + SMALL_LATEX)


def test_latex_escapes_what_it_would_take_for_its_own():
    assert escaped("50% of a_b & {c} #1 ~ ^ \\ $") == (
        r"50\% of a\_b \& \{c\} \#1 \textasciitilde{} \textasciicircum{} \textbackslash{} \$"
    )


def test_every_table_in_latex_has_its_columns():
    tables = [fill(table, ours(record("dffnet", 0.04), record("d_dffnet", 0.03)), PAPER) for table in paper_tables()]
    for table in tables:
        for line in latex_table(table).splitlines():
            if line.endswith(r"\\") and "multicolumn" not in line:
                assert line.count(" & ") == len(table.columns) + 1, line


def test_csv_and_markdown_say_the_spread_over_seeds():
    student = replace(record("d_dffnet", 0.04), seeds=({"CUHK-TE-1": {"mae": 0.02}},))
    table = table_one(*ours(student))
    line = next(each for each in rows_of(*ours(student)) if each["run"] == "d_dffnet" and each["metric"] == "MAE")
    assert (line["value"], line["seeds"]) == ("0.03", "2")
    assert float(line["deviation"]) == pytest.approx(0.02 / 2**0.5)
    assert "| 0.036 / 0.030 ± 0.014 (−0.006 ✗) |" in as_markdown([table], "")
