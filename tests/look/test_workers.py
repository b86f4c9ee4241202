"""Whose turn it is at the processes of `dbdflow look`, and what becomes of who goes away."""

import asyncio
import http.client
import socket
import threading
import time
from collections.abc import Callable

import pytest
import uvicorn

from pipelines.servers.look import make_app
from pipelines.servers.look_work import Made
from pipelines.servers.look_workers import Turns
from tests.flows.conftest import until


async def order(turns: Turns, kinds: str, gone: tuple[int, ...] = ()) -> str:
    """The kinds in the order in which they get their turn, asked for at once; those at `gone` are cancelled first."""
    given: list[str] = []

    async def work(kind: str) -> None:
        async with turns.turn(kind):
            given.append(kind)
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(work(kind)) for kind in kinds]
    await asyncio.sleep(0)
    for number in gone:
        tasks[number].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert turns.working.total() == 0
    assert turns.waiting == []
    return "".join(given)


@pytest.mark.parametrize(
    ("most", "kinds", "gone", "expected"),
    [
        (1, "aaa", (), "aaa"),
        (1, "ssssqqc", (), "sqcsqss"),  # kinds in turn, each in its order
        (1, "ssssqqc", (1, 2, 5), "sqcs"),
        (2, "ssssqq", (), "ssqsqs"),  # both places at `s` when `q` comes: each has one from then on
        (2, "abcc", (0, 1), "abcc"),  # cancelled in their turn: they leave their place
        (8, "abc", (), "abc"),
    ],
)
def test_turns(most: int, kinds: str, gone: tuple[int, ...], expected: str) -> None:
    assert asyncio.run(order(Turns(most), kinds, gone)) == expected


def test_never_more_than_are_allowed_and_what_is_slow_leaves_room() -> None:
    """Two places, slow ones in both: the quick come after one slow one, not after all."""
    at_work: list[int] = []
    ended: list[str] = []

    async def work(turns: Turns, kind: str, seconds: float) -> None:
        async with turns.turn(kind):
            at_work.append(turns.working.total())
            await asyncio.sleep(seconds)
            ended.append(kind)

    async def all_of_them() -> None:
        turns = Turns(2)
        await asyncio.gather(
            *(work(turns, "slow", 0.05) for _ in range(6)), *(work(turns, "quick", 0) for _ in range(6))
        )

    asyncio.run(all_of_them())
    assert max(at_work) == 2
    assert ended.index("quick") <= 2
    assert "".join(each[0] for each in ended[:9]).count("q") == 6


class Held:
    """In the place of `Workers`: one that makes nothing until it is let, and knows what it was given."""

    models, device = ("held",), "cpu"

    def __init__(self) -> None:
        self.turns, self.given, self.let = Turns(1), list[bytes](), threading.Event()

    async def run(self, function: Callable[..., Made], *words: object) -> Made:
        self.given.append(bytes(words[-1]))  # type: ignore[call-overload]
        while not self.let.is_set():
            await asyncio.sleep(0.01)
        return Made(b"png", (1, 1), (), 0.0)


@pytest.fixture
def held():
    """A real server whose worker is `Held`, and its port."""
    worker, listener = Held(), socket.create_server(("127.0.0.1", 0))
    app = make_app(worker, ["held"], {})  # type: ignore[arg-type]
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", ws="none", log_level="critical"))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    yield worker, listener.getsockname()[1]
    worker.let.set()
    server.should_exit = True
    thread.join()
    listener.close()


def sent(port: int, body: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port))
    head = f"POST /map?model=held HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body)
    return connection


def test_who_went_away_while_waiting_leaves_no_work(held) -> None:
    worker, port = held
    first = sent(port, b"first")
    until(lambda: worker.given == [b"first"])
    gone = [sent(port, bytes(size)) for size in (1, 10, 200_000)]
    last = sent(port, b"last")
    until(lambda: len(worker.turns.waiting) == 4)
    for each in gone:
        each.close()
    worker.let.set()
    assert last.recv(100).startswith(b"HTTP/1.1 200 ")
    assert first.recv(100).startswith(b"HTTP/1.1 200 ")
    assert worker.given == [b"first", b"last"]
    first.close()
    last.close()


def test_who_sends_nothing_more_gives_up_the_turn(held, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.servers.look.STALLED", 0.1)
    worker, port = held
    stalled = socket.create_connection(("127.0.0.1", port))
    stalled.sendall(b"POST /map?model=held HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc")
    begun = time.monotonic()
    assert stalled.recv(100).startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - begun < 5
    worker.let.set()
    other = sent(port, b"other")
    assert other.recv(100).startswith(b"HTTP/1.1 200 ")
    stalled.close()
    other.close()


def test_a_fault_of_the_program_is_one_line_without_a_traceback(held, monkeypatch, caplog) -> None:
    worker, port = held

    async def fails(*words: object) -> Made:
        raise KeyError("secret")

    monkeypatch.setattr(worker, "run", fails)
    connection = sent(port, b"x")
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    assert (answer.status, answer.read()) == (500, b"photograph: KeyError, a fault of the program; report it\n")
    assert "KeyError: 'secret'" in caplog.text  # for the report
    connection.close()
