"""Sets of which something is missing: photographs, labels, whole parts, lists."""

import json
import shutil

import numpy as np
import pytest

from components.catalog.sets import CTCUG, EBD
from components.common.errors import InputError
from components.datasets.prepared import PreparedSet
from components.prepare.build import prepare_set
from components.prepare.pairs import Pair, find_pairs, unlabelled
from components.prepare.splits import dof_of, splits_of
from tests.data.conftest import mask, photograph


def prepared(name, raw, out, **options):
    prepare_set(name, raw, out, image_size=16, **{"partial": True, **options})
    return PreparedSet.load(out), json.loads((out / "validation.json").read_text())


def test_a_label_without_a_photograph_is_kept_and_one_without_a_label_left_out(ctcug, tmp_path):
    (ctcug / "CTCUG/CTCUG_images/2.jpg").unlink()
    mask(ctcug / "CTCUG/CTCUG_gt/2.png", white=15)
    (ctcug / "CTCUG/CTCUG_gt/10.png").unlink()
    found, report = prepared("ctcug", ctcug, tmp_path / "out")
    assert [(row.id, row.image) for row in found.rows] == [("1", "CTCUG/CTCUG_images/1.jpg"), ("2", "")]
    assert found.split("CTCUG").tolist() == found.test_rows().tolist() == [0]
    assert found.labelled("CTCUG").tolist() == [0, 1]
    assert not found.images[1].any()
    assert found.images[0].any()
    assert found.full_label(1).sum() == 20 * 15
    assert found.labels[1].mean() == found.rows[1].in_focus == 0.5
    assert report["labels_alone"] == ["CTCUG/CTCUG_gt/2.png"]
    assert report["photographs_alone"] == ["CTCUG/CTCUG_images/10.jpg"]
    assert report["pairs"] == {"all": {"found": 1, "expected": 150}}
    assert (report["splits"], report["labelled"]) == ({"CTCUG": 1}, {"CTCUG": 2})


def test_labels_alone(ctcug, tmp_path):
    shutil.rmtree(ctcug / "CTCUG/CTCUG_images")
    found, report = prepared("ctcug", ctcug, tmp_path / "out")
    assert found.split("CTCUG").size == 0
    assert [found.ids[row] for row in found.labelled("CTCUG")] == ["1", "2", "10"]
    assert not np.load(tmp_path / "out/hashes.npy").any()
    assert not found.images.any()
    assert report["exact_duplicates"] == []
    assert report["notes"] == ["all: 0 pairs, expected 150"]
    with pytest.raises(InputError, match=r"CTCUG_images: no such folder"):
        prepared("ctcug", ctcug, tmp_path / "other", partial=False)


def test_labelled_asks_for_a_split_of_this_set(ctcug, tmp_path):
    found, _ = prepared("ctcug", ctcug, tmp_path / "out")
    with pytest.raises(InputError, match="no split 'EBD'; this set has CTCUG"):
        found.labelled("EBD")


def test_labels_alone_of_a_rendered_set_have_no_depth(rendered, tmp_path):
    raw = shutil.copytree(rendered / "ctcug", tmp_path / "raw")
    next(iter((raw / "CTCUG/CTCUG_images").iterdir())).unlink()
    found, report = prepared("ctcug", raw, tmp_path / "out")
    alone = next(i for i, row in enumerate(found.rows) if not row.image)
    assert not found.depth[alone].any()
    assert found.depth[1 - alone].min() > 0
    assert report["rendered"] is True


