"""Fetching from the published addresses, which a local server answers: in order, resumed, held to checksums."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from components.acquire.fetch import Fetched, fetch
from components.common.errors import InputError
from components.common.storage import NoRoomError
from tests.data.webserver import GONE_PAGE, QUOTA_PAGE, Server, serving

CUHK = "http://www.cse.cuhk.edu.hk/leojia/projects/dblurdetect/data/BlurDatasetGT.zip"
DRIVE = "https://drive.google.com/uc?id=1Qmcu6GDgKhiHVgLxeQg23tfy5I1Xg5Xk"
GITHUB = "https://github.com/isl-org/MiDaS/releases/download/v2_1/midas_v21_384.pt"
DATA = np.random.default_rng(0).bytes(3_000_000)
SUM = hashlib.sha256(DATA).hexdigest()
ADVICE = "ask a friend"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    (tmp_path / "server").mkdir()
    with serving(tmp_path / "server") as found:
        for name, value in found.environment.items():
            monkeypatch.setenv(name, value)
        yield found


def get(folder: Path, *addresses: str, expected: str | None = None, **options: object) -> Fetched:
    return fetch(dict.fromkeys(addresses, expected), folder / "inbox/file", advice=ADVICE, wait_s=0.01, **options)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "inbox").iterdir())


def refused(folder: Path, message: str, *addresses: str, **options: object) -> str:
    with pytest.raises(InputError, match=message) as caught:
        get(folder, *addresses, **options)
    assert "file" not in names(folder)
    return str(caught.value)


@pytest.mark.parametrize("address", [CUHK, DRIVE, GITHUB])
def test_a_file_comes_whole_with_its_sum_and_its_progress(server, tmp_path, address):
    server.serve(address, DATA)
    seen = []
    found = get(tmp_path, address, expected=SUM, progress=lambda done, total: seen.append((done, total)))
    assert found == Fetched(tmp_path / "inbox/file", SUM, address)
    assert found.path.read_bytes() == DATA
    assert found.path.stat().st_mode & 0o777 == 0o644
    assert names(tmp_path) == ["file"]
    assert seen[-1] == (3_000_000, 3_000_000)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


@pytest.mark.parametrize("address", [CUHK, DRIVE])
def test_a_broken_connection_is_gone_on_with_where_it_broke(server, tmp_path, address):
    server.serve(address, DATA, cuts=[1_500_000, 0, 1_000_000])  # the second is for a look at the headers
    assert get(tmp_path, address).sha256 == SUM
    begins = [int(asked[6:-1]) for _, asked in server.requests if asked]  # `bytes=1048576-`
    assert len(begins) == 2
    assert [begin % 2**19 for begin in begins] == [0, 0]  # whole chunks of 512 KiB have come
    assert 0 < begins[0] <= 1_500_000  # a cut may tear away with it what was on its way
    assert begins[0] <= begins[1] <= 2_500_000


def test_the_next_start_goes_on_from_what_has_come(server, tmp_path):
    server.serve(CUHK, DATA, cuts=[1_100_000] + [0] * 20)
    message = refused(tmp_path, r"BlurDatasetGT\.zip: broken off .*; what has come is kept\)", CUHK)
    assert message.endswith(f"Try again later, or {ADVICE}")
    (part,) = names(tmp_path)
    assert part.startswith(".file.")
    assert (tmp_path / "inbox" / part).read_bytes() == DATA[:1_048_576]
    server.rules[CUHK].cuts = []
    server.requests.clear()
    assert get(tmp_path, CUHK).sha256 == SUM
    assert (CUHK, "bytes=1048576-") in server.requests
    assert names(tmp_path) == ["file"]


def test_a_server_that_knows_no_ranges_starts_again(server, tmp_path):
    server.serve(CUHK, DATA, cuts=[1_500_000], ranges=False)
    assert get(tmp_path, CUHK).path.read_bytes() == DATA


def test_a_server_that_knows_no_ranges_and_never_ends_is_given_up(server, tmp_path):
    rule = server.serve(CUHK, DATA, cuts=[1_500_000] * 40, ranges=False)
    refused(tmp_path, "broken off", CUHK)
    assert len(rule.cuts) > 20


def test_a_file_that_was_whole_when_its_process_was_killed(server, tmp_path):
    server.serve(CUHK, DATA)
    staged = tmp_path / f"inbox/.file.{hashlib.sha256(CUHK.encode()).hexdigest()[:8]}"
    staged.parent.mkdir()
    staged.write_bytes(DATA)
    staged.with_name(f"{staged.name}.lock").touch()
    assert get(tmp_path, CUHK, expected=SUM).path.read_bytes() == DATA
    assert names(tmp_path) == ["file"]
    (tmp_path / "inbox/file").unlink()
    staged.write_bytes(DATA[:-1])
    assert get(tmp_path, CUHK, expected=SUM).path.read_bytes() == DATA


def test_of_several_parts_the_largest_is_gone_on_with(server, tmp_path):
    server.serve(CUHK, DATA)
    staged = f".file.{hashlib.sha256(CUHK.encode()).hexdigest()[:8]}"
    (tmp_path / "inbox").mkdir()
    for name, size in (("aaaaaaaa", 0), ("bbbbbbbb", 1_000_000), ("cccccccc", 3_000_000)):
        (tmp_path / f"inbox/{staged}{name}.part").write_bytes(DATA[:size])
    (tmp_path / f"inbox/{staged}cccccccc.part").unlink()
    assert get(tmp_path, CUHK).path.read_bytes() == DATA
    assert [asked for _, asked in server.requests if asked] == ["bytes=1000000-"]
    assert names(tmp_path) == ["file"]


def test_a_part_that_is_whole_already(server, tmp_path):
    server.serve(CUHK, DATA)
    staged = f".file.{hashlib.sha256(CUHK.encode()).hexdigest()[:8]}"
    (tmp_path / "inbox").mkdir()
    (tmp_path / f"inbox/{staged}aaaaaaaa.part").write_bytes(DATA)
    assert get(tmp_path, CUHK).path.read_bytes() == DATA
    assert names(tmp_path) == ["file"]


def test_what_was_put_together_from_two_versions_is_fetched_once_more(server, tmp_path):
    server.serve(CUHK, bytes(3_000_000), cuts=[1_500_000] + [0] * 20)
    refused(tmp_path, "broken off", CUHK)
    server.serve(CUHK, DATA)
    assert get(tmp_path, CUHK, expected=SUM).path.read_bytes() == DATA


def test_addresses_are_tried_in_order_and_their_parts_kept_apart(server, tmp_path):
    server.serve(CUHK, bytes(3_000_000), cuts=[1_500_000] + [0] * 20)
    server.serve(GITHUB, DATA)
    found = get(tmp_path, CUHK, DRIVE, GITHUB)
    assert (found.address, found.path.read_bytes() == DATA) == (GITHUB, True)
    assert list(dict.fromkeys(address for address, _ in server.requests)) == [
        CUHK,
        DRIVE,
        GITHUB,
    ]


def test_drive_without_a_content_type(server, tmp_path):
    server.serve(DRIVE, DATA, kind="")
    refused(tmp_path, r"an answer that makes no sense \(KeyError: 'content-type'\)", DRIVE)


def test_drive_that_is_busy_is_asked_again(server, tmp_path):
    server.serve(DRIVE, DATA).failures = 3  # the second is for a look at what the first one said
    assert get(tmp_path, DRIVE).sha256 == SUM
    assert len(server.requests) == 5


def test_a_busy_server_is_asked_again(server, tmp_path):
    server.serve(CUHK, DATA).failures = 3
    assert get(tmp_path, CUHK).sha256 == SUM
    server.rules[CUHK].failures = 9
    (tmp_path / "inbox/file").unlink()
    refused(tmp_path, "HTTP 503", CUHK)
    assert server.rules[CUHK].failures == 9 - 4
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("page", "address", "message"),
    [
        ((QUOTA_PAGE, 200), DRIVE, r"Google Drive's quota: this file was fetched too often today"),
        ((QUOTA_PAGE, 403), DRIVE, r"Google Drive's quota"),
        ((GONE_PAGE, 404), DRIVE, r"Google Drive gives no such file: it was removed, or is not shared"),
        ((b"  <!DOCTYPE html><p>moved", 200), CUHK, r"a web page instead of the file"),
        ((b"<HTML>", 200), GITHUB, r"a web page instead of the file"),
        ((b'\xef\xbb\xbf<?xml version="1.0"?><Error/>', 200), GITHUB, r"a web page instead of the file"),
        ((b"<html><title>Google Drive - Quota exceeded</title></html>", 200), DRIVE, r"Google Drive's quota"),
        ((b"", 200), CUHK, r"an empty file"),
        ((b"no", 404), CUHK, r"HTTP 404"),
    ],
)
def test_a_page_is_no_file(server, tmp_path, page, address, message):
    server.page(address, *page)
    refused(tmp_path, message, address)
    assert names(tmp_path) == []


def test_drive_asks_for_confirmation_of_large_files(server, tmp_path):
    confirmed = "https://drive.usercontent.google.com/download?id=1Qmcu&export=download&confirm=t"
    form = (
        b'<!DOCTYPE html><html><body><form id="download-form" method="get" '
        b'action="https://drive.usercontent.google.com/download"><input type="hidden" name="id" value="1Qmcu">'
        b'<input type="hidden" name="export" value="download"><input type="hidden" name="confirm" value="t">'
        b"</form></body></html>"
    )
    server.page(DRIVE, form)
    server.serve(confirmed, DATA)
    assert get(tmp_path, DRIVE).sha256 == SUM


def test_a_wrong_sum_is_named_and_nothing_stays(server, tmp_path):
    server.serve(CUHK, DATA)
    refused(tmp_path, rf"sha256 {SUM}, expected {'0' * 64}", CUHK, expected="0" * 64)
    assert names(tmp_path) == []


def test_no_network(tmp_path, monkeypatch):
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    message = refused(tmp_path, "no network", "http://no-such-host.invalid/file", "https://no-such-host.invalid/file")
    assert message.count("no network (its name cannot be looked up)") == 2
    assert names(tmp_path) == []


def test_a_server_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    refused(tmp_path, r"no answer \(ConnectionError\)", "http://127.0.0.1:9/file")
    assert names(tmp_path) == []


def test_a_disk_without_room_is_told_before_it_is_full(server, small_disk):
    server.serve(CUHK, DATA)
    with pytest.raises(InputError, match=rf"{small_disk}/file: needs 0\.00 GB, and 0\.00 GB are free"):
        fetch({CUHK: None}, small_disk / "file", advice=ADVICE)
    assert list(small_disk.iterdir()) == []


def test_a_full_disk_is_told_and_emptied(server, full_disk):
    server.serve(CUHK, DATA)
    with pytest.raises(NoRoomError, match=rf"{full_disk}/file: the disk is full"):
        fetch({CUHK: None}, full_disk / "file", advice=ADVICE)
    assert list(full_disk.iterdir()) == []


SCRIPT = """
import sys
from pathlib import Path
from components.acquire.fetch import fetch
fetch({sys.argv[1]: None}, Path(sys.argv[2]), advice="-", wait_s=0.01)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_fetch_leaves_no_file_and_is_gone_on_with(server, tmp_path, number):
    server.serve(CUHK, DATA, pause_s=0.01)
    command = [sys.executable, "-c", SCRIPT, CUHK, tmp_path / "inbox/file"]
    with subprocess.Popen(command, env=os.environ, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while not any(part.stat().st_size for part in tmp_path.glob("inbox/.file*.part")):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(number)
    assert not (tmp_path / "inbox/file").exists()
    server.requests.clear()
    assert get(tmp_path, CUHK).path.read_bytes() == DATA
    assert [asked for _, asked in server.requests][-1].startswith("bytes=")
    assert names(tmp_path) == ["file"]
