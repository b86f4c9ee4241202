"""A hundred million photographs in an object store, from measured parts: the table of docs/hundred_million.md.

Chunks of 1,000 photographs on workers of one core, 1 % of which die somewhere on the way: simulated event by event.
What a photograph costs (seconds of a core, bytes) and what a chunk costs the scheduler are given, as measured.

    python benchmarks/hundred_million.py [--seconds 0.12] [--kilobytes 250] [--milliseconds 5]
"""

import argparse
import heapq
import random
from dataclasses import dataclass

CHUNKS, SIZE, WORKERS = 100_000, 1_000, 1_000
DYING = 0.01  # of the workers
NOTICED, REPLACED = 60.0, 300.0  # seconds until a dead worker's chunk begins again elsewhere, until another is there
SPREAD = 0.2  # deviation of a chunk's time


@dataclass
class Outcome:
    """What came of a run: hours, chunks that were begun twice, share of time that workers and scheduler were busy."""

    hours: float
    lost: int
    workers: float
    scheduler: float


def simulate(workers: int, seconds: float, dispatch: float, seed: int = 0) -> Outcome:
    """Run all chunks; `seconds` is a chunk's time on a worker, `dispatch` the scheduler's for a chunk."""
    draw = random.Random(seed)
    whole = CHUNKS * seconds / workers
    dies = {name: draw.uniform(0, whole) for name in draw.sample(range(workers), round(DYING * workers))}
    free = [(0.0, name) for name in range(workers)]  # when each asks for a chunk
    todo, done, lost, busy, ready, now = CHUNKS, 0, 0, 0.0, 0.0, 0.0
    again: list[float] = []  # when chunks of the dead may begin anew
    while done < CHUNKS:
        now, name = heapq.heappop(free)
        if again and again[0] <= now:
            heapq.heappop(again)
        elif todo:
            todo -= 1
        elif again:
            heapq.heappush(free, (again[0], name))
            continue
        else:
            continue  # others still work; nothing is left for this one
        ready = max(ready, now) + dispatch  # the scheduler serves one after another
        taken = max(0.1 * seconds, draw.gauss(seconds, SPREAD * seconds))
        if name in dies and dies[name] <= ready + taken:
            died = max(ready, dies.pop(name))
            lost += 1
            heapq.heappush(again, died + NOTICED)
            heapq.heappush(free, (died + REPLACED, name))
            continue
        busy, done = busy + taken, done + 1
        heapq.heappush(free, (ready + taken, name))
    end = max(moment for moment, _ in free) if free else now
    return Outcome(end / 3600, lost, busy / (workers * end), CHUNKS * dispatch / end)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=0.12, help="of one core, a photograph")
    parser.add_argument("--kilobytes", type=float, default=250.0, help="read and written, a photograph")
    parser.add_argument("--milliseconds", type=float, default=5.0, help="of the scheduler, a chunk")
    told = parser.parse_args()
    print("| workers | hours | chunks begun twice | workers busy | scheduler busy | from and to the store |")
    print("|---|---|---|---|---|---|")
    for workers in (1_000, 10_000, 50_000):
        found = simulate(workers, SIZE * told.seconds, told.milliseconds / 1000)
        gigabytes = CHUNKS * SIZE * told.kilobytes / 1e6 / (found.hours * 3600)
        print(
            f"| {workers:,} | {found.hours:.2f} | {found.lost} | {found.workers:.0%} | {found.scheduler:.0%} | "
            f"{gigabytes:.1f} GB/s |"
        )


if __name__ == "__main__":
    main()
