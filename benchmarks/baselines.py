"""What the classical methods cost, and how well they do on real photographs.

Writes benchmarks/BASELINES.md. Needs the reference material in ../shared (or $DBDFLOW_SHARED): seven photographs of
CUHK with labels, the HiFST maps that its authors published, and a folder of all of CUHK (benchmarks/baselines_cuhk.py).

    python benchmarks/baselines.py --cuhk ../shared/real/cuhk704 --maps .dbdflow/baselines

Each method runs in one thread; its cost is the CPU time of the process, which other programs do not move much. DBDF
learns: each photograph is scored with what the other six taught (most of the seven belong to its training split).
"""

# ruff: noqa: E402 (how many threads there are is told before the libraries are imported)
import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")
os.environ.update(dict.fromkeys(THREADS, "1"))  # before the libraries are imported
sys.path.insert(0, str(Path(__file__).parent.parent))

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmarks import baselines_cuhk
from benchmarks.clock import machine
from benchmarks.origin import ROOT, commit
from components.baselines.dbdf import dbdf, fit
from components.baselines.hifst import hifst
from components.baselines.lbp import lbp
from components.baselines.sharpness import gradient
from components.scoring.metrics import MapCounts, count

OUT = Path(__file__).parent / "BASELINES.md"
REAL = Path(os.environ.get("DBDFLOW_SHARED", ROOT.parent / "shared")) / "real"
NAMES = [f"out_of_focus{number}" for number in ("0011", "0015", "0031", "0035", "0080", "0142", "0223")]
SIZE = (480, 640)
Map = NDArray[np.float32]
Detect = Callable[[NDArray[np.uint8]], Map]


def read(path: Path, mode: str) -> NDArray[np.uint8]:
    """An image file, `RGB` or `L`."""
    return np.array(Image.open(REAL / path).convert(mode))


def seconds(detect: Detect, image: NDArray[np.uint8], rounds: int) -> list[float]:
    """CPU seconds of each turn after a first one."""
    detect(image)
    times = []
    for _ in range(rounds):
        begun = time.process_time()
        detect(image)
        times.append(time.process_time() - begun)
    return times


def ranks(values: Map) -> NDArray[np.float64]:
    """Rank of each pixel; equal values share the mean of their ranks."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[places.ravel()]


def rank_correlation(one: Map, other: Map) -> float:
    """Spearman's, over pixels."""
    return float(np.corrcoef(ranks(one), ranks(other))[0, 1])


def scores(counts: list[MapCounts]) -> str:
    """Cells of the table: means over photographs."""
    return " | ".join(f"{np.mean([getattr(each, key) for each in counts]):.3f}" for key in ("mae", "f_beta", "iou"))


def cost_lines(methods: dict[str, Detect], rounds: int) -> list[str]:
    """The table of costs."""
    image = cv2.resize(read(Path(f"cuhk/image/{NAMES[0]}.jpg"), "RGB"), SIZE[::-1], interpolation=cv2.INTER_AREA)
    lines = ["| method | CPU seconds |", "|---|---|"]
    for name, detect in methods.items():
        times = seconds(detect, image, rounds)
        lines.append(f"| {name} | **{statistics.median(times):.2f}** ({min(times):.2f} to {max(times):.2f}) |")
        print(lines[-1], flush=True)
    return lines


def score_lines(maps: dict[str, list[Map]], labels: list[NDArray[np.uint8]]) -> list[str]:
    """The table of scores."""
    lines = ["| method | MAE | F-beta | IoU |", "|---|---|---|---|"]
    for name, of in maps.items():
        lines.append(f"| {name} | {scores([count(*pair) for pair in zip(of, labels, strict=True)])} |")
        print(lines[-1], flush=True)
    return lines


def agreement(own: list[Map], published: list[Map]) -> str:
    """How near our HiFST comes to its authors'."""
    pairs = list(zip(own, published, strict=True))
    ranked = [rank_correlation(*both) for both in pairs]
    apart = [float(np.abs(ours - theirs).mean()) for ours, theirs in pairs]
    return (
        f"Rank correlation over pixels **{np.mean(ranked):.4f}** on average ({min(ranked):.4f} to {max(ranked):.4f}), "
        f"mean absolute difference **{np.mean(apart):.4f}** ({min(apart):.4f} to {max(apart):.4f})."
    )


def maps_of(pairs: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]) -> dict[str, list[Map]]:
    """Maps of each photograph by every method, and what is trivial."""
    taught = [fit(pairs[:i] + pairs[i + 1 :]) for i in range(len(pairs))]
    return {
        "DBDF": [dbdf(image, fitted) for (image, _), fitted in zip(pairs, taught, strict=True)],
        "LBP": [lbp(image) for image, _ in pairs],
        "HiFST": [hifst(image) for image, _ in pairs],
        "HiFST, its authors' maps": [read(Path(f"hifst_cuhk_photos/{n}.png"), "L") / np.float32(255) for n in NAMES],
        "all blurred": [np.zeros(label.shape, np.float32) for _, label in pairs],
        "all sharp": [np.ones(label.shape, np.float32) for _, label in pairs],
        "gradient magnitude": [gradient(image) for image, _ in pairs],
    }


NOTE = """# Classical methods

{head}.

## One photograph of 640x480, one thread

{costs}

Median of turns; CPU time of the process.

## The 100 photographs of CUHK-TE-1

At the photographs' own size; the blurred region is positive in F-beta and IoU. F-beta at 0.5; "published maximum": that
or what calling everything blurred gets, whichever is larger (the published code's thresholds include 0); both are means
over photographs; IoU over all pixels. DBDF learned from the photographs of CUHK-TR-1; LBP's numbers were chosen on 20
of them (components/baselines/lbp.py); nothing was chosen on these 100.

{cuhk}

## Seven photographs of CUHK

Means over the photographs. DBDF scores each with what the other six taught. Most of the seven belong to CUHK-TR-1.

{scores}

## Our HiFST maps and its authors'

{agreement}
"""


def main() -> None:
    """Measure and write the note."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cuhk", type=Path, default=REAL / "cuhk704", help="image/ and gt/ of CUHK")
    parser.add_argument(
        "--maps", type=Path, default=ROOT / ".dbdflow/baselines", help="where maps of CUHK-TE-1 are kept"
    )
    asked = parser.parse_args()
    rounds = asked.rounds
    cv2.setNumThreads(1)
    files = [(Path(f"cuhk/image/{name}.jpg"), Path(f"cuhk/gt/{name}.png")) for name in NAMES]
    pairs = [(read(image, "RGB"), (read(label, "L") < 128).astype(np.uint8)) for image, label in files]
    everything = fit(pairs)
    costs = cost_lines({"DBDF": lambda image: dbdf(image, everything), "LBP": lbp, "HiFST": hifst}, rounds)
    maps = maps_of(pairs)
    table = score_lines(maps, [label for _, label in pairs])
    agree = agreement(maps["HiFST"], maps["HiFST, its authors' maps"])
    print(agree)
    cuhk = "\n".join(baselines_cuhk.lines(asked.cuhk, asked.maps))
    head = (
        f"{time.strftime('%Y-%m-%d')}, commit {commit()}, `python benchmarks/baselines.py --rounds {rounds}`, "
        f"{machine(torch.device('cpu'))}, NumPy {np.__version__}, OpenCV {cv2.__version__}"
    )
    text = NOTE.format(head=head, costs="\n".join(costs), cuhk=cuhk, scores="\n".join(table), agreement=agree)
    OUT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
