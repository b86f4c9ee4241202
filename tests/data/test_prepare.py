"""From raw folders to prepared sets: values, splits, and every kind of bad input."""

import json
import resource
import shutil

import numpy as np
import pytest
from PIL import Image

from components.common.errors import InputError
from components.datasets.prepared import PreparedSet
from components.prepare.build import prepare_set
from tests.data.conftest import SMALL, mask, photograph

SPLITS = {
    "cuhk": {"CUHK-TR-1": 4, "CUHK-TE-1": 2, "CUHK-TR-2": 4, "CUHK-TE-2": 2, "CUHK-TR-1-FIT": 2, "CUHK-TR-1-VAL": 2},
    "dut": {"DUT-TR": 2, "DUT-TE": 3},
    "ctcug": {"CTCUG": 2},
    "ebd": {"EBD": 5, "EBD(1305)": 3},
}


def prepared(name, raw, out, size=16, **options):
    prepare_set(name, raw, out, image_size=size, **options)
    return PreparedSet.load(out)


def test_values_of_a_pair_by_hand(ctcug, tmp_path):
    found = prepared("ctcug", ctcug, tmp_path / "out", size=10, partial=True)
    assert found.ids == ["1", "2", "10"]
    # columns 0..9 of 30 are white = out of focus; nearest to 10 columns: 0..2 blurred
    expected = np.ones((10, 10), dtype=np.uint8)
    expected[:, :3] = 0
    assert [label.tolist() for label in found.labels] == [expected.tolist()] * 3
    assert found.full_label(1).shape == (20, 30)
    assert found.full_label(1).sum() == 20 * 20
    assert found.rows[2].in_focus == pytest.approx(2 / 3, abs=1e-6)
    assert found.rows[2].label_offset == 2 * 600 / 8
    assert found.rows[0].image == "CTCUG/CTCUG_images/1.jpg"
    assert found.depth is None
    assert found.split("CTCUG").tolist() == [0, 1, 2]


def test_photographs_are_resized_with_anti_aliasing(ctcug, tmp_path):
    values = np.zeros((20, 30, 3), dtype=np.uint8)
    values[:, ::2] = 200
    Image.fromarray(values).save(ctcug / "CTCUG/CTCUG_images/1.png")
    (ctcug / "CTCUG/CTCUG_images/1.jpg").unlink()
    found = prepared("ctcug", ctcug, tmp_path / "out", size=5, partial=True)
    # every pixel of the result averages whole stripes: their mean, which plain bilinear sampling would miss
    assert found.images[0] == pytest.approx(np.full((5, 5, 3), 100), abs=12)


@pytest.mark.parametrize("name", SPLITS)
def test_rendered_sets(name, rendered, tmp_path):
    found = prepared(name, rendered / name, tmp_path / "out")
    assert found.name == name
    assert {split: len(found.split(split)) for split in found.split_names} == SPLITS[name]
    assert found.images.shape == (len(found), 16, 16, 3)
    assert found.depth.shape == (len(found), 16, 16)
    assert found.depth.dtype == np.float16
    assert len(set(found.ids)) == len(found)
    for i, row in enumerate(found.rows):
        assert found.full_label(i).mean() == pytest.approx(row.in_focus, abs=1e-6)
        assert found.labels[i].mean() == pytest.approx(row.in_focus, abs=0.15)


def test_training_and_test_splits_of_cuhk_are_disjoint_and_complete(rendered, tmp_path):
    found = prepared("cuhk", rendered / "cuhk", tmp_path / "out")
    for k in (1, 2):
        train, test = (set(found.split(f"CUHK-{part}-{k}").tolist()) for part in ("TR", "TE"))
        assert not train & test
        assert train | test == set(range(6))
    assert set(found.split("CUHK-TE-1").tolist()) != set(found.split("CUHK-TE-2").tolist())
    fit, validation = (found.split(f"CUHK-TR-1-{part}").tolist() for part in ("FIT", "VAL"))
    assert (fit, validation) == ([4, 5], [2, 3])
    assert sorted(fit + validation) == found.split("CUHK-TR-1").tolist()
    assert found.test_splits() == ["CUHK-TE-1", "CUHK-TE-2"]


def test_cuhk_lists_match_whatever_the_case_and_the_suffix(rendered, tmp_path):
    raw = shutil.copytree(rendered / "cuhk", tmp_path / "raw")
    (raw / "cuhk_te1.txt").write_text("OUT_OF_FOCUS0002\n\nout_of_focus0005\n")
    (raw / "cuhk_te2.txt").unlink()
    photograph(raw / "image/motion0001.jpg")  # motion blur is no part of the set
    found = prepared("cuhk", raw, tmp_path / "out")
    assert found.split("CUHK-TE-1").tolist() == [1, 4]
    assert found.split("CUHK-TR-1").tolist() == [0, 2, 3, 5]
    assert found.split("CUHK-TE-2").tolist() == found.split("CUHK-TR-2").tolist() == []
    report = json.loads((tmp_path / "out/validation.json").read_text())
    assert report["notes"] == ["cuhk_te2.txt was not found: CUHK-TR-2 and CUHK-TE-2 are empty"]
    pairs = ("CUHK-TR-1 & CUHK-TE-1", "CUHK-TR-2 & CUHK-TE-2", "CUHK-TR-1-FIT & CUHK-TR-1-VAL")
    assert report["shared"] == dict.fromkeys(pairs, 0)
    assert found.split("CUHK-TR-1-VAL").tolist() == [2, 3]


