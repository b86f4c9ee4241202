"""The depth teacher as the report shows it: where it comes from, its error on validation photographs, its sheet."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.common.storage import read_json
from components.datasets.prepared import PreparedSet
from components.report.encoders import encoder_of

CARD, SHEET = "card.json", "sheet.png"
PICTURE = "depth_teacher.png"
"""The sheet's name in the gallery."""
VALIDATION = "CUHK-TR-1-VAL"


@dataclass(frozen=True)
class DepthTeacher:
    """A depth teacher that was trained here.

    `error`, `correlation`: see `components.train.depth_validation`. `images`: photographs that these are means over.
    `sheet`: the file of pictures, None where there is none.
    """

    encoder: str
    epochs: int
    error: float
    correlation: float
    images: int
    sheet: Path | None


def read_depth_teacher(folder: Path, sets: list[PreparedSet]) -> DepthTeacher | None:
    """What stage `depth_teacher` left in `folder`; None of published weights, which nothing here validates."""
    path = folder / CARD
    card: dict[str, Any] = read_json(path) if path.is_file() else {}
    if "validation_error" not in card:
        return None
    images = sum(len(each.split(VALIDATION)) for each in sets if VALIDATION in each.split_names)
    error, correlation = float(card["validation_error"]), float(card["validation_rank_correlation"])
    sheet = folder / SHEET
    settings = card["params"]
    return DepthTeacher(
        encoder_of(settings), int(settings["epochs"]), error, correlation, images, sheet if sheet.is_file() else None
    )


def copy_sheet(teacher: DepthTeacher | None, gallery: Path) -> None:
    """Put the sheet beside the page, if there is one."""
    if teacher is not None and teacher.sheet is not None:
        gallery.mkdir(exist_ok=True)
        shutil.copyfile(teacher.sheet, gallery / PICTURE)
