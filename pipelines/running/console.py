"""What a person at the console sees of a reproduction: who began, how far it is, how it ended."""

import atexit
import logging
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from pipelines.repo.costs import Costs, summed
from pipelines.running.done import Done
from pipelines.system.progress import duration
from pipelines.system.stopping import NOT_AT_HAND

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

log = logging.getLogger(__name__)

PROGRESS = re.compile(r"^(?:[\d:]+ )?pipelines\.system\.progress: (.*: (([\d.]+)/([\d.e+]+) .*))$")
NEWS = re.compile(r"error|warning|tried again|interrupted|going on after|waits for|^runs on ", re.IGNORECASE)
"""Lines of a stage that are shown as they come; everything is in its log."""
MARKS = {"ran": "done", "restored": "from the run cache", "unchanged": "up to date"}


def bars() -> "Progress":
    """A bar a stage, below the lines that are printed; gone when it is stopped."""
    from rich.progress import BarColumn, Progress, TextColumn

    name, note = (TextColumn(f"{{task.{each}}}", markup=False) for each in ("description", "fields[note]"))
    shown = Progress(name, BarColumn(24), note, transient=True, auto_refresh=False)
    atexit.register(shown.live.stop)  # however the command ends, the cursor comes back
    return shown


class Console:
    """Lines on standard output; on a terminal a bar for each stage that runs, below them."""

    def __init__(self, why: Mapping[str, Sequence[str]], total: int | None = None) -> None:
        """`why`: the stages that may run, and the reasons; `total`: how many of them will, if not all."""
        self.why, self.ended, self.total = why, 0, len(why) if total is None else total
        self.terminal = sys.stdout.isatty()
        self.bars = bars() if self.terminal else None
        self.running: dict[str, TaskID] = {}
        self.gaps: dict[str, str] = {}
        self.said: set[str] = set()

    def begin(self, stage: str) -> None:
        if self.bars:
            self.running[stage] = self.bars.add_task(stage, total=None, note="")
        self._say(f"{stage}: begins ({brief(self.why[stage])})")

    def line(self, stage: str, line: str) -> None:
        """A stage printed a line."""
        if found := PROGRESS.match(line):
            if self.bars and stage in self.running:
                done, total = float(found[3]), float(found[4])
                self.bars.update(self.running[stage], completed=done, total=total, note=found[2])
            self._say(None if self.bars else found[1])
        elif line.startswith(NOT_AT_HAND):
            self.gaps[stage] = line
        elif NEWS.search(line):
            self._say(f"{stage}: {line}")

    def end(self, done: Done, how: str | None = None) -> None:
        """A stage ended; `how`, in words, if there is more to say than its status does. What did not begin: no word."""
        if done.status == "skipped":
            return
        if self.bars and done.stage in self.running:
            self.bars.remove_task(self.running.pop(done.stage))
        self.ended += 1
        how = how or self._gap(done.stage) or MARKS.get(done.status, f"{done.status.upper()}: {done.cause}")
        self._say(f"{done.stage}: {how} after {duration(done.seconds)} [{self.ended}/{self.total}]")

    def _gap(self, stage: str) -> str:
        """What a stage lacked, in full the first time; empty if nothing."""
        gap = self.gaps.pop(stage, "")
        again = gap in self.said
        self.said.add(gap)
        return NOT_AT_HAND.rstrip(": ") if again and gap else gap

    def say(self, line: str) -> None:
        self._say(line)

    def _say(self, line: str | None) -> None:
        """Write a line, and the bars anew; a terminal or a worker that has gone is no reason to stop."""
        with suppress(OSError):
            if line is not None and self.bars:
                self.bars.console.print(line, markup=False, highlight=False, soft_wrap=True)
            elif line is not None:
                print(line, flush=True)
            if self.bars and self.running:
                self.bars.start()
                self.bars.refresh()
            elif self.bars and self.bars.live.is_started:
                self.bars.stop()
        if line is not None:
            log.info("%s", line)  # to Prefect, in a flow run


def brief(why: Sequence[str], most: int = 2) -> str:
    """The first reasons, and how many more there are."""
    more = f", and {len(why) - most} more" if len(why) > most else ""
    return ", ".join(why[:most]) + more


def plan(to_do: Mapping[str, Sequence[str]], stages: int, costs: Costs) -> Iterable[str]:
    """What would run, why, and how long it took last time."""
    if not to_do:
        yield f"nothing to do: all {stages} stages are up to date"
        return
    yield f"{len(to_do)} of {stages} stages would run, or be taken from DVC's run cache:"
    last = {stage: f"{costs[stage]} last time" if stage in costs else "not timed yet" for stage in to_do}
    wide, high = max(map(len, to_do)), max(map(len, last.values()))
    for stage, why in to_do.items():
        yield f"  {stage:{wide}}  {last[stage]:{high}}  {brief(why, 4)}"
    if total := summed(costs, to_do):
        yield total
