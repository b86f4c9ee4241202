"""How far a stage is and how long it will take: a line rewritten in place on a terminal, a rare log line elsewhere."""

import logging
import os
import sys
import time

log = logging.getLogger(__name__)

TERMINAL_INTERVAL = 0.1  # seconds
LOG_INTERVAL = float(os.environ.get("DBDFLOW_PROGRESS_SECONDS", "30"))


def duration(seconds: float) -> str:
    """`45 s`, `3 min 05 s`, `2 h 07 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class Progress:
    """Console progress of one stage; the time left follows from this process's own pace (a resumed run starts late)."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.text = ""
        self.terminal = sys.stderr.isatty()
        self.first: tuple[float, float] | None = None
        self.shown = float("-inf")

    def show(self, done: float, total: float, message: str) -> None:
        """Tell the console, now and then."""
        now, last = time.monotonic(), done >= total
        self.first = self.first or (now, done)
        self.text = f"{done:g}/{total:g} {message}{self._left(now, done, total)}"
        if not last and now - self.shown < (TERMINAL_INTERVAL if self.terminal else LOG_INTERVAL):
            return
        self.shown = now
        line = f"{self.name}: {self.text}"
        if self.terminal:
            print(f"\r\033[K{line}", end="\n" if last else "", file=sys.stderr, flush=True)
        else:
            log.info("%s", line)

    def _left(self, now: float, done: float, total: float) -> str:
        assert self.first is not None
        start, begun = self.first
        if done >= total or done <= begun:
            return ""
        return f", {duration((now - start) / (done - begun) * (total - done))} left"
