"""What a GPU's day has found so far, written after every row; the standard library alone."""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import gpu_pack

Row = Mapping[str, Any]
"""A `gpu_rows.Row` as it comes from a part's process; this one imports nothing heavy."""
HEAD = "| part | what | value | |"
DRY = "Dry run on the CPU, no figures."


@dataclass
class Report:
    """What is known so far: written after every row."""

    out: Path
    dry: bool
    command: str
    parts: dict[str, list[Row]] = field(default_factory=dict)
    ended: dict[str, str] = field(default_factory=dict)
    """Part -> `done`, or why not."""
    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, part: str, row: Row) -> None:
        self.parts.setdefault(part, []).append(row)
        value = "" if row["value"] is None else f"{number(row['value'])} {row['unit']}"
        print(f"{part}: {row['what']}: {value} {row['note']}", flush=True)
        self.write()

    def end(self, part: str, how: str, seconds: float) -> None:
        self.parts.setdefault(part, [])
        self.ended[part], self.seconds[part] = how, round(seconds, 1)
        print(f"{part}: {how} after {seconds:.1f} s", flush=True)
        self.write()

    def write(self) -> None:
        self.out.mkdir(parents=True, exist_ok=True)
        whole(self.out / "day.json", json.dumps(asdict(self), indent=1, default=str))
        whole(self.out / "GPU.md", self.page())

    def page(self) -> str:
        """GPU.md: a line a row, and one a part."""
        lines = [
            "# A GPU's day",
            "",
            f"{time.strftime('%Y-%m-%d')}, `{self.command}`, commit {gpu_pack.commit()}. "
            + (DRY if self.dry else f"{sum(self.seconds.values()):.0f} s in all."),
            "",
            HEAD,
            "|---|---|---|---|",
        ]
        for part, rows in self.parts.items():
            for row in rows:
                told = "" if row["value"] is None or self.dry else f"{number(row['value'])} {row['unit']}".strip()
                note = row["note"] if not self.dry or row["value"] is None else ""
                lines.append(f"| {part} | {row['what']} | {told} | {note} |")
            lines.append(f"| {part} | | {self.seconds.get(part, '')} s | {self.ended.get(part, 'runs')} |")
        candidates = self.out / "candidates.md"
        more = ["", candidates.read_text(encoding="utf-8")] if candidates.exists() and not self.dry else []
        return "\n".join([*lines, *more]) + "\n"


def number(value: float) -> str:
    """A value for people: four digits.

    >>> number(0.12345), number(12345.6), number(3)
    ('0.1235', '12346', '3')
    """
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def whole(path: Path, text: str) -> None:
    """Write a file, whole or not at all."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
