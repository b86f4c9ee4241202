"""Table VII (Appendix A): the test sets by number, resolution, aperture and kind, as printed and as prepared."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from components.catalog.test_sets import TEST_SETS, is_rendered
from components.datasets.prepared import IndexRow, PreparedSet

COLUMNS = ("Name", "Number", "Resolution", "Aperture sizes", "Clear images", "Partial-focus images", "Image type")
"""As the paper prints them. Clear images are those of wide DOF, "where most regions are in focus"."""


@dataclass(frozen=True)
class SetFacts:
    """One line of the table; None where it is not known."""

    number: int
    resolution: str | None
    """Width x height in pixels; of prepared sets the most frequent size."""
    aperture: str | None
    clear: int | None
    partial_focus: int | None
    image_type: str
    """`real` (from a camera), `synthetic` (from all-in-focus images), or `rendered` for a stand-in of ours."""


@dataclass(frozen=True)
class MeasuredFacts(SetFacts):
    """One line of the table from the labels of a prepared set, and what the table does not hold."""

    of_that_resolution: int
    """Labels of the most frequent size."""
    photographs: int
    """Labels whose photograph is there."""
    all_in_focus: int
    """Labels without a pixel out of focus."""


@dataclass(frozen=True)
class Table7Row:
    """One test set, `test_set` by our name: what the paper prints, and what we find (None: not prepared)."""

    name: str
    test_set: str
    paper: SetFacts
    ours: MeasuredFacts | None


PAPER = {
    "CUHK-TE-1": ("CUHK-TE", SetFacts(100, "640x427", "f/5.0", 0, 100, "real")),
    "DUT-TE": ("DUT-TE", SetFacts(500, "320x320", None, 0, 500, "synthetic")),
    "CTCUG": ("CTCUG", SetFacts(150, "480x360", None, 0, 150, "real")),
    "EBD": ("EBD", SetFacts(1605, "1600x1024", "f/1.8&f/16", 300, 1305, "real")),
}
"""Our name of a test set -> the paper's, and its line of Table VII."""


def measure(data: PreparedSet, test_set: str) -> MeasuredFacts | None:
    """The line of a test set from its labels, None where it has none.

    Clear images are those of wide DOF where the set states it, else those whose label is in focus everywhere. Aperture
    and type are in no label: they are the paper's, unless the set is rendered.
    """
    rows = [data.rows[i] for i in data.labelled(test_set)]
    if not rows:
        return None
    ((width, height), most) = Counter((row.width, row.height) for row in rows).most_common(1)[0]
    clear, printed = sum(is_clear(row) for row in rows), PAPER[test_set][1]
    return MeasuredFacts(
        number=len(rows),
        resolution=f"{width}x{height}",
        aperture=printed.aperture,
        clear=clear,
        partial_focus=len(rows) - clear,
        image_type="rendered" if is_rendered(data.folder) else printed.image_type,
        of_that_resolution=most,
        photographs=sum(bool(row.image) for row in rows),
        all_in_focus=sum(row.in_focus == 1 for row in rows),
    )


def is_clear(row: IndexRow) -> bool:
    """Whether a photograph is of wide DOF, as far as the set or else the label says."""
    return row.dof == "wide" if row.dof else row.in_focus == 1


def table7(sets: Sequence[PreparedSet]) -> list[Table7Row]:
    """Table VII in the paper's order, its values beside those of the prepared sets."""
    by_name = {data.name: data for data in sets}
    found = []
    for test_set, (name, paper) in PAPER.items():
        data = by_name.get(TEST_SETS[test_set].dataset)
        found.append(Table7Row(name, test_set, paper, measure(data, test_set) if data else None))
    return found
