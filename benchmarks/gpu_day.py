"""A GPU's day in one command, at most 8 minutes on an H100: what it does, part by part; writes benchmarks/GPU.md.

    python benchmarks/gpu_day.py [--dry] [--full] [--out FOLDER] [--photographs FOLDER] [--encoder FILE]
        [--only PART ...]
    python benchmarks/gpu_day.py --pack FOLDER [--wheels FOLDER] [--photographs FOLDER] [--encoder FILE]

Each part runs in a process of its own with a share of the time, and each of its rows is written as soon as it is there.
A part that fails or runs out of time is a line of the table with the reason. `--dry` runs every line on the CPU at
tiny sizes. `--pack` makes the folder that travels to a machine without a network; docs/gpu_day.md says how.
"""

# ruff: noqa: PLC0415 (what travels as wheels is imported after they are unpacked)

import argparse
import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess as Process
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import gpu_pack  # noqa: E402 (standard library alone, as all that is imported before the wheels are)
from benchmarks.gpu_report import Report, Row, whole  # noqa: E402 (likewise)

TABLE = ROOT / "benchmarks" / "GPU.md"
SHARES = {
    "environment": 20,
    "goldens": 35,
    "steps stage 1": 50,
    "steps stage 2": 65,
    "recipe stage 1": 50,
    "recipe stage 2": 60,
    "candidates": 95,
    "features": 20,
    "CUHK": 45,
    "DVC": 40,
}
"""Seconds that each part may take, 480 in all; less where the day is over before."""
FULL = 900
"""Seconds of each part of the recipe where it is run to its end."""
BAD_FORK = ("forked subprocess", "finds no CUDA device", "EOFError")
"""What torch, our own set-up, and who waits for a side of a step say of it."""
PATIENCE = 10.0
"""Seconds that the process of a part that is done has to end."""
SLOWER = 10
"""A dry run's parts may take so many times as long: it may have little of a CPU."""


def work(told: Connection, part: str, day: Mapping[str, Any], start: str) -> None:
    """A part's process: its rows, one after the other, then how it ended; what it prints goes to a file.

    `start` is how processes are started here: as this one was.
    """
    os.setsid()  # what it starts can be ended with it
    multiprocessing.set_start_method(start, force=True)
    log = (Path(day["out"]) / f"{part.replace(' ', '_')}.log").open("w", encoding="utf-8")
    for stream in (1, 2):
        os.dup2(log.fileno(), stream)
    try:
        from benchmarks.gpu_parts import Day, run_part

        for row in run_part(part)(Day(**day)):
            told.send(asdict(row))
        told.send("done")
    except Exception as error:
        traceback.print_exc()
        told.send(f"failed: {type(error).__name__}: {' '.join(str(error).split())[:300]}")


def heard(here: Connection, deadline: float) -> Generator[Row, None, str]:
    """The rows of a part as they come; the last word is what the generator returns."""
    while True:
        if not here.poll(max(0.0, deadline - time.monotonic())):
            return "out of time"
        try:
            word = here.recv()
        except EOFError:
            return "failed: its process ended; its log says more"
        if isinstance(word, str):
            return word
        yield word


def run(part: str, day: Mapping[str, Any], report: Report, share: float) -> None:
    """One part, in its share of the time.

    It is forked from a process in which everything is imported; should that have touched the GPU, which some version of
    a library may do, it is started anew instead.
    """
    over = time.monotonic() + share
    how = attempt(part, day, report, share, "forkserver")
    if any(word in how for word in BAD_FORK):
        attempt(part, day, report, max(1.0, over - time.monotonic()), "spawn")


def attempt(part: str, day: Mapping[str, Any], report: Report, share: float, start: str) -> str:
    """A part once; how it ended."""
    begun = time.monotonic()
    here, there = multiprocessing.Pipe()
    context: Any = multiprocessing.get_context(start)
    process = context.Process(target=work, args=(there, part, day, start))
    process.start()
    there.close()
    rows, how = heard(here, begun + share), "interrupted"
    try:
        while True:
            report.add(part, next(rows))
    except StopIteration as last:
        how = str(last.value)
    finally:
        if how != "done":
            end(process)
        process.join(PATIENCE)
        if process.is_alive():  # a GPU's driver may take for ever
            end(process)
        how = f"{how} ({share:.0f} s)" if how == "out of time" else how
        report.end(part, how, time.monotonic() - begun)
    return how


