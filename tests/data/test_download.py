"""Filling raw folders from nothing: what is published at its real addresses, what was imported, what is lacking."""

import logging
import shutil
from pathlib import Path

import pytest

from components.acquire.download import fetch_set
from components.acquire.obtain import Inbox, obtained
from components.acquire.sources import MAPS, SET_ARCHIVES, TE2_MAPS
from components.common import ledger
from components.common.availability import NotAvailableError
from components.common.errors import InputError
from components.common.storage import file_hash
from components.incoming.sets import import_set, import_te2
from tests.data import published
from tests.data.conftest import mask, photograph
from tests.data.webserver import QUOTA_PAGE, serving

IMAGES, LABELS = (archive.addresses[0] for archive in SET_ARCHIVES["cuhk"])
DUT, DUT_MIRROR = SET_ARCHIVES["dut"][0].addresses
EBD = SET_ARCHIVES["ebd"][0].addresses[0]
TE2 = MAPS[TE2_MAPS].addresses[0]


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    return published.publish(tmp_path_factory.mktemp("authors"))


@pytest.fixture
def server(archives, tmp_path, monkeypatch):
    (tmp_path / "server").mkdir()
    with serving(tmp_path / "server") as found:
        for name, value in found.environment.items():
            monkeypatch.setenv(name, value)
        for address, archive in archives.items():
            found.serve(address, archive)
        yield found


def fetched(name, inbox, without=(), seen=None):
    """The files of the raw folder of a set, fetched."""
    progress = (lambda done, total, unit: seen.append((done, total, unit))) if seen is not None else lambda *_: None
    fetch_set(name, inbox.parent / "raw" / name, Inbox(inbox, without, progress))
    return files(inbox.parent / "raw" / name)


def refused(name, inbox, message, **options):
    with pytest.raises(InputError, match=message) as caught:
        fetched(name, inbox, **options)
    assert not (inbox.parent / "raw").exists() or not list((inbox.parent / "raw").iterdir())
    return str(caught.value)


def test_cuhk_comes_from_two_archives_and_te_2_from_the_names_of_the_authors_maps(server, inbox):
    seen = []
    found = fetched("cuhk", inbox, seen=seen)
    stems = [*published.TE1[:3], "out_of_focus0001", "out_of_focus0002", "out_of_focus0003", "out_of_focus0004"]
    assert [name for name in found if name.startswith("gt/")] == sorted(f"gt/{stem}.png" for stem in stems)
    assert {Path(name).stem for name in found if name.startswith("image/")} == set(stems)
    assert f"image/{published.TE1[1]}.JPG" in found
    listed = (inbox.parent / "raw/cuhk/cuhk_te2.txt").read_text().split()
    assert listed == sorted(stems)[-2:]
    assert [name for name in found if not name.startswith(("gt/", "image/"))] == ["cuhk_te2.txt"]
    assert ledger.known_sums(inbox) == {
        address: file_hash(inbox / name)
        for address, name in ((IMAGES, "cuhk_images"), (LABELS, "cuhk_labels"), (TE2, "maps_cuhk2_dut"))
    }
    assert {unit for _, _, unit in seen} >= {"MB of photographs of CUHK", "MB unpacked"}


def test_without_the_maps_cuhk_is_there_and_te_2_is_not(server, inbox, caplog):
    server.page(TE2, QUOTA_PAGE)
    with caplog.at_level(logging.WARNING):
        found = fetched("cuhk", inbox)
    assert "cuhk_te2.txt" not in found
    assert len(found) == 14
    assert "CUHK-TE-2 and CUHK-TR-2 stay empty: " in caplog.text
    assert "dbdflow import cuhk_te2 FILE_OR_FOLDER" in caplog.text


def test_an_imported_list_of_te_2_is_taken(server, inbox, tmp_path):
    (tmp_path / "list.txt").write_text("out_of_focus0003.jpg\nout_of_focus0001\n")
    import_te2(tmp_path / "list.txt", inbox, partial=True)
    assert "cuhk_te2.txt" in fetched("cuhk", inbox)
    assert (inbox.parent / "raw/cuhk/cuhk_te2.txt").read_text() == "out_of_focus0001\nout_of_focus0003\n"
    assert TE2 not in [address for address, _ in server.requests]


def test_the_second_address_is_asked_when_the_first_refuses(server, inbox, archives):
    server.page(DUT, QUOTA_PAGE)
    server.serve(DUT_MIRROR, archives[DUT])
    found = fetched("dut", inbox)
    assert found == [
        f"DUT-DBD_Dataset/DUT500{kind}-Testing/{n}.{suffix}"
        for kind, suffix in (("GT", "bmp"), ("S", "jpg"))
        for n in (1, 2, 3)
    ]
    assert list(ledger.known_sums(inbox)) == [DUT_MIRROR]


def test_what_was_fetched_is_not_fetched_again(server, inbox):
    first = fetched("ebd", inbox)
    server.requests.clear()
    assert fetched("ebd", inbox) == first
    assert server.requests == []