def test_a_list_that_names_an_absent_or_a_repeated_photograph(rendered, tmp_path):
    raw = shutil.copytree(rendered / "cuhk", tmp_path / "raw")
    (raw / "cuhk_te1.txt").write_text("out_of_focus0002\nout_of_focus0099\n")
    with pytest.raises(InputError, match=r"1 photographs of CUHK-TE-1 are not there.*out_of_focus0099"):
        prepared("cuhk", raw, tmp_path / "out")
    (raw / "cuhk_te1.txt").write_text("out_of_focus0002\nOut_of_focus0002\n")
    with pytest.raises(InputError, match=r"cuhk_te1\.txt: out_of_focus0002 is listed twice"):
        prepared("cuhk", raw, tmp_path / "out")


def test_ebd_order_decides_what_is_shallow(rendered, tmp_path):
    found = prepared("ebd", rendered / "ebd", tmp_path / "out")
    assert [row.dof for row in found.rows] == ["shallow"] * 3 + ["wide"] * 2
    assert found.split("EBD(1305)").tolist() == [0, 1, 2]


def test_wide_photographs_of_the_stand_in_are_more_in_focus(rendered, tmp_path):
    found = prepared("ebd", rendered / "ebd", tmp_path / "out")
    focus = {dof: np.mean([row.in_focus for row in found.rows if row.dof == dof]) for dof in ("shallow", "wide")}
    assert focus["wide"] > 0.8 > focus["shallow"]


def test_rgba_label_and_dut_greys_are_cut_to_two_values(rendered, tmp_path):
    cuhk = prepared("cuhk", rendered / "cuhk", tmp_path / "cuhk")
    with Image.open(rendered / "cuhk/gt/out_of_focus0003.png") as image:
        np.testing.assert_array_equal(cuhk.full_label(2) == 0, np.asarray(image)[..., 0] == 255)
    dut = prepared("dut", rendered / "dut", tmp_path / "dut")
    with Image.open(rendered / "dut/DUT-DBD_Dataset/DUT500GT-Testing/1.bmp") as image:
        np.testing.assert_array_equal(dut.full_label(2) == 1, np.asarray(image) >= 128)
    assert dut.ids == ["train-1", "train-2", "test-1", "test-2", "test-3"]
    report = json.loads((tmp_path / "dut/validation.json").read_text())
    assert 0 < report["not_binary"]["max"] < 0.2


def test_exif_orientation_is_honoured(ctcug, tmp_path):
    values = np.zeros((30, 20, 3), dtype=np.uint8)
    values[:10] = 255  # the first ten rows, as stored; upright they are the last ten columns
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees, clockwise
    Image.fromarray(values).save(ctcug / "CTCUG/CTCUG_images/2.jpg", exif=exif, quality=95)
    found = prepared("ctcug", ctcug, tmp_path / "out", size=30, partial=True)
    assert found.rows[1].width == 30
    assert found.images[1][:, 21:].min() > 240
    assert found.images[1][:, :19].max() < 15


def test_progress_counts_every_photograph(ctcug, tmp_path):
    seen = []
    prepare_set("ctcug", ctcug, tmp_path / "out", image_size=8, partial=True, progress=lambda *step: seen.append(step))
    assert seen == [(1, 3), (2, 3), (3, 3)]


# bad input: one error that names the file; nothing half-written


def refused(name, raw, out, message, **options):
    with pytest.raises(InputError, match=message):
        prepare_set(name, raw, out, image_size=8, **{"partial": True, **options})
    assert not out.exists()
    assert not [path for path in out.parent.glob(".*") if path.is_dir()]


def test_missing_raw_folder(tmp_path):
    refused("dut", tmp_path / "none", tmp_path / "out", r"none: no such folder; fetch DUT-DBD")


def test_missing_folder_of_labels(ctcug, tmp_path):
    shutil.rmtree(ctcug / "CTCUG/CTCUG_gt")
    refused("ctcug", ctcug, tmp_path / "out", r"CTCUG_gt: no such folder")


def test_empty_raw_folder(tmp_path):
    (tmp_path / "raw").mkdir()
    refused("ebd", tmp_path / "raw", tmp_path / "out", r"raw: no photographs of EBD")