def end(process: Process) -> None:
    """End a part's process, and what it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # its own session, by now
    process.kill()


def spend(day: Mapping[str, Any], report: Report, parts: Sequence[str]) -> None:
    """All parts, until the day is over."""
    shares = SHARES | ({f"recipe stage {stage}": FULL for stage in (1, 2)} if day["full"] else {})
    if report.dry:
        shares = {part: SLOWER * share for part, share in shares.items()}
    over = time.monotonic() + sum(shares[part] for part in parts)
    for part in parts:
        left = over - time.monotonic()
        if left < 1:
            report.end(part, "not begun: the day was over", 0.0)
            continue
        run(part, day, report, min(left, shares[part]))


def check_gpu() -> None:
    """End where there is no torch, or no GPU that it finds."""
    try:
        import torch
    except ImportError as error:
        sys.exit(f"error: {error}; docs/gpu_day.md says what has to be there")
    if not torch.cuda.is_available():
        sys.exit("error: torch finds no CUDA device here; `--dry` runs every line on the CPU")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--dry", action="store_true", help="on the CPU, tiny: does every line run?")
    parser.add_argument("--full", action="store_true", help="the recipe to its end: at most 30 minutes more")
    parser.add_argument("--out", type=Path, default=os.environ.get("OUT") or ROOT / ".dbdflow" / "gpu_day")
    parser.add_argument("--photographs", type=Path, help="CUHK: a folder with image/ and gt/")
    parser.add_argument("--encoder", type=Path, help="ImageNet weights of mobilenetv2_100, safetensors")
    parser.add_argument("--parity", type=Path, help="the reference's golden tensors")
    parser.add_argument("--only", nargs="+", choices=SHARES, default=list(SHARES), metavar="PART")
    parser.add_argument("--pack", type=Path, metavar="FOLDER", help="make the folder that travels, and no more")
    parser.add_argument("--wheels", type=Path, help="wheels that travel, or that are used where they are lacking")
    chosen = parser.parse_args()
    for name in ("photographs", "encoder", "parity", "wheels"):
        if (path := getattr(chosen, name)) is not None and not path.exists():
            parser.error(f"--{name} {path}: not there")
    return chosen


def main() -> None:
    chosen = arguments()
    if chosen.pack:
        sys.exit(gpu_pack.pack(chosen.pack, chosen.wheels, chosen.photographs, chosen.encoder))
    out = Path(chosen.out).resolve()
    out.mkdir(parents=True, exist_ok=True)
    beside = gpu_pack.Beside.of(ROOT)
    gpu_pack.use_wheels(chosen.wheels or beside.wheels, out / ".gpu_day" / "wheels")
    multiprocessing.get_context("forkserver").set_forkserver_preload(["benchmarks.gpu_parts"])
    if chosen.dry:
        os.environ["DBDFLOW_CORES"] = "1"  # for tiny tensors; threads would wait for each other
    else:
        check_gpu()
    parity = chosen.parity or beside.parity
    day = {
        "device": "cpu" if chosen.dry else "cuda",
        "out": str(out),
        "full": chosen.full,
        "photographs": str(chosen.photographs or beside.photographs or ""),
        "parity": str(parity or ""),
        "encoder": str(chosen.encoder or beside.encoder or ""),
    }
    report = Report(out, chosen.dry, f"python benchmarks/gpu_day.py {' '.join(sys.argv[1:])}".strip())
    try:
        spend(day, report, chosen.only)
    except KeyboardInterrupt:
        sys.exit(f"interrupted; {out / 'GPU.md'} has what was measured before")
    if not chosen.dry:
        whole(TABLE, report.page())
    print(f"{out / 'GPU.md'}: {sum(how == 'done' for how in report.ended.values())} of {len(report.ended)} parts done")
    sys.exit(any(how != "done" for how in report.ended.values()))


if __name__ == "__main__":
    main()
