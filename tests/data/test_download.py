"""Filling raw folders: rendered, or from archives that were unpacked anywhere."""

import shutil

import pytest

from components.data.download import download_set
from components.errors import InputError
from tests.data.conftest import SMALL, mask, photograph


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def copied(name, archives, raw):
    download_set(name, raw, source="archives", archives=archives, settings=SMALL)
    return files(raw)


def test_rendered(rendered, tmp_path):
    download_set("dut", tmp_path / "raw", source="rendered", archives=tmp_path / "none", settings=SMALL)
    assert files(tmp_path / "raw") == files(rendered / "dut")


def test_cuhk_from_two_archives_unpacked_side_by_side(tmp_path):
    archives = tmp_path / "archives"
    for stem in ("out_of_focus0001", "out_of_focus0002", "motion0001"):
        photograph(archives / f"cuhk/BlurDatasetImage/image/{stem}.jpg")
        mask(archives / f"cuhk/BlurDatasetGT/gt/{stem}.png")
    photograph(archives / "EBD/image/1.jpg")  # another set's folder of the same name
    mask(archives / "EBD/gt/1.png")
    (archives / "cuhk_te2.txt").write_text("out_of_focus0001\n")
    assert copied("cuhk", archives, tmp_path / "raw") == [
        "cuhk_te2.txt",
        "gt/out_of_focus0001.png",
        "gt/out_of_focus0002.png",
        "image/out_of_focus0001.jpg",
        "image/out_of_focus0002.jpg",
    ]
    assert copied("ebd", archives, tmp_path / "ebd") == ["EBD/gt/1.png", "EBD/image/1.jpg"]


def test_dut_as_deep_as_it_was_unpacked(rendered, tmp_path):
    shutil.copytree(rendered / "dut/DUT-DBD_Dataset", tmp_path / "archives/a/b/DUT-DBD_Dataset")
    found = copied("dut", tmp_path / "archives", tmp_path / "raw")
    assert found == [file for file in files(rendered / "dut") if file.startswith("DUT-DBD_Dataset")]
    source = rendered / "dut" / found[0]
    assert (tmp_path / "raw" / found[0]).read_bytes() == source.read_bytes()


def test_absent_archives_say_what_is_published_where(tmp_path):
    with pytest.raises(InputError, match=r"none: no such folder.*109c36vRDagDcjUbUtBouausXz0DOkA-w.*DUT600S_Training"):
        copied("dut", tmp_path / "none", tmp_path / "raw")
    (tmp_path / "archives").mkdir()
    with pytest.raises(InputError, match=r"no folder CTCUG/CTCUG_images.*No archive is published: ask its authors"):
        copied("ctcug", tmp_path / "archives", tmp_path / "raw")
    assert not (tmp_path / "raw").exists()


def test_a_set_that_lies_there_twice(tmp_path):
    for place in ("one", "two"):
        photograph(tmp_path / f"archives/{place}/EBD/image/1.jpg")
        mask(tmp_path / f"archives/{place}/EBD/gt/1.png")
    with pytest.raises(InputError, match=r"EBD/image was found twice"):
        copied("ebd", tmp_path / "archives", tmp_path / "raw")
