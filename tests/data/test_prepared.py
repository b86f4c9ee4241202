"""Reading prepared sets: splits, full-size labels, and damage."""

import shutil

import numpy as np
import pytest

from components.common.errors import InputError
from components.datasets.prepared import IndexRow, PreparedSet, read_index, write_index
from components.prepare.build import prepare_set


@pytest.fixture(scope="module")
def whole(rendered, tmp_path_factory):
    out = tmp_path_factory.mktemp("prepared") / "cuhk"
    prepare_set("cuhk", rendered / "cuhk", out, image_size=16)
    return out


@pytest.fixture
def folder(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "cuhk")


def test_index_comes_back_as_it_was_written(tmp_path):
    rows = [
        IndexRow("a", "i/a.jpg", "g/a.png", 3, 5, 0, "", (), 0.25),
        IndexRow("b,c", "i/b,c.jpg", "g/b,c.png", 7, 2, 2, "wide", ("EBD", "EBD(1305)"), 1.0),
    ]
    write_index(tmp_path / "index.csv", rows)
    assert read_index(tmp_path / "index.csv") == rows
    assert [row.packed_bytes for row in rows] == [2, 2]


def test_full_labels_of_odd_sizes_unpack_to_what_was_packed(tmp_path):
    labels = [
        np.random.default_rng(i).integers(0, 2, shape, dtype=np.uint8) for i, shape in enumerate([(3, 5), (7, 3)])
    ]
    packed = [np.packbits(label) for label in labels]
    rows = (
        IndexRow("a", "", "", 3, 5, 0, "", (), 0.0),
        IndexRow("b", "", "", 7, 3, packed[0].size, "", (), 0.0),
    )
    empty = np.zeros(0, dtype=np.uint8)
    found = PreparedSet(tmp_path, "x", rows, empty, empty, np.concatenate(packed), None, ())
    np.testing.assert_array_equal(found.full_label(0), labels[0])
    np.testing.assert_array_equal(found.full_label(1), labels[1])


def test_arrays_are_maps_that_cannot_be_written(folder):
    found = PreparedSet.load(folder)
    assert isinstance(found.images, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        found.images[0] = 0


def test_unknown_split(folder):
    with pytest.raises(InputError, match=r"no split 'DUT-TE'; this set has CUHK-TE-1, CUHK-TE-2, CUHK-TR-1"):
        PreparedSet.load(folder).split("DUT-TE")


@pytest.mark.parametrize("file", ["index.csv", "images.npy", "labels.npy", "labels_full.npy", "validation.json"])
def test_missing_file(folder, file):
    (folder / file).unlink()
    with pytest.raises(InputError, match=rf"{file}: no such file"):
        PreparedSet.load(folder)


def test_missing_folder(tmp_path):
    with pytest.raises(InputError, match=r"none: no such folder; make it with `dvc repro prepare`"):
        PreparedSet.load(tmp_path / "none")


@pytest.mark.parametrize("keep", [0, 5, 500])
def test_truncated_array(folder, keep):
    path = folder / "images.npy"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"images\.npy: damaged"):
        PreparedSet.load(folder)


def test_arrays_of_another_set(folder):
    np.save(folder / "labels.npy", np.zeros((2, 16, 16), dtype=np.uint8))
    with pytest.raises(InputError, match=r"labels\.npy: shape \(2, 16, 16\), uint8; index\.csv asks for length 6"):
        PreparedSet.load(folder)


@pytest.mark.parametrize(
    "text", ["id,image\na,b\n", "id,image,label,height,width,label_offset,dof,splits,in_focus\na,b\n"]
)
def test_damaged_index(folder, text):
    (folder / "index.csv").write_text(text)
    with pytest.raises(InputError, match=r"index\.csv: damaged"):
        PreparedSet.load(folder)


def test_damaged_report(folder):
    (folder / "validation.json").write_text("{}")
    with pytest.raises(InputError, match=r"validation\.json: damaged, expected the keys set and splits"):
        PreparedSet.load(folder)
