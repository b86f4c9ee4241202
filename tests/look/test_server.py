"""`dbdflow look` asked over its socket: maps, whom it answers, what it refuses, and how it ends."""

import io
import os
import re
import signal
import socket
import struct
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
from click.testing import CliRunner
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from components.baselines.lbp import lbp
from components.catalog.pictures import is_ours
from components.maps.files import grey
from dbdflow import Detector
from pipelines.cli import main
from pipelines.servers import look_work
from pipelines.servers.look import MEGABYTES, PAGE, one_line, picture, tame
from pipelines.servers.look_work import make_map
from tests.flows.conftest import until
from tests.look.conftest import Looking


def png(pixels: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", **options)
    return buffer.getvalue()


def levels(body: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(body)) as image:
        assert (image.format, image.mode) == ("PNG", "L")
        return np.asarray(image)


@pytest.fixture(scope="module")
def expected(looking: Looking, photo: np.ndarray) -> np.ndarray:
    """The map of the photograph by the run."""
    return grey(Detector.load(looking.folder / "data/models/tiny", device="cpu").map(photo))


def test_a_map_is_that_of_predict_with_its_facts(looking: Looking, photo, expected, tmp_path: Path) -> None:
    answer = looking.map(png(photo), name="C:\\photos\\é.png")
    assert (answer.status, answer.headers["content-type"]) == (200, "image/png")
    found = levels(answer.body)
    np.testing.assert_array_equal(found, expected)
    assert answer.headers["x-size"] == "107 160"
    assert answer.headers["x-seen-at"] == ""
    counts = list(map(int, answer.headers["x-counts"].split()))
    assert counts == np.bincount(found.ravel(), minlength=256).tolist()
    (tmp_path / "map.png").write_bytes(answer.body)
    assert is_ours(tmp_path / "map.png", "é.png")
    assert not is_ours(tmp_path / "map.png", "f.png")


def test_a_photograph_lies_as_its_camera_was_held(looking: Looking, photo) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = png(photo, exif=exif)
    assert looking.map(turned).headers["x-size"] == "160 107"
    shown = looking.ask("POST", "/photograph?name=a.tif", turned)
    with Image.open(io.BytesIO(shown.body)) as image:
        np.testing.assert_array_equal(np.asarray(image), np.rot90(photo, -1))


def test_a_classical_method_sees_a_large_photograph_reduced_and_says_so(photo, monkeypatch) -> None:
    """In this process, where what is large can be set: a quarter of 160 x 107 pixels."""
    as_it_is = make_map("lbp", "cpu", "a.png", png(photo))
    np.testing.assert_array_equal(levels(as_it_is.png), grey(lbp(photo)))
    monkeypatch.setattr(look_work, "CLASSICAL_PIXELS", 160 * 107 // 4)
    made = make_map("lbp", "cpu", "a.png", png(photo))
    small = Image.fromarray(photo).resize((80, 54), Image.Resampling.BOX)
    whole = Image.fromarray(grey(lbp(np.asarray(small)))).resize((160, 107), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(levels(made.png), np.asarray(whole))
    assert [picture(each).headers["x-seen-at"] for each in (as_it_is, made)] == ["", "54 80"]
    assert picture(made).headers["x-size"] == "107 160"


def test_twenty_at_once_each_get_their_own_map_and_the_page_answers_meanwhile(looking, photo, expected) -> None:
    photos = [png(np.roll(photo, 8 * number, axis=1)) for number in range(20)]
    with ThreadPoolExecutor(20) as pool:
        maps = [pool.submit(looking.map, each) for each in photos]
        assert looking.ask("GET", "/facts").status == 200
        answers = [each.result() for each in maps]
    assert {answer.status for answer in answers} == {200}
    np.testing.assert_array_equal(levels(answers[0].body), expected)
    assert len({answer.body for answer in answers}) == 20


def test_what_is_at_hand(looking: Looking) -> None:
    facts = looking.ask("GET", "/facts").body
    assert b'"models":["tiny","lbp","small","dbdf","hifst"]' in facts
    assert b'"chosen":["tiny","lbp"],"examples":["flower.jpg"]' in facts
    flower = looking.ask("GET", "/examples/flower.jpg")
    assert flower.body == (looking.folder / "data/examples/flower.jpg").read_bytes()
    whose = looking.ask("GET", "/examples/README.md")
    assert (whose.headers["content-type"], whose.body.decode()) == ("text/plain; charset=utf-8", "Whose they are: é\n")
    for path in ("/examples/..%2f..%2f.dvc", "/examples/../../look.py", "/../look.py", "/nowhere"):
        assert looking.ask("GET", path).status == 404


def test_the_page_needs_no_network_and_nobody_may_show_it(looking: Looking) -> None:
    for path in PAGE.iterdir():
        text = path.read_text()
        assert not re.search(r"https?:|\b(src|href)=[\"']//|@import|eval\(", text), path.name
        answer = looking.ask("GET", f"/{path.name}")
        assert answer.body.decode() == text
        assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert looking.ask("GET", "/").body == (PAGE / "index.html").read_bytes()


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example", "", "10.0.0.1:{port}"]
)
@pytest.mark.parametrize("path", ["/", "/facts", "/map?model=tiny"])
def test_it_answers_to_no_other_name(looking: Looking, photo, host: str, path: str) -> None:
    method, host = "POST" if "map" in path else "GET", host.format(port=looking.port)
    answer = looking.ask(method, path, png(photo) if "map" in path else None, Host=host)
    assert answer.status == 421
    assert answer.line == (
        f"Host {host!a}: expected 127.0.0.1 or localhost; open the address that `dbdflow look` printed"
    )


def test_it_listens_on_the_loopback_alone(looking: Looking) -> None:
    listening = [each for each in psutil.Process(looking.process.pid).net_connections() if each.status == "LISTEN"]
    assert [tuple(each.laddr) for each in listening] == [("127.0.0.1", looking.port)]
    assert looking.ask("GET", "/facts", Host=f"localhost:{looking.port}").status == 200
    assert looking.ask("GET", "/facts", Host="localhost:8000").status == 200  # the other end of a tunnel


def test_another_page_may_not_send(looking: Looking, photo) -> None:
    body, own = png(photo), f"127.0.0.1:{looking.port}"
    for origin in (
        "https://evil.example",
        "null",
        f"http://localhost:{looking.port}",
        "http://127.0.0.1:1",
        f"https://{own}",
    ):
        answer = looking.map(body, Origin=origin)
        assert (answer.status, answer.line) == (
            403,
            f"Origin {origin!a}: another page may not send photographs here",
        )
    assert looking.map(body, Origin=f"http://{own}").status == 200


def test_a_body_over_the_limit_is_refused_by_what_it_says(looking: Looking) -> None:
    with socket.create_connection(("127.0.0.1", looking.port)) as connection:
        head = f"POST /map?model=tiny HTTP/1.1\r\nHost: localhost\r\nContent-Length: {MEGABYTES * 2_000_000}\r\n\r\n"
        connection.sendall(head.encode())  # and no body
        assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_a_body_over_the_limit_is_refused_by_what_it_is(looking: Looking) -> None:
    sent = 0

    def chunks():
        nonlocal sent
        for _ in range(MEGABYTES + 4):
            sent += 1_000_000
            yield bytes(1_000_000)

    answer = looking.map(chunks())
    assert (answer.status, answer.line) == (
        413,
        f"over {MEGABYTES} MB, and at most {MEGABYTES} are taken; use `dbdflow predict` for it",
    )
    assert sent >= MEGABYTES * 1_000_000


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(side: int) -> bytes:
    """A whole PNG of one colour, of `side` x `side` pixels, in a few kilobytes."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0))
    rows = zlib.compress(bytes(side * (side // 8 + 1)), 9)
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


NOISE = np.random.default_rng(0).integers(0, 256, (107, 160, 3), np.uint8)
AGAIN = "get the file again, or take it away"


@pytest.mark.parametrize("model", ["tiny", "lbp"])
@pytest.mark.parametrize(
    ("name", "body", "told"),
    [
        ("a.jpg", b"", f"a.jpg: not a readable image (of no known format); {AGAIN}"),
        ("notes.txt", b"notes", f"notes.txt: not a readable image (of no known format); {AGAIN}"),
        ("a.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "a.svg: not a readable image (of no known format)"),
        ("a.heic", b"\0\0\0\x18ftypheic", "a.heic: .heic is not read; convert it to JPEG or PNG"),
        ("half.png", png(NOISE)[:20_000], "half.png: not a readable image ("),
        ("bomb.png", bomb(24_000), "bomb.png: 576 megapixels, and at most 128 are read; decoded they take 1.7 GB: "),
        ("../../etc/pass\nwd.png", b"", "passwd.png: not a readable image"),
        ("/", b"", "photograph: not a readable image"),
        ("é" * 300 + ".jpg", b"", "é" * 96 + ".jpg: not a readable image"),
    ],
)
def test_what_is_no_photograph_is_told_in_the_words_of_predict(looking, model, name, body, told) -> None:
    answer = looking.map(body, model=model, name=name)
    assert answer.status == 422
    assert answer.line.startswith(told)


def test_a_text_that_unfolds_to_much_is_no_harm(looking: Looking, photo) -> None:
    notes = PngInfo()
    notes.add_text("a", "x" * 8_000_000, zip=True)
    answer = looking.map(png(photo, pnginfo=notes))
    assert answer.status == 422
    assert answer.line.startswith("photo.png: not a readable image (")


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("/map?model=../../x", 404, "'../../x': not at hand; expected tiny, lbp, small, dbdf, hifst"),
        ("/map?name=a.jpg", 422, "/map: expected ?model=NAME&name=FILE"),
    ],
)
def test_what_is_asked_wrongly(looking: Looking, photo, path: str, status: int, told: str) -> None:
    answer = looking.ask("POST", path, png(photo))
    assert (answer.status, answer.line) == (status, told)


def test_where_a_process_is_killed_the_next_photograph_gets_its_map(looking: Looking, photo, expected) -> None:
    large = png(np.kron(photo, np.ones((6, 6, 1), np.uint8)))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(looking.map, large, model="hifst")
        time.sleep(0.3)
        for process in looking.makers():
            os.kill(process.pid, signal.SIGKILL)
    assert waiting.result().status == 503
    assert waiting.result().line.startswith("the process that made the map was ended from outside, as happens where")
    np.testing.assert_array_equal(levels(looking.map(png(photo)).body), expected)


def test_nothing_was_written(looking: Looking) -> None:
    """After all the above: no file in the checkout, nor where temporary files go."""
    files = {str(path.relative_to(looking.folder)) for path in looking.folder.rglob("*") if path.is_file()}
    run = {f"data/models/tiny/{name}" for name in ("model.safetensors", "card.json", "history.csv")}
    assert files == run | {"data/examples/flower.jpg", "data/examples/README.md"}


def test_ctrl_c_ends_it_at_once_whatever_it_is_doing(tmp_path: Path, photo) -> None:
    slow = Looking(tmp_path, "--model", "lbp")
    slow.map(png(photo), model="lbp")
    before = max(each.cpu_times().user for each in slow.makers()) + 0.2
    large = png(np.kron(photo, np.ones((6, 6, 1), np.uint8)))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(slow.map, large, model="hifst")
        until(lambda: max(each.cpu_times().user for each in slow.makers()) > before)
        assert slow.interrupt() == (0, "\nended\n", "")
    assert waiting.result().status == 503
    assert waiting.result().line == "`dbdflow look` was ended; start it and send the photograph again"


def says(*words: str) -> str:
    result = CliRunner().invoke(main, ["look", *words])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
    return result.stderr.strip()


def test_a_port_that_is_taken(looking: Looking) -> None:
    told = says("--port", str(looking.port))
    assert told.startswith(f"error: --port {looking.port}: Address already in use, at 127.0.0.1; another program may ")
    assert re.search(r"or name another: --port \d+$", told)


def test_a_model_that_is_not_there_is_told_before_the_page_is(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DBDFLOW_CORES", "1")
    assert says("--model", "smal", "--port", "8499").startswith("error: --model smal: nothing has this name. Methods: ")
    assert says(*["--model", "small"] * 3).startswith("error: --model: 3 of them, expected one or two; ")


@pytest.mark.parametrize(
    ("name", "tamed"),
    [
        ("a.jpg", "a.jpg"),
        ("a/b\\c.jpg", "c.jpg"),
        ("..", "photograph"),
        ("a\0\u202e.png", "a.png"),
        ("  ", "photograph"),
    ],
)
def test_names(name: str, tamed: str) -> None:
    assert tame(name) == tamed


def test_of_a_traceback_its_end_is_said() -> None:
    assert (
        one_line(ValueError("lbp: failed; correct this:\n  File x\nKeyError: 3"))
        == "lbp: failed; correct this: KeyError: 3"
    )
    assert one_line(ValueError()) == "ValueError"
