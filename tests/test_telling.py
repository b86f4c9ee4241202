"""What the console tells of a stage that lacks something."""

import pytest

from pipelines.running.console import Console
from pipelines.running.walk import Done


def test_what_is_not_at_hand_is_said_once_and_is_the_outcome(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(3)
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