def test_a_part_may_be_absent_but_not_incomplete(rendered, tmp_path):
    raw = shutil.copytree(rendered / "dut", tmp_path / "raw")
    folder = raw / "DUT-DBD_Dataset"
    shutil.rmtree(folder / "DUT600S_Training")
    shutil.rmtree(folder / "DUT600GT_Training")
    found, report = prepared("dut", raw, tmp_path / "out", partial=False)
    assert found.ids == ["test-1", "test-2", "test-3"]
    assert found.split("DUT-TR").size == 0
    assert report["notes"] == ["train: not there, DUT-DBD_Dataset/DUT600S_Training is missing: DUT-TR cannot be filled"]
    assert report["pairs"]["train"] == {"found": 0, "expected": 2}
    (folder / "DUT600S_Training").mkdir()
    with pytest.raises(InputError, match="DUT600GT_Training: no such folder"):
        prepared("dut", raw, tmp_path / "other", partial=False)
    (folder / "DUT600GT_Training").mkdir()
    with pytest.raises(InputError, match="DUT600S_Training: 0 photographs, expected 2"):
        prepared("dut", raw, tmp_path / "other", partial=False)
    shutil.rmtree(folder)
    with pytest.raises(InputError, match="raw: no photographs of DUT-DBD"):
        prepared("dut", raw, tmp_path / "other", partial=False)


def ebd_pairs(count):
    return [Pair(str(i), str(i), EBD.parts[0], None, None, 1, 1) for i in range(1, count + 1)]


def test_the_order_of_ebd_decides_only_where_it_is_complete(tmp_path):
    dof, splits = (
        function(EBD, ebd_pairs(1605), tmp_path) for function in (dof_of, lambda *args: splits_of(*args, False))
    )
    assert dof == ["shallow"] * 1305 + ["wide"] * 300
    assert splits == [("EBD", "EBD(1305)")] * 1305 + [("EBD",)] * 300
    assert dof_of(EBD, ebd_pairs(1604), tmp_path) == [""] * 1604
    (tmp_path / "ebd_shallow.txt").write_text("2\n1\n")
    assert dof_of(EBD, ebd_pairs(3), tmp_path) == ["shallow", "shallow", "wide"]


def test_an_incomplete_ebd_says_so(tmp_path):
    for i in (1, 2):
        photograph(tmp_path / f"raw/EBD/image/{i}.jpg")
        mask(tmp_path / f"raw/EBD/gt/{i}.png")
    found, report = prepared("ebd", tmp_path / "raw", tmp_path / "out")
    assert found.split("EBD(1305)").size == 0
    assert report["notes"][1] == "ebd_shallow.txt was not found, and the set is not complete: EBD(1305) is empty"
    assert report["in_focus_by_dof"] == {}


def test_a_jpg_of_the_test_list_is_not_trained_on(tmp_path):
    raw = tmp_path / "raw"
    (raw / "gt").mkdir(parents=True)
    names = {"out_of_focus0001": ".JPG", "OUT_OF_FOCUS0002": ".jpg", "out_of_focus0003": ".jpeg"}
    for seed, (stem, suffix) in enumerate(names.items()):
        photograph(raw / f"image/{stem}{suffix}", seed=seed, format="jpeg")
        mask(raw / f"gt/{stem.title()}.PNG")
    (raw / "cuhk_te1.txt").write_text("out_of_focus0001\nout_of_focus0002\n")
    found, report = prepared("cuhk", raw, tmp_path / "out")
    assert found.split("CUHK-TE-1").tolist() == [0, 1]
    assert found.split("CUHK-TR-1").tolist() == [2]
    assert report["shared"]["CUHK-TR-1 & CUHK-TE-1"] == 0


def test_a_list_that_is_no_text(tmp_path, ctcug):
    raw = ctcug.rename(tmp_path / "cuhk")
    for folder in ("image", "gt"):
        (raw / folder).mkdir()
    photograph(raw / "image/out_of_focus0001.jpg")
    mask(raw / "gt/out_of_focus0001.png")
    (raw / "cuhk_te1.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"cuhk_te1\.txt: not a readable list"):
        prepared("cuhk", raw, tmp_path / "out")


def test_pairs_as_they_are_found(ctcug):
    (ctcug / "CTCUG/CTCUG_images/1.jpg").rename(ctcug / "CTCUG/CTCUG_images/3.jpg")
    found = find_pairs(CTCUG, ctcug, True)
    assert [(pair.stem, pair.image and pair.image.name, pair.height, pair.width) for pair in found] == [
        ("1", None, 20, 30),
        ("2", "2.jpg", 20, 30),
        ("10", "10.jpg", 20, 30),
    ]
    alone = unlabelled(CTCUG, ctcug)
    assert [path.name for path in alone] == ["3.jpg"]
