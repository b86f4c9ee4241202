"""Preparing real photographs of CUHK and DUT, where they are at hand."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.datasets.prepared import PreparedSet
from components.prepare.build import prepare_set

REAL = Path(__file__).parents[3] / "shared/real"
pytestmark = pytest.mark.skipif(not REAL.is_dir(), reason="../shared/real is not at hand")


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    root = tmp_path_factory.mktemp("real")
    for name in ("cuhk", "dut"):
        prepare_set(name, REAL / name, root / name, image_size=320, partial=True)
    return {name: PreparedSet.load(root / name) for name in ("cuhk", "dut")}


def test_cuhk_focus_fractions(sets):
    # black pixels of each label, counted with another program: 1 - (white pixels / pixels)
    expected = {"0011": 0.2633, "0015": 0.3012, "0031": 0.2612, "0035": 0.3259, "0080": 0.1370, "0142": 0.0644}
    found = {row.id.removeprefix("out_of_focus"): row.in_focus for row in sets["cuhk"].rows}
    assert {key: found[key] for key in expected} == pytest.approx(expected, abs=5e-5)


def test_dut_focus_fractions(sets):
    assert [row.id for row in sets["dut"].rows] == ["test-1", "test-2", "test-3"]
    assert [row.in_focus for row in sets["dut"].rows] == pytest.approx([0.2547, 0.3554, 0.4694], abs=5e-5)


def test_what_is_in_focus_has_more_detail(sets):
    """The polarity, from the photographs themselves: gradients are larger where the label says in focus."""
    for prepared in sets.values():
        more = 0
        for image, label in zip(prepared.images, prepared.labels, strict=True):
            grey = image.astype(np.float32).mean(axis=2)
            detail = np.abs(np.diff(grey, n=2, axis=1))
            focused = label[:, 1:-1] == 1
            more += bool(detail[focused].mean() > detail[~focused].mean())
        assert more >= len(prepared) - 1


def test_splits(sets):
    assert [row.id for row in sets["cuhk"].rows if "CUHK-TE-1" in row.splits] == ["out_of_focus0142"]
    assert len(sets["cuhk"].split("CUHK-TR-1")) == 6
    assert len(sets["cuhk"].split("CUHK-TR-2")) == len(sets["cuhk"].split("CUHK-TE-2")) == 0
    assert len(sets["dut"].split("DUT-TE")) == 3


def test_full_size_label_is_the_file(sets):
    row = sets["cuhk"].rows[0]
    with Image.open(REAL / "cuhk" / row.label) as label:
        np.testing.assert_array_equal(sets["cuhk"].full_label(0), (np.asarray(label) == 0).astype(np.uint8))
    assert (row.height, row.width) == (512, 640)


def test_report(sets):
    reports = {name: json.loads((s.folder / "validation.json").read_text()) for name, s in sets.items()}
    assert reports["cuhk"]["not_binary"]["max"] == 0
    assert reports["dut"]["not_binary"]["max"] == pytest.approx(0.0449, abs=1e-3)
    assert reports["dut"]["not_binary"]["worst"].endswith("DUT500GT-Testing/2.bmp")
    assert reports["dut"]["pairs"]["test"] == {"expected": 500, "found": 3}
    assert reports["cuhk"]["height"] == {"min": 426, "median": 427, "max": 512}
