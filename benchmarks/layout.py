"""The memory layout of a network that is only asked, ordinary against channels last: writes benchmarks/LAYOUT.md.

Both in turns in one process, on one thread; seconds are those that the thread ran, as others may use the machine.

    python benchmarks/layout.py [--turns 9]
"""

import argparse
import copy
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
import torch

from benchmarks.clock import machine
from components.maps.inference import probability
from components.models.network import Network
from components.models.registry import build_model
from dbdflow.detector import WEIGHTS, opened

OUT = Path(__file__).parent / "LAYOUT.md"


def networks() -> Iterator[tuple[str, Network, int, bool, tuple[int, ...]]]:
    """Name, network, side of its input, whether it sees the mirrored photograph too, and sizes of a batch."""
    small, side, best = opened(WEIGHTS / "small.safetensors")
    yield "the small detector (MobileNetV2: depthwise convolutions)", small, side, best, (1, 8)
    narrow = build_model("dffnet", "resnet10t", backbone_kwargs={"channels": [16, 32, 64, 128]}, width=32)
    yield "DFFNet of the miniature (ResNet-D, no grouped convolutions)", narrow.eval(), 96, False, (1, 8)
    yield "DFFNet (ResNeSt101: grouped convolutions)", build_model("dffnet", "resnest101e").eval(), 320, False, (1,)


def compare(model: Network, side: int, best: bool, batch: int, turns: int) -> tuple[list[float], list[float]]:
    """Milliseconds a photograph of each turn, ordinary and channels last."""
    both = model, copy.deepcopy(model).to(memory_format=torch.channels_last)
    spent: tuple[list[float], list[float]] = ([], [])
    images = torch.randn(batch, 3, side, side)
    for turn in range(turns + 1):
        for each, times in zip(both, spent, strict=True):
            begun = time.process_time()
            with torch.inference_mode():
                probability(each, images, best=best)
            if turn:
                times.append(1e3 * (time.process_time() - begun) / batch)
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--turns", type=int, default=9)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    lines = [
        "# The memory layout of a network that is only asked",
        "",
        f"{time.strftime('%Y-%m-%d')}, `python benchmarks/layout.py --turns {chosen.turns}`, "
        f"{machine(torch.device('cpu'))}, one thread; milliseconds of the thread a photograph, medians over "
        "alternating turns. `components.models.runtime.to_be_asked` follows it.",
        "",
        "| network | side | batch | ordinary, ms | channels last, ms | ratio (turns) |",
        "|---|---|---|---|---|---|",
    ]
    for name, model, side, best, sizes in networks():
        for batch in sizes:
            ordinary, last = compare(model, side, best, batch, chosen.turns)
            ratios = [b / a for a, b in zip(ordinary, last, strict=True)]
            lines.append(
                f"| {name} | {side} | {batch} | {statistics.median(ordinary):.1f} | {statistics.median(last):.1f} "
                f"| {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) |"
            )
            print(lines[-1], flush=True)
    OUT.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