def test_photograph_without_label_and_label_without_photograph(ctcug, tmp_path):
    (ctcug / "CTCUG/CTCUG_gt/10.png").unlink()
    message = r"CTCUG_images/10\.jpg: no label of the same stem in .*CTCUG_gt"
    refused("ctcug", ctcug, tmp_path / "out", message, partial=False)
    (ctcug / "CTCUG/CTCUG_images/10.jpg").unlink()
    (ctcug / "CTCUG/CTCUG_images/2.jpg").unlink()
    message = r"CTCUG_gt/2\.png: no photograph of the same stem in .*CTCUG_images"
    refused("ctcug", ctcug, tmp_path / "out", message, partial=False)


def test_two_photographs_of_one_stem(ctcug, tmp_path):
    photograph(ctcug / "CTCUG/CTCUG_images/2.PNG")
    refused("ctcug", ctcug, tmp_path / "out", r"2\.jpg: has the same stem as 2\.PNG")


def test_sizes_that_differ(ctcug, tmp_path):
    mask(ctcug / "CTCUG/CTCUG_gt/2.png", height=20, width=31)
    refused("ctcug", ctcug, tmp_path / "out", r"2\.jpg: 30x20 pixels, but its label .*2\.png has 31x20")


@pytest.mark.parametrize("content", [b"", b"<html><body>not found</body></html>", b"\xff\xd8\xff\xe0 cut"])
def test_photograph_that_is_no_image(ctcug, tmp_path, content):
    (ctcug / "CTCUG/CTCUG_images/2.jpg").write_bytes(content)
    refused("ctcug", ctcug, tmp_path / "out", r"CTCUG_images/2\.jpg: not a readable image")


@pytest.mark.parametrize("file", ["CTCUG_images/2.jpg", "CTCUG_gt/2.png"])
def test_truncated_image(ctcug, tmp_path, file):
    path = ctcug / "CTCUG" / file
    path.write_bytes(path.read_bytes()[:-40])
    refused("ctcug", ctcug, tmp_path / "out", rf"{file}: not a readable image")


def test_photograph_in_the_place_of_a_label(ctcug, tmp_path):
    shutil.copy(ctcug / "CTCUG/CTCUG_images/1.jpg", ctcug / "CTCUG/CTCUG_gt/2.jpg")
    (ctcug / "CTCUG/CTCUG_gt/2.png").unlink()
    told = r"CTCUG_gt/2\.jpg: \d+ values .*, and \d\d\.\d% of its pixels are neither .* at most 10%"
    refused("ctcug", ctcug, tmp_path / "out", told)


def test_label_of_zeros_and_ones(ctcug, tmp_path):
    path = ctcug / "CTCUG/CTCUG_gt/2.png"
    Image.fromarray((np.arange(600).reshape(20, 30) % 2).astype(np.uint8)).save(path)
    told = {"values 0 and 1, 1 is white": 1}
    assert prepare_set("ctcug", ctcug, tmp_path / "out", image_size=8, partial=True) == told
    found = PreparedSet.load(tmp_path / "out")
    assert found.full_label(1).tolist() == (1 - np.arange(600).reshape(20, 30) % 2).tolist()  # white = out of focus
    assert json.loads((tmp_path / "out/validation.json").read_text())["read_as"] == told


def test_counts_that_are_not_the_archive_s(ctcug, tmp_path):
    refused("ctcug", ctcug, tmp_path / "out", r"CTCUG_images: 3 photographs, expected 150", partial=False)
    prepare_set("ctcug", ctcug, tmp_path / "out", image_size=8, partial=True)
    report = json.loads((tmp_path / "out/validation.json").read_text())
    assert report["pairs"] == {"all": {"expected": 150, "found": 3}}
    assert report["notes"] == ["all: 3 pairs, expected 150"]


def test_a_stand_in_that_lost_a_photograph(rendered, tmp_path):
    raw = shutil.copytree(rendered / "dut", tmp_path / "raw")
    (raw / "DUT-DBD_Dataset/DUT500S-Testing/2.jpg").unlink()
    (raw / "DUT-DBD_Dataset/DUT500GT-Testing/2.bmp").unlink()
    refused("dut", raw, tmp_path / "out", rf"Testing: 2 photographs, expected {SMALL.dut_test}", partial=False)


def test_a_stand_in_with_a_damaged_depth(rendered, tmp_path):
    raw = shutil.copytree(rendered / "ctcug", tmp_path / "raw")
    (raw / "depth/CTCUG/CTCUG_images/2.npy").write_bytes(b"\x93NUMPY")
    refused("ctcug", raw, tmp_path / "out", r"CTCUG_images/2\.npy: cannot be read")


def test_folder_that_cannot_be_written(ctcug, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"file.*cannot (make|be written)"):
        prepare_set("ctcug", ctcug, tmp_path / "file/out", image_size=8, partial=True)


def test_a_full_disk_leaves_the_old_set_as_it_was(ctcug, tmp_path):
    prepare_set("ctcug", ctcug, tmp_path / "out", image_size=8, partial=True)
    old = (tmp_path / "out/images.npy").read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(InputError, match=rf"{tmp_path}/out: no file may grow this large here"):
            prepare_set("ctcug", ctcug, tmp_path / "out", image_size=320, partial=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tmp_path / "out/images.npy").read_bytes() == old
