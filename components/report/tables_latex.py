r"""The tables as LaTeX, ready for `\input`: booktabs, numbers to three decimals, text escaped."""

from collections.abc import Sequence

from components.report.tables import Cell, Line, Row, Table
from components.report.tables_text import show, show_difference, whose

HEAD = r"""% Made by dbdflow's `report` stage; needs \usepackage{booktabs}. Each table is a tabular.
% Paper, ours and the difference (ours - paper); best of ours in bold. F_beta and IoU: blurred region positive.
"""
SYMBOL = {
    "MAE": r"MAE $\downarrow$",
    "F_beta": r"$F_\beta$ $\uparrow$",
    "F_beta_published": r"$F_\beta$ published $\uparrow$",
    "IoU": r"IoU $\uparrow$",
}
SPECIAL = {
    "\\": r"\textbackslash{}",
    **{char: f"\\{char}" for char in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "’": "'",
    "–": "--",
    "→": r"$\to$",
    "β": r"$\beta$",
}


def escaped(text: str) -> str:
    """Text as LaTeX prints it."""
    return "".join(SPECIAL.get(char, char) for char in text)


def number(text: str) -> str:
    """A shown number: its sign and the dash for none in LaTeX's way."""
    return "--" if text == "–" else f"${text.replace('−', '-')}$" if text[0] in "+−" else text


def value(cell: Cell) -> str:
    """A score, in bold where it is the best, with its spread over seeds where there are several."""
    text = f"\\textbf{{{show(cell.value)}}}" if cell.best else number(show(cell.value))
    return text if cell.spread is None else f"{text} $\\pm$ {show(cell.spread.deviation)}"


def line_rows(line: Line) -> list[list[str]]:
    """Whose value, then the numbers: a line of values, and of differences where the paper has any."""
    rows = [[escaped(whose(line)), *(value(cell) for cell in line.cells)]]
    if any(cell.difference is not None for cell in line.cells):
        rows.append(["difference", *(number(show_difference(cell.difference)) for cell in line.cells)])
    return rows


def table_rows(row: Row, columns: int, paper_side: bool) -> list[str]:
    """A row of the paper as lines of a tabular; the method stands on the first."""
    losses = [row.paper.stage1_loss, row.paper.stage2_loss]
    method = row.paper.method + (f" ({losses[0]}, {losses[1]})" if losses[0] else "")
    found = [["paper", *(number(show(printed)) for printed in row.paper.values.values())]] if paper_side else []
    found += [each for line in row.lines for each in line_rows(line)]
    lines = [" & ".join([escaped(method) if i == 0 else "", *each]) for i, each in enumerate(found)]
    if row.absent:
        why = escaped(f"not run: {row.absent}".replace("`", ""))
        lines.append(f" & \\multicolumn{{{columns + 1}}}{{l}}{{\\emph{{{why}}}}}")
    return [f"{line} \\\\" for line in lines]


def latex_table(table: Table) -> str:
    """One table, without a float around it."""
    groups = " & ".join(f"\\multicolumn{{{span}}}{{c}}{{{escaped(name)}}}" for name, span in table.groups)
    rules, first = [], 3
    for _, span in table.groups:
        rules.append(f"\\cmidrule(lr){{{first}-{first + span - 1}}}")
        first += span
    paper_side = table.number != "runs"
    title = f"Table {table.number}. {table.caption}" if paper_side else table.caption
    body = [table_rows(row, len(table.columns), paper_side) for row in table.rows]
    gap = "\\addlinespace" if paper_side else ""
    lines = [
        f"% {title}",
        f"\\begin{{tabular}}{{ll{'r' * len(table.columns)}}}",
        "\\toprule",
        f" & & {groups} \\\\",
        " ".join(rules),
        " & ".join(["Method", "", *(SYMBOL[metric] for _, metric in table.columns)]) + " \\\\",
        "\\midrule",
        *f"\n{gap}\n".join("\n".join(rows) for rows in body).split("\n"),
        "\\bottomrule",
        "\\end{tabular}",
    ]
    return "\n".join(line for line in lines if line) + "\n"


def as_latex(tables: Sequence[Table], *notes: str) -> str:
    """All tables, each a `tabular`; `notes` stand above them as comments, those that are not empty."""
    return "\n".join(
        [
            HEAD + "".join(f"% {note}\n" for note in notes if note),
            *(latex_table(table) for table in tables if table.columns),
        ]
    )
