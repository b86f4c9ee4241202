"""What a person at the console sees of stages."""

import io
import logging
import re
import sys

import pytest

from pipelines.running.console import Console
from pipelines.running.done import Done
from pipelines.system.progress import Progress


def test_what_is_not_at_hand_is_said_once_and_is_the_outcome(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console({}, 3)
    gap = "not at hand: EBD: the archive has an error; ask its authors"
    for stage in ("download@ebd", "prepare@ebd"):
        console.line(stage, gap)
        console.end(Done(stage, "ran", 2.0))
    console.end(Done("prepare@cuhk", "ran", 2.0))
    assert capsys.readouterr().out.splitlines() == [
        f"download@ebd: {gap} after 2 s [1/3]",
        "prepare@ebd: not at hand after 2 s [2/3]",
        "prepare@cuhk: done after 2 s [3/3]",
    ]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def progress_lines(name: str) -> list[str]:
    """What a stage that is half done, and then done, leaves in its log."""
    lines = io.StringIO()
    handler = logging.StreamHandler(lines)
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s: %(message)s", "%H:%M:%S"))
    log = logging.getLogger("pipelines.system.progress")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        progress = Progress(name)
        progress.show(5, 10, "epoch 1")
        progress.show(10, 10, "epoch 2")
    finally:
        log.removeHandler(handler)
    return lines.getvalue().splitlines()


def test_progress_of_a_stage_is_passed_on(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console({"train@a": ["changed"]})
    console.begin("train@a")
    for line in (*progress_lines("train@a"), "something else", "a warning"):
        console.line("train@a", line)
    console.end(Done("train@a", "ran", 3.0))
    assert capsys.readouterr().out.splitlines() == [
        "train@a: begins (changed)",
        "train@a: 5/10 epoch 1",
        "train@a: 10/10 epoch 2",
        "train@a: a warning",
        "train@a: done after 3 s [1/1]",
    ]


def test_on_a_terminal_a_bar_stands_below_the_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    console = Console({"train@a": ["changed"], "train@[b]": ["changed"]})
    for stage in ("train@a", "train@[b]"):
        console.begin(stage)
    console.line("train@a", progress_lines("train@a")[0])
    shown = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", screen.getvalue()).splitlines()[-2:]
    assert [line.split() for line in shown] == [
        ["train@a", "━" * 12 + "╺" + "━" * 11, "5/10", "epoch", "1"],
        ["train@[b]", "━" * 24],
    ]
    for stage in ("train@a", "train@[b]"):
        console.end(Done(stage, "ran", 3.0))
    hidden, back = (screen.getvalue().rindex(code) for code in ("\x1b[?25l", "\x1b[?25h"))
    assert hidden < back, "the cursor is back"
    assert "train@a: done after 3 s [1/2]" in screen.getvalue()
