"""Table VII: the paper's lines, and ours by hand."""

import re

from components.catalog.test_sets import TEST_SETS
from components.datasets.prepared import PreparedSet
from components.prepare.build import prepare_set
from components.report.table7 import COLUMNS, PAPER, table7
from tests.data.conftest import mask, photograph


def test_the_paper_s_lines(shared):
    lines = (shared / "paper/paper.txt").read_text().split("\nTABLE VII:")[1].splitlines()
    header = next(i for i, line in enumerate(lines) if line.startswith("Name\t"))
    assert tuple(lines[header].split("\t")) == COLUMNS
    printed = [
        f"{name}\t{fact.number}\t{fact.resolution.replace('x', '×')}\t{fact.aperture or '-'}\t{fact.clear}\t"
        f"{fact.partial_focus}\t{fact.image_type}"
        for name, fact in PAPER.values()
    ]
    assert printed == [re.sub(r"\s+$", "", line) for line in lines[header + 1 : header + 5]]


def test_the_catalogue_agrees_with_the_paper():
    assert {name: TEST_SETS[name].images for name in PAPER} == {name: fact.number for name, (_, fact) in PAPER.items()}


def test_nothing_prepared():
    found = table7([])
    assert [(row.name, row.test_set, row.ours) for row in found] == [
        ("CUHK-TE", "CUHK-TE-1", None),
        ("DUT-TE", "DUT-TE", None),
        ("CTCUG", "CTCUG", None),
        ("EBD", "EBD", None),
    ]


def test_a_set_by_hand(ctcug, tmp_path):
    mask(ctcug / "CTCUG/CTCUG_gt/1.png", white=0)  # nothing is out of focus
    photograph(ctcug / "CTCUG/CTCUG_images/4.png", 10, 40)
    mask(ctcug / "CTCUG/CTCUG_gt/4.png", 10, 40, white=20)
    (ctcug / "CTCUG/CTCUG_images/2.jpg").unlink()
    prepare_set("ctcug", ctcug, tmp_path / "out", image_size=16, partial=True)
    ours = table7([PreparedSet.load(tmp_path / "out")])[2].ours
    assert (ours.number, ours.photographs, ours.resolution, ours.of_that_resolution) == (4, 3, "30x20", 3)
    assert (ours.clear, ours.partial_focus, ours.all_in_focus) == (1, 3, 1)
    assert (ours.aperture, ours.image_type) == (None, "real")


def test_ebd_tells_wide_from_shallow_by_the_set(rendered, tmp_path):
    prepare_set("ebd", rendered / "ebd", tmp_path / "out", image_size=16)
    ours = table7([PreparedSet.load(tmp_path / "out")])[3].ours
    assert (ours.number, ours.clear, ours.partial_focus, ours.image_type) == (5, 2, 3, "rendered")


def test_a_set_without_its_test_split(rendered, tmp_path):
    raw = tmp_path / "raw"
    for folder in ("image", "gt"):
        (raw / folder).mkdir(parents=True)
    photograph(raw / "image/out_of_focus9999.jpg")
    mask(raw / "gt/out_of_focus9999.png")
    prepare_set("cuhk", raw, tmp_path / "out", image_size=16, partial=True)
    assert table7([PreparedSet.load(tmp_path / "out")])[0].ours is None
