"""How long `prepare` takes for EBD at its full count, and how much memory.

`python benchmarks/prepare.py` makes a stand-in of 1605 random photographs of 1600x1024 (JPEG, quality 95) and labels
(PNG) in a temporary folder (1.2 GB), prepares it with one and two workers in turn, and writes benchmarks/PREPARE.md.
"""

import argparse
import hashlib
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
from origin import commit
from PIL import Image

from components.catalog.images import to_network_size

ROOT = Path(__file__).parent.parent
OUT = ROOT / "benchmarks" / "PREPARE.md"
HEIGHT, WIDTH = 1024, 1600
BASES = 24
PREPARE = """
import sys, time
from pathlib import Path
from components.prepare.build import prepare_set
name, raw, out, workers, partial = sys.argv[1:]
start = time.perf_counter()
prepare_set(name, Path(raw), Path(out), image_size=320, partial=bool(int(partial)), workers=int(workers))
seconds, spent = time.perf_counter() - start, time.process_time()
(peak,) = (line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(seconds, spent, int(peak) * 1024)
"""


@dataclass(frozen=True)
class Run:
    """One run: seconds (without the interpreter's start), processor seconds, largest memory (bytes)."""

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


def run(raw: Path, out: Path, workers: int, partial: bool) -> Run:
    """Prepare `raw` in a process of its own."""
    command = [sys.executable, "-c", PREPARE, "ebd", raw, out, str(workers), str(int(partial))]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=True)
    digest = hashlib.sha256()
    for path in sorted(out.iterdir()):
        digest.update(path.name.encode() + path.read_bytes())
    seconds, processor, peak = done.stdout.split()
    return Run(float(seconds), float(processor), int(peak), digest.hexdigest())


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


def note(runs: dict[int, list[Run]], decoded: list[str], raw: Path, count: int, command: str) -> str:
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
        "| workers | seconds, each run | processor seconds | best: pairs a second | peak memory |",
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
            "## Decoders",
            "",
            "Milliseconds to decode one photograph, and the largest difference at 320x320 of 255 levels from ours.",
            "",
            "| decoder | ms | difference |",
            "|---|---|---|",
            *decoded,
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
                done.append(run(scratch / "raw", scratch / "out", workers, partial))
                print(workers, done[-1], flush=True)
        photographs = sorted((scratch / "raw/EBD/image").iterdir())[:48]
        command = f"python benchmarks/prepare.py --count {options.count} --rounds {options.rounds}"
        OUT.write_text(note(runs, decoders(photographs), scratch / "raw", options.count, command))
    print(OUT)


if __name__ == "__main__":
    main()
