"""Photographs with their maps beside each other, cut out of the gallery's sheets: worst and best, Figs. 4 and 12.

Which photographs are shown is decided by a rule that the page states, never by hand.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from components.report.encoders import recipe_of, row_of
from components.report.records import RunRecord
from components.report.sheets import OWN, Photographs
from components.scoring.paper_tables import paper_tables
from components.scoring.regions import regions

MOST = 12
"""Worst and best photographs."""
DIFFERENT = 4
"""Photographs of Fig. 12 that gained most, and that lost most."""
COMPARED = 6
"""Photographs of Fig. 4."""
FOCUS = (0.05, 0.95)
"""Fractions in focus between which a photograph can stand in Fig. 4."""


@dataclass(frozen=True)
class Tile:
    """One picture: the tile at `place` of so many in the sheet `source`, for a photograph of `shape` = width / height.

    `name` stands beneath it, with its `mae` where it has one.
    """

    source: str
    place: int
    tiles: int
    side: int
    shape: float
    name: str
    alt: str
    mae: float | None


@dataclass(frozen=True)
class Strip:
    """One photograph: its id, its fraction in focus, and its pictures in order."""

    id: str
    in_focus: float
    tiles: tuple[Tile, ...]


def tile_of(photographs: Photographs, row: int, place: int, name: str, mae: float | None = None) -> Tile:
    """A picture of the photograph in a row of the index."""
    facts, folder = photographs.prepared.rows[row], photographs.prepared.name
    shape = round(facts.width / facts.height, 3)
    source, alt = f"gallery/{folder}/{row}.jpg", f"{facts.id}: {name}"
    return Tile(source, place, OWN + len(photographs.runs), photographs.side, shape, name, alt, mae)


def strip(photographs: Photographs, row: int, records: Sequence[RunRecord], test_set: str) -> Strip:
    """A photograph, its label, and the maps of some runs with their MAE."""
    facts = photographs.prepared.rows[row]
    tiles = [tile_of(photographs, row, place, name) for place, name in enumerate(("Photograph", "Label"))]
    for record in records:
        mae, place = mae_on(photographs, record, test_set, row), OWN + photographs.runs.index(record.run)
        tiles.append(tile_of(photographs, row, place, record.title, None if math.isnan(mae) else mae))
    return Strip(facts.id, facts.in_focus, tuple(tiles))


def ordered(photographs: Photographs, test_set: str, key: Callable[[int], float]) -> list[int]:
    """Rows of a test set by rising `key`, ties by id; those whose key is NaN are left out."""
    rows = [int(row) for row in photographs.prepared.split(test_set)]
    keyed = [(key(row), photographs.prepared.ids[row], row) for row in rows]
    return [row for _, _, row in sorted(each for each in keyed if not math.isnan(each[0]))]


def mae_on(photographs: Photographs, record: RunRecord, test_set: str, row: int) -> float:
    """MAE of a run on the photograph of a row; NaN where it has none."""
    return float(
        record.images(test_set).get("mae", pd.Series(dtype=float)).get(photographs.prepared.ids[row], math.nan)
    )


def worst_and_best(photographs: Photographs, record: RunRecord, test_set: str) -> tuple[list[Strip], list[Strip]]:
    """The photographs of the highest MAE, falling, and of the lowest, rising; no photograph is in both."""
    rows = ordered(photographs, test_set, lambda row: mae_on(photographs, record, test_set, row))
    strips = [strip(photographs, row, [record], test_set) for row in rows]
    count = min(MOST, len(strips) // 2)
    return strips[::-1][:count], strips[:count]


def most_different(
    photographs: Photographs, before: RunRecord, after: RunRecord, test_set: str
) -> tuple[list[Strip], list[Strip]]:
    """Fig. 12: the photographs whose MAE fell most from one run to the other, and those whose MAE rose most."""

    def change(row: int) -> float:
        first, second = (mae_on(photographs, each, test_set, row) for each in (before, after))
        return second - first

    rows = ordered(photographs, test_set, change)
    gained = [row for row in rows if change(row) < 0][:DIFFERENT]
    lost = [row for row in rows[::-1] if change(row) > 0][:DIFFERENT]
    shown = {row: strip(photographs, row, [before, after], test_set) for row in (*gained, *lost)}
    return [shown[row] for row in gained], [shown[row] for row in lost]


def compared_runs(photographs: Photographs, records: Sequence[RunRecord]) -> list[RunRecord]:
    """Fig. 4: the runs that fill a row of Table I, by either recipe, classical methods first."""
    rows = {row.run for table in paper_tables() if table.number == "I" for row in table.rows}
    found = [each for each in records if row_of(each) in rows and each.run in photographs.runs]
    return sorted(found, key=lambda each: {None: 0, "paper": 1, "best": 2}[recipe_of(each)])


def flat_in_focus(photographs: Photographs, row: int) -> float:
    """The fraction of a photograph that is homogeneous and in focus; NaN where nearly all or nothing is in focus."""
    prepared = photographs.prepared
    if not FOCUS[0] <= prepared.rows[row].in_focus <= FOCUS[1]:
        return math.nan
    masks = regions(np.array(prepared.images[row]), np.array(prepared.labels[row]))
    return float(masks["homogeneous_in_focus"].mean())


def compared(photographs: Photographs, records: Sequence[RunRecord], test_set: str) -> list[Strip]:
    """Fig. 4: the methods side by side on the photographs of which most is homogeneous and in focus."""
    runs = compared_runs(photographs, records)
    rows = ordered(photographs, test_set, lambda row: -flat_in_focus(photographs, row))[:COMPARED] if runs else []
    return [strip(photographs, row, runs, test_set) for row in rows]
