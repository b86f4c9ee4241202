"""How long `prepare` takes for EBD at its full count, how much memory, and from which size on processes pay.

`python benchmarks/prepare.py` makes a stand-in of 1605 random photographs of 1600x1024 (JPEG, quality 95) and labels
(PNG) in a temporary folder (1.2 GB), prepares it with one and two workers in turn, and writes benchmarks/PREPARE.md.
"""

import argparse
import hashlib
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import psutil
from origin import commit
from PIL import Image

from components.data.images import to_network_size

ROOT = Path(__file__).parent.parent
OUT = ROOT / "benchmarks" / "PREPARE.md"
HEIGHT, WIDTH = 1024, 1600
BASES = 24
SIZES = (30, 60, 120, 240, 480)
"""Pairs of the small sets that are prepared in threads and in processes."""
PREPARE = """
import sys, time
from pathlib import Path
from components.data import prepare
name, raw, out, workers, worth, partial = sys.argv[1:]
prepare.WORTH_PROCESSES = float(worth)
if __name__ == "__main__":
    start = time.perf_counter()
    prepare.prepare_set(name, Path(raw), Path(out), image_size=320, partial=bool(int(partial)), workers=int(workers))
    print(time.perf_counter() - start)
"""


@dataclass(frozen=True)
class Run:
    """One run: seconds (without the interpreter's start), processor seconds, largest memory of all (bytes)."""

    seconds: float
    processor: float
    peak: int
    digest: str


