"""Sets brought in by hand: recognised, verified, placed whole or not at all, added to what was there."""

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.catalog.sets import PACKAGED_LISTS
from components.common import ledger
from components.common.errors import InputError
from components.incoming.sets import folder_hash, import_set, import_te2
from tests.data import published
from tests.data.conftest import mask, photograph

ROOT = Path(__file__).parents[2]


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def refused(name, paths, inbox, message, **options):
    before = files(inbox)
    with pytest.raises(InputError, match=message) as caught:
        import_set(name, paths, inbox, **{"partial": True, **options})
    assert files(inbox) == before
    assert not [path for path in inbox.iterdir() if path.name.startswith(f".{name}.")]
    return str(caught.value)


def test_two_archives_named_together(inbox, tmp_path):
    archives = list(published.publish(tmp_path / "authors").values())
    assert import_set("cuhk", archives[:2], inbox, partial=True) == "all: 7 of 704 pairs"
    assert len(files(inbox / "cuhk/image")) == len(files(inbox / "cuhk/gt")) == 7
    assert ledger.imported(inbox, "cuhk") == folder_hash(inbox / "cuhk")


def test_archives_that_lie_in_a_folder(inbox, tmp_path):
    published.publish(tmp_path / "authors")
    (tmp_path / "downloads/deep").mkdir(parents=True)
    for name in ("image.zip", "gt.zip"):
        shutil.copy(tmp_path / "authors/zip" / name, tmp_path / "downloads/deep" / name)
    assert import_set("cuhk", [tmp_path / "downloads"], inbox, partial=True) == "all: 7 of 704 pairs"


def test_an_archive_of_archives_as_cloud_drives_give_it(inbox, tmp_path):
    archives = list(published.publish(tmp_path / "authors").values())[:2]
    with zipfile.ZipFile(tmp_path / "drive-download.zip", "w") as outer:
        for path in archives:
            outer.write(path, path.name)
    assert import_set("cuhk", [tmp_path / "drive-download.zip"], inbox, partial=True) == "all: 7 of 704 pairs"


@pytest.mark.parametrize(("content", "looks"), [(b"<!doctype html>", "a web page"), (b"", "an empty file")])
def test_a_folder_with_what_only_its_name_calls_an_archive(inbox, tmp_path, content, looks):
    published.ctcug(tmp_path / "a")
    (tmp_path / "a/more.zip").write_bytes(content)
    refused("ctcug", [tmp_path / "a"], inbox, rf"{tmp_path}/a/more\.zip: not an archive but {looks}; expected zip")


def test_a_part_is_added_to_another(inbox, tmp_path):
    published.dut(tmp_path / "a", "DUT500S-Testing", "DUT500GT-Testing", "123")
    published.dut(tmp_path / "b", "x/1204source", "x/1204gt", ["4", "out_of_focus0001"])
    assert import_set("dut", [tmp_path / "a"], inbox, partial=True) == "train: 0 of 600 pairs, test: 3 of 500 pairs"
    first = ledger.imported(inbox, "dut")
    assert import_set("dut", [tmp_path / "b"], inbox, partial=True) == "train: 1 of 600 pairs, test: 3 of 500 pairs"
    assert ledger.imported(inbox, "dut") != first


def test_the_same_again_has_the_same_hash(inbox, tmp_path):
    published.ctcug(tmp_path / "a")
    import_set("ctcug", [tmp_path / "a"], inbox, partial=True)
    first = ledger.imported(inbox, "ctcug")
    import_set("ctcug", [tmp_path / "a"], inbox, partial=True)
    assert ledger.imported(inbox, "ctcug") == first
    photograph(tmp_path / "a/CTCUG/CTCUG_images/1.jpg", *published.SIZE, seed=999)
    import_set("ctcug", [tmp_path / "a"], inbox, partial=True)
    assert ledger.imported(inbox, "ctcug") != first


def test_a_set_that_is_not_whole_is_refused_unless_partial(inbox, tmp_path):
    published.ebd(tmp_path / "a")
    message = refused("ebd", [tmp_path / "a"], inbox, r"a/EBD/image: 4 photographs, expected 1605", partial=False)
    assert str(inbox) not in message


def test_errors_name_what_the_user_named(inbox, tmp_path):
    published.ctcug(tmp_path / "a")
    mask(tmp_path / "a/CTCUG/CTCUG_gt/2.png", 11, 12)
    refused("ctcug", [tmp_path / "a"], inbox, rf"{tmp_path}/a/CTCUG/CTCUG_images/2\.jpg: 64x48 pixels, but its label")
    (tmp_path / "a/CTCUG/CTCUG_gt/2.png").write_bytes(b"\x89PNG broken")
    refused("ctcug", [tmp_path / "a"], inbox, rf"{tmp_path}/a/CTCUG/CTCUG_gt/2\.png: not a readable image")
    archive = published.zipped(tmp_path / "x.zip", tmp_path / "a", below=tmp_path / "a")
    refused("ctcug", [archive], inbox, rf"{tmp_path}/x\.zip/CTCUG/CTCUG_gt/2\.png: not a readable image")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"thing: no such file or folder"),
        (b"<html>", r"thing: neither a folder nor an archive \(zip, tar, 7z, rar\) but a web page; name one of these"),
        (b"", r"thing: neither .* but an empty file; name one of these, or get it again"),
        (b"PK\x03\x04 cut", r"thing: damaged, cut short"),
    ],
)
def test_what_is_no_archive(inbox, tmp_path, content, message):
    if content is not None:
        (tmp_path / "thing").write_bytes(content)
    refused("ebd", [tmp_path / "thing"], inbox, message)


