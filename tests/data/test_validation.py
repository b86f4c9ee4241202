"""The validation report: every number by hand."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from components.catalog.sets import CUHK, DUT, EBD
from components.datasets.prepared import IndexRow
from components.prepare.build import prepare_set
from components.prepare.validation import describe_focus, describe_sizes, opposed
from tests.data.conftest import mask, photograph
from tests.data.test_near_duplicates import scene


def row(name, height=2, width=3, in_focus=0.5):
    return IndexRow(name, f"i/{name}.jpg", f"g/{name}.png", height, width, 0, "", (), in_focus)


def report_of(name, raw, out, **options):
    prepare_set(name, raw, out, image_size=48, **{"partial": True, **options})
    return json.loads((out / "validation.json").read_text())


def test_focus_in_tenths():
    values = [0.0, 0.05, 0.1, 0.55, 0.95, 1.0]
    found = describe_focus([row(str(value), in_focus=value) for value in values])
    assert found["histogram"] == [2, 1, 0, 0, 0, 1, 0, 0, 0, 2]
    assert (found["min"], found["median"], found["max"], found["labels"]) == (0.0, pytest.approx(0.325), 1.0, 6)
    assert found["mean"] == pytest.approx(2.65 / 6, abs=1e-6)


def test_sizes_most_frequent_first_and_at_most_twenty():
    rows = [row("a", 4, 9), row("b", 2, 3), row("c", 4, 9), *(row(str(i), 100, 100 + i) for i in range(30))]
    found = describe_sizes(rows)
    assert found[:2] == [{"width": 9, "height": 4, "count": 2}, {"width": 3, "height": 2, "count": 1}]
    assert len(found) == 20


def test_training_splits_and_their_test_splits():
    assert opposed(CUHK) == [("CUHK-TR-1", "CUHK-TE-1"), ("CUHK-TR-2", "CUHK-TE-2")]
    assert opposed(DUT) == [("DUT-TR", "DUT-TE")]
    assert opposed(EBD) == []


def test_labels_of_one_value_are_listed(ctcug, tmp_path):
    mask(ctcug / "CTCUG/CTCUG_gt/1.png", white=0)  # nothing is out of focus
    mask(ctcug / "CTCUG/CTCUG_gt/10.png", white=30)
    found = report_of("ctcug", ctcug, tmp_path / "out")
    assert found["all_in_focus"] == ["CTCUG/CTCUG_gt/1.png"]
    assert found["none_in_focus"] == ["CTCUG/CTCUG_gt/10.png"]
    assert found["in_focus"]["histogram"] == [1, 0, 0, 0, 0, 0, 1, 0, 0, 1]
    assert found["rendered"] is False
    assert (found["white_in_archive"], found["one_in_prepared"]) == ("out_of_focus", "in_focus")


def test_focus_of_shallow_and_wide(rendered, tmp_path):
    found = report_of("ebd", rendered / "ebd", tmp_path / "out")["in_focus_by_dof"]
    assert {dof: each["labels"] for dof, each in found.items()} == {"shallow": 3, "wide": 2}
    assert found["wide"]["mean"] > found["shallow"]["mean"]


def test_greys(ctcug, tmp_path):
    values = mask(ctcug / "CTCUG/CTCUG_gt/2.png")
    values[0, :6] = [25, 26, 128, 229, 230, 127]
    Image.fromarray(values).save(ctcug / "CTCUG/CTCUG_gt/2.png")
    found = report_of("ctcug", ctcug, tmp_path / "out")["not_binary"]
    assert found == {
        "labels": 1,
        "mean": round(4 / 600 / 3, 6),
        "max": round(4 / 600, 6),
        "worst": "CTCUG/CTCUG_gt/2.png",
    }


def test_duplicates_within_a_set(tmp_path):
    raw = tmp_path / "raw"
    stems = [f"out_of_focus000{i}" for i in range(1, 6)]
    for seed, stem in enumerate(stems):
        photograph(raw / f"image/{stem}.png")
        Image.fromarray(scene(seed)).save(raw / f"image/{stem}.png")
        mask(raw / f"gt/{stem}.png", 96, 96)
    shutil.copy(raw / "image/out_of_focus0002.png", raw / "image/out_of_focus0003.png")
    Image.fromarray(scene(0)[:, ::-1]).save(raw / "image/out_of_focus0005.jpg", quality=60)
    (raw / "image/out_of_focus0005.png").unlink()
    (raw / "cuhk_te1.txt").write_text("out_of_focus0001\nout_of_focus0004\n")
    found = report_of("cuhk", raw, tmp_path / "out")
    assert found["exact_duplicates"] == [["out_of_focus0002", "out_of_focus0003"]]
    (near,) = found["near_duplicates"]["listed"]
    assert found["near_duplicates"]["found"] == 1
    assert near["phash"] + near["dhash"] <= 6
    del near["phash"], near["dhash"]
    assert near == {
        "training": "out_of_focus0005",
        "test": "out_of_focus0001",
        "splits": "CUHK-TR-1 & CUHK-TE-1",
        "flip": "left to right",
    }


def test_at_most_fifty_near_duplicates_are_listed_and_all_counted(tmp_path):
    folder = tmp_path / "raw/DUT-DBD_Dataset"
    for part, labels, count in (
        ("DUT600S_Training", "DUT600GT_Training", 10),
        ("DUT500S-Testing", "DUT500GT-Testing", 6),
    ):
        for i in range(count):
            photograph(folder / part / f"{i}.png")
            Image.fromarray(scene(1)).save(folder / part / f"{i}.png")
            mask(folder / labels / f"{i}.bmp", 96, 96)
    found = report_of("dut", tmp_path / "raw", tmp_path / "out")
    assert found["near_duplicates"]["found"] == 60
    assert len(found["near_duplicates"]["listed"]) == 50
    assert [len(group) for group in found["exact_duplicates"]] == [16]


def test_every_tenth_of_the_histogram_holds_what_is_in_it():
    values = np.random.default_rng(0).random(500)
    found = describe_focus([row(str(i), in_focus=value) for i, value in enumerate(values)])
    assert found["histogram"] == [int(((values >= k / 10) & (values < (k + 1) / 10)).sum()) for k in range(10)]