def smooth(random: np.random.Generator, rows: int, channels: int) -> np.ndarray:
    """Noise (HEIGHT, WIDTH, channels) that varies over HEIGHT / rows pixels."""
    noise = random.standard_normal((rows, rows * WIDTH // HEIGHT, channels)).astype(np.float32)
    return cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC).reshape(HEIGHT, WIDTH, channels)


def base(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A photograph whose texture and edges are sharp where its label is white, and the label."""
    random = np.random.default_rng(seed)
    label = smooth(random, 5, 1)[..., 0] > 0
    detail = 14 * smooth(random, 256, 3) + 30 * (smooth(random, 24, 1) > 0)
    photograph = 128 + 45 * smooth(random, 4, 3) + 20 * smooth(random, 16, 3) + np.where(label[..., None], detail, 15)
    noise = random.standard_normal((HEIGHT, WIDTH, 1)).astype(np.float32)
    return np.clip(photograph + 1.5 * noise, 0, 255).astype(np.uint8), (label * 255).astype(np.uint8)


def build(raw: Path, count: int) -> None:
    """Write `count` pairs: shifted and mirrored copies of a few."""
    images, labels = raw / "EBD/image", raw / "EBD/gt"
    images.mkdir(parents=True)
    labels.mkdir(parents=True)
    bases = [base(seed) for seed in range(BASES)]
    for number in range(1, count + 1):
        photograph, label = bases[number % BASES]
        shift, step = 37 * (number // BASES), -1 if number // BASES % 2 else 1
        Image.fromarray(np.roll(photograph, shift, 1)[:, ::step]).save(images / f"{number}.jpg", quality=95)
        Image.fromarray(np.roll(label, shift, 1)[:, ::step]).save(labels / f"{number}.png")


def resident(process: psutil.Process) -> int:
    """Bytes of the process and all below it; pages that they share count for each."""
    total = 0
    for each in (process, *process.children(recursive=True)):
        try:
            total += each.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def run(raw: Path, out: Path, workers: int, worth: float, partial: bool = False) -> Run:
    """Prepare `raw` in a process of its own, watched 20 times a second."""
    script = out.parent / "run.py"
    script.write_text(PREPARE)
    words = ["ebd", raw, out, workers, worth, int(partial)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, script, *map(str, words)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        watched, peak = psutil.Process(process.pid), 0
        while process.poll() is None:
            peak = max(peak, resident(watched))
            time.sleep(0.05)
        assert process.stdout is not None
        text = process.stdout.read()
    if process.returncode:
        raise SystemExit(f"prepare ended with {process.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    digest = hashlib.sha256()
    for path in sorted(out.iterdir()):
        digest.update(path.name.encode() + path.read_bytes())
    return Run(float(text), processor, peak, digest.hexdigest())


def crossover(raw: Path, scratch: Path, rounds: int) -> list[str]:
    """Rows of the table that compares threads and processes on small sets."""
    rows = []
    for count in SIZES:
        small = scratch / f"small{count}"
        for folder in ("EBD/image", "EBD/gt"):
            (small / folder).mkdir(parents=True)
            for path in sorted((raw / folder).iterdir())[:count]:
                (small / folder / path.stem).with_suffix(path.suffix).symlink_to(path)
        best = [min(run(small, scratch / "out", 2, worth, True).seconds for _ in range(rounds)) for worth in (1e15, 0)]
        pixels = count * HEIGHT * WIDTH / 1e6
        rows.append(f"| {count} | {pixels:.0f} | {best[0]:.2f} | {best[1]:.2f} |")
    return rows


def decoders(photographs: list[Path]) -> list[str]:
    """Rows of the table of ways to decode a photograph: milliseconds, and how far the pixels at 320 are from ours."""

    def pillow(path: Path) -> Image.Image:
        return Image.open(path).convert("RGB")

    def draft(path: Path) -> Image.Image:
        with Image.open(path) as image:
            image.draft("RGB", (320, 320))
            return image.convert("RGB")

    def opencv(path: Path) -> Image.Image:
        return Image.fromarray(cv2.imread(str(path), cv2.IMREAD_COLOR_RGB))

    rows = []
    ours = [to_network_size(pillow(path), 320).astype(int) for path in photographs]
    for name, decode in (("Pillow (ours)", pillow), ("OpenCV", opencv), ("Pillow, draft mode", draft)):
        start = time.perf_counter()
        decoded = [decode(path) for path in photographs]
        spent = (time.perf_counter() - start) / len(photographs) * 1e3
        away = max(abs(to_network_size(each, 320) - one).max() for each, one in zip(decoded, ours, strict=True))
        rows.append(f"| {name} | {spent:.1f} | {away} |")
    return rows


def note(runs: dict[int, list[Run]], tables: tuple[list[str], list[str]], raw: Path, count: int, command: str) -> str:
    """The note, in Markdown."""
    sizes = [path.stat().st_size / 1e3 for path in (raw / "EBD/image").iterdir()]
    same = len({each.digest for done in runs.values() for each in done}) == 1
    lines = [
        "# Preparing EBD at its full count",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, commit {commit()}, {platform.machine()} with {os.cpu_count()} CPU cores, "
        f"Python {platform.python_version()}, load {os.getloadavg()[0]:.1f} at the end, `{command}`.",
        "",
        f"{count} random photographs of {WIDTH}x{HEIGHT}, JPEG of quality 95, {np.mean(sizes):.0f} kB on average "
        f"({min(sizes):.0f} to {max(sizes):.0f}), with PNG labels. Runs in turn; the budget is 180 s and 2 GB.",
        "",
        "| workers | seconds, each run | processor seconds | best: pairs a second | peak memory of the process tree |",
        "|---|---|---|---|---|",
    ]
    for workers, done in runs.items():
        seconds = ", ".join(f"{each.seconds:.1f}" for each in done)
        best, peak = min(each.seconds for each in done), max(each.peak for each in done)
        spent = ", ".join(f"{each.processor:.1f}" for each in done)
        lines.append(f"| {workers} | {seconds} | {spent} | {count / best:.0f} | {peak / 1e6:.0f} MB |")
    return "\n".join(
        [
            *lines,
            "",
            f"All files of all runs are {'the same bytes' if same else '**NOT the same bytes**'}.",
            "",
            "## Threads or processes",
            "",
            "Seconds for the first pairs of the same set with two workers, best run.",
            "",
            "| pairs | megapixels | threads | processes |",
            "|---|---|---|---|",
            *tables[0],
            "",
            "## Decoders",
            "",
            "Milliseconds to decode one photograph, and the largest difference at 320x320 of 255 levels from ours.",
            "",
            "| decoder | ms | difference |",
            "|---|---|---|",
            *tables[1],
            "",
        ]
    )


def main() -> None:
    """Build the stand-in, prepare it in turn, write the note."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=1605, help="pairs; the published set has 1605")
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        build(scratch / "raw", options.count)
        partial = options.count != 1605
        runs: dict[int, list[Run]] = {1: [], 2: []}
        for _ in range(options.rounds):
            for workers, done in runs.items():
                done.append(run(scratch / "raw", scratch / "out", workers, 0, partial))
                print(workers, done[-1], flush=True)
        photographs = sorted((scratch / "raw/EBD/image").iterdir())[:48]
        tables = (crossover(scratch / "raw", scratch, options.rounds), decoders(photographs))
        command = f"python benchmarks/prepare.py --count {options.count} --rounds {options.rounds}"
        OUT.write_text(note(runs, tables, scratch / "raw", options.count, command))
    print(OUT)


if __name__ == "__main__":
    main()
