"""The ledger of the inbox: sums and imports kept, comments and other entries left as they are."""

import multiprocessing

import pytest

from components.acquire.sources import ITEMS
from components.common import ledger
from components.common.errors import InputError

ADDRESS = "https://drive.google.com/uc?id=1Qmcu6GDgKhiHVgLxeQg23tfy5I1Xg5Xk"


def test_as_shipped_it_has_a_line_for_every_item_and_nothing_in_it(inbox):
    found = ledger.read(inbox)
    assert dict(found["imported"]) == dict.fromkeys(ITEMS, "none")
    assert found["sha256"] == {}


def comments(text):
    return [line.partition("#")[2] for line in text.splitlines() if "#" in line]


def test_what_is_recorded_is_read_and_the_comments_stay(inbox):
    before = (inbox / ledger.FILE).read_text()
    ledger.record_sum(inbox, ADDRESS, "0" * 64)
    ledger.record_sum(inbox, "http://host/y.zip", "1e" * 32)
    ledger.record_import(inbox, "cuhk", "ab" * 32)
    assert ledger.known_sums(inbox) == {ADDRESS: "0" * 64, "http://host/y.zip": "1e" * 32}
    assert (ledger.imported(inbox, "cuhk"), ledger.imported(inbox, "dut")) == ("ab" * 32, "none")
    text = (inbox / ledger.FILE).read_text()
    assert comments(text) == comments(before)
    assert f"\n  {ADDRESS}: " in text


def test_an_import_alone_leaves_the_rest_as_it_was(inbox):
    before = (inbox / ledger.FILE).read_text()
    ledger.record_import(inbox, "cuhk", "ab" * 32)
    assert ledger.imported(inbox, "cuhk") == "ab" * 32
    assert ledger.known_sums(inbox) == {}
    ledger.record_import(inbox, "cuhk", "none")
    assert ledger.read(inbox) == {"imported": dict.fromkeys(ITEMS, "none"), "backbones": {}, "sha256": {}}
    assert (inbox / ledger.FILE).read_text().split() == before.split()


def test_the_same_again_leaves_the_file_alone(inbox):
    ledger.record_sum(inbox, ADDRESS, "2" * 64)
    before = (inbox / ledger.FILE).stat()
    ledger.record_sum(inbox, ADDRESS, "2" * 64)
    assert (inbox / ledger.FILE).stat().st_ino == before.st_ino


def record_many(inbox, start):
    for number in range(start, start + 10):
        ledger.record_sum(inbox, f"http://host/{number}", f"{number:064d}")


def test_two_processes_lose_nothing(inbox):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=record_many, args=(inbox, start)) for start in (0, 10)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert ledger.known_sums(inbox) == {f"http://host/{number}": f"{number:064d}" for number in range(20)}


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no such file"), ("a: [", "not valid YAML"), ("imported: {}", "no mapping `sha256`"), ("3", "no mapping")],
)
def test_a_damaged_ledger_is_named(tmp_path, content, message):
    if content is not None:
        (tmp_path / ledger.FILE).write_text(content)
    with pytest.raises(InputError, match=rf"(?s)sources\.yaml: {message}.*git checkout"):
        ledger.read(tmp_path)