def test_a_folder_with_nothing_of_the_set(inbox, tmp_path):
    published.ctcug(tmp_path / "a")
    refused("dut", [tmp_path / "a"], inbox, r"a: nothing of dut in there; .*DUT600S_Training.*1204source")


def test_folders_that_are_links(inbox, tmp_path):
    published.cuhk(tmp_path / "disk")
    (tmp_path / "set").mkdir()
    (tmp_path / "set/image").symlink_to(tmp_path / "disk/image")
    refused(
        "cuhk", [tmp_path / "set"], inbox, r"set: nothing of cuhk in there \(there is image alone\); expected all: "
    )
    (tmp_path / "set/gt").symlink_to(tmp_path / "disk/gt")
    assert import_set("cuhk", [tmp_path / "set"], inbox, partial=True) == "all: 7 of 704 pairs"
    assert not [path for path in (inbox / "cuhk").rglob("*") if path.is_symlink()]


def test_a_full_disk(full_disk, tmp_path):
    shutil.copy(ROOT / "data/archives/sources.yaml", full_disk)
    published.ebd(tmp_path / "a", count=40)
    with pytest.raises(InputError, match=r"the disk is full"):
        import_set("ebd", [tmp_path / "a"], full_disk, partial=True)
    assert [path.name for path in full_disk.iterdir()] == ["sources.yaml"]
    assert ledger.imported(full_disk, "ebd") == "none"


@pytest.mark.parametrize(
    ("pixels", "found"),
    [
        ("L", "neither black nor white"),
        ("LA", "the picture is in its transparency alone"),
        ("low", r"the brightest 3.9% of white"),
        ("none", r"not a readable image \(image file is truncated"),
    ],
)
def test_a_label_that_is_no_mask(inbox, tmp_path, pixels, found):
    published.ctcug(tmp_path / "a")
    label = tmp_path / "a/CTCUG/CTCUG_gt/2.png"
    with Image.open(label) as image:
        width, height = image.size
    ramp = np.tile(np.linspace(0, 255, width).astype(np.uint8), (height, 1))
    if pixels == "LA":
        Image.merge("LA", [Image.new("L", (width, height), 9), Image.fromarray(ramp)]).save(label)
    elif pixels == "none":
        label.write_bytes(label.read_bytes()[:-40])
    else:
        Image.fromarray(ramp if pixels == "L" else ramp // 25).save(label)
    assert str(label) in refused("ctcug", [tmp_path / "a"], inbox, found)


def test_labels_of_other_values_are_read_and_said(inbox, tmp_path):
    published.ctcug(tmp_path / "a")
    for name in ("1", "3"):
        label = tmp_path / f"a/CTCUG/CTCUG_gt/{name}.png"
        with Image.open(label) as image:
            values = np.asarray(image)
        Image.fromarray(values // 255).save(label)
    seen = []
    said = import_set("ctcug", [tmp_path / "a"], inbox, partial=True, progress=lambda *each: seen.append(each))
    assert said == "all: 3 of 150 pairs, 2 labels: values 0 and 1, 1 is white"
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_the_list_of_te_2_from_maps_or_from_a_text(inbox, tmp_path):
    for number in (5, 3):
        mask(tmp_path / f"maps/CUHK/out_of_focus{number:04d}.png")
    mask(tmp_path / "maps/DUT/1.png")
    archive = published.zipped(tmp_path / "maps.zip", tmp_path / "maps", below=tmp_path)
    assert import_te2(archive, inbox, partial=True) == "2 photographs of CUHK-TE-2"
    assert (inbox / "cuhk_te2.txt").read_text() == "out_of_focus0003\nout_of_focus0005\n"
    assert files(inbox) == [".sources.yaml.lock", "cuhk_te2.txt", "sources.yaml"]
    whole = PACKAGED_LISTS / "cuhk_te1.txt"
    assert import_te2(whole, inbox, partial=False) == "100 photographs of CUHK-TE-2"
    assert (inbox / "cuhk_te2.txt").read_text() == whole.read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("out_of_focus0001", r"1 photographs, expected 100"),
        ("out_of_focus0001\nOut_Of_Focus0001.jpg", r"'out_of_focus0001' is listed twice"),
        ("motion0001", r"'motion0001' is listed twice, or is no photograph of CUHK"),
    ],
)
def test_a_wrong_list_of_te_2(inbox, tmp_path, text, message):
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(InputError, match=message):
        import_te2(tmp_path / "list.txt", inbox, partial=False)
    assert not (inbox / "cuhk_te2.txt").exists()


def test_real_photographs_come_in(shared, inbox):
    real = shared / "real"
    assert import_set("cuhk", [real / "cuhk"], inbox, partial=True) == "all: 7 of 704 pairs"
    assert import_set("dut", [real / "dut"], inbox, partial=True) == "train: 0 of 600 pairs, test: 3 of 500 pairs"
    for folder in ("image", "gt"):
        assert files(inbox / "cuhk" / folder) == files(real / "cuhk" / folder)
    said = import_set("cuhk", [real / "hifst_cuhk_te1"], inbox, partial=True)  # 100 labels, 0142 with its photograph
    assert said == "all: 7 of 704 pairs, 99 labels alone"
    assert len(files(inbox / "cuhk/gt")) == 106
    assert len(files(inbox / "cuhk/image")) == 7
