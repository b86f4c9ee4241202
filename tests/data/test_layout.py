"""Sets recognised by the folders that hold them, however they were unpacked."""

import pytest

from components.acquire.layout import find_parts, place, stems_of_maps
from components.catalog.sets import CTCUG, CUHK, DUT, EBD
from components.common.errors import InputError
from tests.data.conftest import mask, photograph


def pair(folder, images, labels, stem, suffix=".jpg"):
    photograph(folder / images / f"{stem}{suffix}")
    mask(folder / labels / f"{stem}.png")


def found(dataset, folder, **options):
    return {
        each.part.name: tuple(path and path.relative_to(folder).as_posix() for path in (each.images, each.labels))
        for each in find_parts(dataset, [folder], **options)
    }


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_the_two_folders_of_cuhk_lie_in_two_archives(tmp_path):
    photograph(tmp_path / "a/BlurDatasetImage/image/out_of_focus0001.JPG")
    photograph(tmp_path / "a/BlurDatasetImage/image/motion0001.jpg")
    mask(tmp_path / "b/BlurDatasetGT/GT/out_of_focus0001.png")
    assert found(CUHK, tmp_path) == {"all": ("a/BlurDatasetImage/image", "b/BlurDatasetGT/GT")}
    (part,) = find_parts(CUHK, [tmp_path])
    place(CUHK, part, tmp_path / "raw", move=False)
    assert files(tmp_path / "raw") == ["gt/out_of_focus0001.png", "image/out_of_focus0001.JPG"]


def test_cuhk_and_ebd_share_the_names_of_their_folders(tmp_path):
    pair(tmp_path / "one", "image", "gt", "out_of_focus0001")
    pair(tmp_path / "two", "image", "gt", "17")
    assert found(CUHK, tmp_path) == {"all": ("one/image", "one/gt")}
    assert found(EBD, tmp_path) == {"all": ("two/image", "two/gt")}


def test_dut_in_its_own_layout_and_in_the_bundle_with_cuhk(tmp_path):
    pair(tmp_path / "own", "DUT-DBD_Dataset/DUT500S-Testing", "DUT-DBD_Dataset/DUT500GT-Testing", "1")
    assert found(DUT, tmp_path / "own") == {
        "test": ("DUT-DBD_Dataset/DUT500S-Testing", "DUT-DBD_Dataset/DUT500GT-Testing")
    }
    for stem in ("out_of_focus0001", "1", "2"):
        pair(tmp_path / "bundle", "x/train_data/1204source", "x/train_data/1204gt", stem)
    pair(tmp_path / "bundle", "x/test_data/DUT/dut500-source", "x/test_data/DUT/dut500-gt", "1")
    pair(tmp_path / "bundle", "x/test_data/CUHK/xu100-source", "x/test_data/CUHK/xu100-gt", "1")
    assert found(DUT, tmp_path / "bundle") == {
        "train": ("x/train_data/1204source", "x/train_data/1204gt"),
        "test": ("x/test_data/DUT/dut500-source", "x/test_data/DUT/dut500-gt"),
    }
    for part in find_parts(DUT, [tmp_path / "bundle"]):
        place(DUT, part, tmp_path / "raw", move=True)
    assert files(tmp_path / "raw/DUT-DBD_Dataset") == [
        "DUT500GT-Testing/1.png",
        "DUT500S-Testing/1.jpg",
        "DUT600GT_Training/1.png",
        "DUT600GT_Training/2.png",
        "DUT600S_Training/1.jpg",
        "DUT600S_Training/2.jpg",
    ]


def test_a_set_that_lies_there_twice_is_refused(tmp_path):
    for copy in ("one", "two"):
        pair(tmp_path / copy, "CTCUG_images", "CTCUG_gt", "1")
    with pytest.raises(InputError, match=r"ctcug: CTCUG/CTCUG_images was found twice, .*one.* and .*two"):
        find_parts(CTCUG, [tmp_path])


def test_labels_alone_only_when_asked_for(tmp_path):
    mask(tmp_path / "gt/out_of_focus0001.png")
    assert found(CUHK, tmp_path) == {}
    assert found(CUHK, tmp_path, labels_only=True) == {"all": (None, "gt")}


def test_hidden_folders_are_not_looked_into(tmp_path):
    pair(tmp_path / ".trash", "CTCUG_images", "CTCUG_gt", "1")
    assert found(CTCUG, tmp_path) == {}


def test_what_lies_there_already_stays(tmp_path):
    for copy, seed in (("new", 1), ("old", 2)):
        photograph(tmp_path / copy / "CTCUG_images/1.jpg", seed=seed)
        photograph(tmp_path / copy / "CTCUG_images" / f"{copy}.jpg", seed=seed)
        mask(tmp_path / copy / "CTCUG_gt/1.png")
    (tmp_path / "old/CTCUG_images/1.jpg").rename(tmp_path / "old/CTCUG_images/1.png")
    for copy in ("new", "old"):
        (part,) = find_parts(CTCUG, [tmp_path / copy])
        place(CTCUG, part, tmp_path / "raw", move=False)
    assert files(tmp_path / "raw/CTCUG/CTCUG_images") == ["1.jpg", "new.jpg", "old.jpg"]
    assert (tmp_path / "raw/CTCUG/CTCUG_images/1.jpg").read_bytes() == (
        tmp_path / "new/CTCUG_images/1.jpg"
    ).read_bytes()


def test_the_names_of_maps_give_a_list(tmp_path):
    for stem in ("out_of_focus0009", "Out_Of_Focus0002"):
        mask(tmp_path / f"result/CUHK/{stem}.png")
    mask(tmp_path / "result/DUT/1.png")
    assert stems_of_maps([tmp_path], CUHK, tmp_path) == ["out_of_focus0002", "out_of_focus0009"]
    mask(tmp_path / "again/CUHK/out_of_focus0001.png")
    with pytest.raises(InputError, match=r"2 folders with maps named out_of_focus\* alone, expected one"):
        stems_of_maps([tmp_path], CUHK, tmp_path)