def test_another_file_than_the_first_one_seen_is_refused(server, inbox, archives):
    fetched("ebd", inbox)
    shutil.rmtree(inbox.parent / "raw")
    (inbox / "ebd").unlink()
    server.serve(EBD, archives[DUT])
    message = refused("ebd", inbox, rf"{EBD.replace('?', '.')}: sha256 {file_hash(archives[DUT])}, expected")
    assert "dbdflow import ebd FILE_OR_FOLDER" in message
    assert not (inbox / "ebd").exists()
    shutil.copy(archives[DUT], inbox / "ebd")
    refused("ebd", inbox, r"archives/ebd: its sha256 is .* expected .*sources\.yaml\); move it away to fetch it again")


@pytest.mark.parametrize("damage", ["cut", "page", "other"])
def test_what_is_not_the_archive_is_not_kept_and_its_sum_not_recorded(server, inbox, archives, damage):
    content = {"cut": archives[EBD].read_bytes()[:-9000], "page": b"<html>", "other": archives[DUT].read_bytes()}
    message = {
        "cut": r"damaged, cut short.*it came from https://drive.google.com/uc\?id=1pkg.*, and was not kept",
        "page": r"a web page instead of the file.*dbdflow import ebd",
        "other": r"archives/ebd: no folder of ebd inside; expected all: EBD/image and EBD/gt or image and gt \(it came",
    }
    server.serve(EBD, content[damage])
    refused("ebd", inbox, message[damage])
    assert ledger.known_sums(inbox) == {}
    assert sorted(path.name for path in inbox.iterdir() if "lock" not in path.name) == ["sources.yaml"]
    server.serve(EBD, archives[EBD])
    assert len(fetched("ebd", inbox)) == 8


def test_what_cannot_be_fetched_is_not_available_until_it_is_imported(server, inbox, tmp_path):
    with pytest.raises(NotAvailableError, match=r"CTCUG .*ask the authors.*dbdflow import ctcug FILE_OR_FOLDER"):
        fetched("ctcug", inbox)
    assert server.requests == []
    published.ctcug(tmp_path / "mine")
    assert import_set("ctcug", [tmp_path / "mine"], inbox, partial=True) == "all: 3 of 150 pairs"
    assert len(fetched("ctcug", inbox)) == 6


def test_the_imported_part_of_dut_stands_beside_the_fetched_one(server, inbox, tmp_path):
    published.dut(tmp_path / "bundle", "train_data/1204source", "train_data/1204gt", ["7", "8", "out_of_focus0001"])
    import_set("dut", [tmp_path / "bundle"], inbox, partial=True)
    found = fetched("dut", inbox)
    assert [name for name in found if "600S" in name] == [f"DUT-DBD_Dataset/DUT600S_Training/{n}.jpg" for n in (7, 8)]
    assert len([name for name in found if "500S" in name]) == 3


def test_what_one_goes_without_is_not_asked_for(server, inbox, tmp_path):
    with pytest.raises(NotAvailableError, match=r"ebd is among `download.without`, and nothing was imported"):
        fetched("ebd", inbox, without=["ebd"])
    published.dut(tmp_path / "bundle", "train_data/1204source", "train_data/1204gt", ["7"])
    import_set("dut", [tmp_path / "bundle"], inbox, partial=True)
    assert len(fetched("dut", inbox, without=["dut"])) == 2
    assert "cuhk_te2.txt" not in fetched("cuhk", inbox, without=["cuhk_te2"])
    assert {address for address, _ in server.requests} == {IMAGES, LABELS}


def test_an_unknown_item_to_go_without_is_named(inbox):
    refused("ebd", inbox, r"'edb': nothing of this name; did you mean 'ebd'\?", without=["edb"])


def test_a_set_that_lies_in_its_archive_twice(server, inbox, tmp_path):
    for place in ("one", "two"):
        photograph(tmp_path / f"twice/{place}/EBD/image/1.jpg")
        mask(tmp_path / f"twice/{place}/EBD/gt/1.png")
    server.serve(EBD, published.zipped(tmp_path / "twice.zip", tmp_path / "twice", below=tmp_path))
    refused("ebd", inbox, r"EBD/image was found twice")


def test_the_checksum_of_an_archive_whose_first_use_was_broken_off_is_recorded_by_the_next(server, inbox):
    """As after a kill between fetching and using it; it is not fetched again."""
    archive = SET_ARCHIVES["ebd"][0]
    with pytest.raises(SystemExit), obtained(archive, "ebd", Inbox(inbox, (), lambda *_: None)):
        raise SystemExit
    assert EBD not in ledger.known_sums(inbox)
    asked = len(server.requests)
    fetched("ebd", inbox)
    assert len(server.requests) == asked
    assert ledger.known_sums(inbox)[EBD] == file_hash(inbox / archive.file)
    assert not list(inbox.glob(".*.from"))


def test_a_note_of_another_file_counts_for_nothing(server, inbox):
    archive = SET_ARCHIVES["ebd"][0]
    with pytest.raises(SystemExit), obtained(archive, "ebd", Inbox(inbox, (), lambda *_: None)):
        raise SystemExit
    (inbox / archive.file).write_bytes(b"put there by hand")
    with obtained(archive, "ebd", Inbox(inbox, (), lambda *_: None)) as path:
        assert path.read_bytes() == b"put there by hand"
    assert EBD not in ledger.known_sums(inbox)
