"""The template filled: style and scripts put into it, and how values that are no scores are written."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from components.report.charts import interval
from components.report.datasets import FACTS
from components.report.depth_sheet import PICTURE
from components.report.measured import BOLD
from components.report.measured_text import photographs, signed
from components.report.table7 import COLUMNS
from components.report.tables import RULES, SYMBOL, Row
from components.report.tables_text import WHOSE, show, show_difference, whose
from components.scoring.intervals import RESAMPLES
from components.scoring.paper_tables import TOLERANCE, label
from components.scoring.regions import BAND, FLAT, REGIONS, WINDOW

HERE = Path(__file__).parent
SCRIPTS = ("charts", "provenance", "gallery_order", "gallery_cards", "gallery")
"""Parts of the page's script, in order."""

NOT_COMPARABLE = (
    "A check of the machinery on rendered photographs, no claim about the paper: its numbers are NOT comparable with "
    "the paper’s, which are shown for the shape of the tables only."
)


def slug(run: str) -> str:
    """A run's name as part of an element's id."""
    return re.sub(r"[^\w-]", "-", run)


def pretty(value: object) -> str:
    """A value as indented JSON; text as it stands."""
    return value if isinstance(value, str) else json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)


def compact(value: object) -> str:
    """A value as JSON on one line; text as it stands."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)


def readable_provenance(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """The known parts of the provenance, empty where they are not given, and the rest as `more`."""
    known = {"commit": "", "params": "", "stages": (), "versions": {}, "executions": ""}
    parts = {key: provenance.get(key, default) for key, default in known.items()}
    more = {key: pretty(value) for key, value in provenance.items() if key not in known}
    outs = [(stage.name, out) for stage in parts["stages"] for out in stage.writes]
    text = {"params": pretty(parts["params"]), "short": short_commit(parts["commit"])}
    return parts | {"more": more, "outs": outs} | text


def short_commit(commit: str) -> str:
    """The first ten digits of a commit and a note of changes beside it; any other text as it stands."""
    found = re.fullmatch(r"([0-9a-f]{10})[0-9a-f]*(-dirty)?", commit)
    return found[1] + (" with changes" if found[2] else "") if found else commit


def codes(text: str) -> Markup:
    """A message with what stands in backquotes as code."""
    plain, code = Markup("{}"), Markup("<code>{}</code>")
    parts = text.split("`")
    return Markup("").join((code if i % 2 else plain).format(part) for i, part in enumerate(parts))


def encoders(row: Row, known: Mapping[str, str]) -> str:
    """What the lines of ours in a row stand on; `known`: run -> its encoder."""
    found = dict.fromkeys(known.get(line.run, "") for line in row.lines if line.source == "ours")
    return ", ".join(name for name in found if name)


def p_value(value: float) -> str:
    """A p value to three decimals, above a tenth to two; below a thousandth it says so."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def render(context: Mapping[str, Any]) -> str:
    """The page for a context; style and script are put into it, and its own policy forbids loading anything else."""
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    environment.filters |= {"score": show, "signed": show_difference, "signed4": signed, "p": p_value, "label": label}
    environment.filters |= {"whose": whose, "photographs": photographs, "codes": codes, "interval": interval}
    environment.filters |= {"slug": slug, "compact": compact, "encoders": encoders}
    script = "\n".join((HERE / "scripts" / f"{part}.js").read_text(encoding="utf-8") for part in SCRIPTS)
    return environment.get_template("template.html.j2").render(
        context,
        not_comparable=NOT_COMPARABLE,
        style=(HERE / "style.css").read_text(encoding="utf-8"),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        symbol=SYMBOL,
        rules=RULES,
        whose=WHOSE,
        bold=BOLD,
        depth_picture=PICTURE,
        fact_names=list(FACTS),
        table7_columns=COLUMNS,
        tolerance=TOLERANCE,
        resamples=RESAMPLES,
        regions=REGIONS,
        flat=FLAT,
        window=WINDOW,
        band=BAND,
    )
