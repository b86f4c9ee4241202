"""What the teacher's cache costs beside the teacher itself, and what smaller numbers would change: benchmarks/CACHE.md.

MiDaS v2.1's network at the paper's size with random weights: the features' sizes and the work are the real ones.

    python benchmarks/cache.py [--images 24] [--rounds 3]
"""

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
import numpy as np
import torch
from torch import Tensor

from benchmarks.clock import machine, timed
from components.datasets.loader import Batch, Jitter
from components.models.registry import build_model
from components.models.runtime import set_up
from components.train.losses import feature_loss
from components.train.teacher_cache import CachedFeatures, Encoder, Plan, open_cache, write_cache
from components.train.teachers import LEVELS, encode_depth

OUT = Path(__file__).parent / "CACHE.md"
SIZE, BATCH = 320, 12
PLAN = Plan("random", SIZE, "vertical", "float16", Jitter(0.1, 0.1, 0.1), seed=0)
SMALLER = (torch.float16, torch.bfloat16, torch.float8_e4m3fn)


def forward(encode: Encoder, images: Tensor, ids: list[str]) -> None:
    """The teacher alone, on what the cache would hold: both flips of every image."""
    for start in range(0, len(images), BATCH):
        chosen = slice(start, start + BATCH)
        for flipped in (False, True):
            with torch.no_grad():
                encode(PLAN.seen(images[chosen], ids[chosen], 1, flipped=flipped))


def smaller(features: list[Tensor]) -> list[str]:
    """Relative change of the feature loss when the teacher's features are rounded, by how near the student is."""
    rows = []
    for dtype in SMALLER:
        changes = []
        for noise in (3.0, 1.0, 0.3):
            generator = torch.Generator().manual_seed(0)
            spread = [noise * each.std() * torch.randn(each.shape, generator=generator) for each in features]
            student = [each + extra for each, extra in zip(features, spread, strict=True)]
            exact = float(feature_loss(student, features))
            rounded = float(feature_loss(student, [each.to(dtype).float() for each in features]))
            changes.append(f"{abs(rounded / exact - 1):.1e} (loss {exact:.2f})")
        rows.append(f"| {str(dtype).removeprefix('torch.')} | " + " | ".join(changes) + " |")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    device = set_up(device="auto", precision="float32", deterministic=False, threads=0).device
    torch.manual_seed(0)
    model = build_model("midas", "resnext101_32x8d", width=256).to(device).to(memory_format=torch.channels_last).eval()
    encode, random = encode_depth(model), np.random.default_rng(0)
    images = torch.from_numpy(random.integers(0, 256, (chosen.images, 3, SIZE, SIZE), dtype=np.uint8)).to(device)
    ids = [f"cuhk/{i}" for i in range(chosen.images)]
    alone, written, opened, read = [], [], [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "cache"
        for turn in range(chosen.rounds + 1):
            shutil.rmtree(folder, ignore_errors=True)
            times = (
                timed(lambda: forward(encode, images, ids), device),
                timed(lambda: list(write_cache(encode, images, ids, folder, PLAN, views=1, batch_size=BATCH)), device),
            )
            begun = time.perf_counter()
            cached = CachedFeatures([open_cache(folder, PLAN)], ids, LEVELS)
            opened_in = time.perf_counter() - begun
            rows = torch.arange(6)
            batch = Batch(torch.empty(0), torch.empty(0), rows, rows % 2 == 0, view=1)
            read.append(timed(lambda batch=batch, cached=cached: cached(batch), device))
            if turn:
                alone.append(times[0])
                written.append(times[1])
                opened.append(opened_in)
            print(f"forward {times[0]:.2f} s, with the cache {times[1]:.2f} s", flush=True)
        held = sum(path.stat().st_size for path in folder.glob("*.npy"))
    with torch.no_grad():
        said = encode(PLAN.seen(images[:6], ids[:6], 1, flipped=False))
    features = [said[name].float() for name in LEVELS]
    ratio = statistics.median(b / a for a, b in zip(alone, written, strict=True))
    lines = [
        "# The teacher's cache",
        "",
        f"{time.strftime('%Y-%m-%d')}, `python benchmarks/cache.py --images {chosen.images} --rounds {chosen.rounds}`, "
        f"{machine(device)}. MiDaS v2.1's "
        f"network with random weights, {SIZE}x{SIZE}, one view, both flips; medians of turns in one run.",
        "",
        "| what | value |",
        "|---|---|",
        f"| the teacher alone, {chosen.images} images | {statistics.median(alone):.2f} s |",
        f"| teacher and cache, checksums and disk included | {statistics.median(written):.2f} s: **{ratio:.3f}** |",
        f"| bytes an image, a view | {held / chosen.images / 2**20:.1f} MiB |",
        f"| opening, every shard checked | {held / statistics.median(opened) / 1e9:.2f} GB/s |",
        f"| a batch of 6 | {1e3 * statistics.median(read):.1f} ms |",
        "",
        "Relative change of the feature loss when features are rounded, for students of three distances:",
        "",
        "| dtype | far | nearer | near |",
        "|---|---|---|---|",
        *smaller(features),
    ]
    OUT.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
