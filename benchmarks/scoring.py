"""How long scoring takes: one histogram pass against the published sweep, and EBD at its full size and count.

Writes benchmarks/SCORING.md. The maps are random smooth ones at network size, the labels blobs at full size, both held
as the stages hold them: maps as half floats in an archive, labels packed. Nothing of the published sets is needed.

    python benchmarks/scoring.py [--rounds 5] [--ebd 1605]
"""

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
import cv2
import numpy as np
import torch

from benchmarks.published import scored as published
from components.datasets.prepared import IndexRow, PreparedSet
from components.maps.files import MapArchive, write_maps
from components.scoring.evaluation import resize_map, score_set
from components.scoring.metrics import count, set_scores

OUT = Path(__file__).parent / "SCORING.md"
NETWORK = 320
CUHK, EBD = (480, 640), (1024, 1600)
IMAGES = 100


def smooth(random: np.random.Generator, size: tuple[int, int], cells: int) -> np.ndarray:
    """Smooth values in [0, 1] of a (height, width)."""
    coarse = random.random((cells, cells)).astype(np.float32)
    return np.clip(cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC), 0, 1)


def pair(number: int, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A map, half floats at network size, 1 = in focus; and its label, bool at full size, true = in focus."""
    random = np.random.default_rng(number)
    truth = smooth(random, size, 6)
    noisy = cv2.resize(truth, (NETWORK, NETWORK)) + 0.2 * (smooth(random, (NETWORK, NETWORK), 20) - 0.5)
    return np.clip(0.5 + 2 * (noisy - 0.5), 0, 1).astype(np.float16), truth > 0.5


def sweeps(rounds: int) -> list[str]:
    """Both ways to score the same maps, in turns."""
    pairs = [pair(number, CUHK) for number in range(IMAGES)]
    pairs = [(resize_map(prediction, CUHK, "nearest"), label) for prediction, label in pairs]
    tensors = [(torch.from_numpy(p).float(), torch.from_numpy(label).float()) for p, label in pairs]
    theirs, ours, answers = [], [], set()
    for _ in range(rounds):
        begun = time.perf_counter()
        found = [published(*each) for each in tensors]
        theirs.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        counts = [count(*each) for each in pairs]
        scores = set_scores(counts, counts, "pooled")
        ours.append(time.perf_counter() - begun)
        answers.add((round(float(np.mean(found, 0)[1]), 5), round(scores["f_beta_published"], 5)))
        print(f"published {theirs[-1]:.2f} s, ours {ours[-1]:.3f} s", flush=True)
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    assert all(abs(a - b) < 1e-4 for a, b in answers), answers
    return [
        f"| the published sweep of 255 thresholds | {statistics.median(theirs):.2f} s |",
        f"| ours, all metrics and curves | {statistics.median(ours):.3f} s |",
        f"| ours / published | **{statistics.median(ratios):.4f}** ({min(ratios):.4f} to {max(ratios):.4f}) |",
    ]


def build(folder: Path, images: int) -> PreparedSet:
    """A stand-in for EBD: its labels, and an archive of maps beside them."""
    rows, packed, maps = [], [], []
    for number in range(images):
        prediction, label = pair(number, EBD)
        splits = ("EBD", "EBD(1305)") if number < 1305 else ("EBD",)
        rows.append(IndexRow(str(number), "image", "label", *EBD, number * EBD[0] * EBD[1] // 8, "", splits, 0.5))
        packed.append(np.packbits(label))
        maps.append((str(number), prediction))
    write_maps(folder / "ebd.zip", maps)
    np.save(folder / "labels_full.npy", np.concatenate(packed))
    none = np.zeros((images, 1, 1), np.uint8)
    labels = np.load(folder / "labels_full.npy", mmap_mode="r")
    return PreparedSet(folder, "ebd", tuple(rows), none[..., None], none, labels, None, ("EBD", "EBD(1305)"))


def whole_set(images: int, rounds: int) -> float:
    """Seconds to read and score all of EBD's maps: at full size, and IoU at network size too."""
    with tempfile.TemporaryDirectory() as name:
        prepared, seconds = build(Path(name), images), []
        for _ in range(rounds):
            begun = time.perf_counter()
            with MapArchive(Path(name) / "ebd.zip") as maps:
                tests = {split: prepared.split(split) for split in prepared.split_names}
                options = {"upsample": "nearest", "iou_size": NETWORK, "iou": "pooled"}
                assert len(list(score_set(maps.__getitem__, prepared, tests, **options))) == 2
            seconds.append(time.perf_counter() - begun)
            print(f"EBD {seconds[-1]:.1f} s", flush=True)
        return statistics.median(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ebd", type=int, default=1605, help="images")
    chosen = parser.parse_args()
    ebd = whole_set(chosen.ebd, min(chosen.rounds, 3))
    cores = len(os.sched_getaffinity(0))
    lines = [
        "# Scoring",
        "",
        f"{time.strftime('%Y-%m-%d')}, `python benchmarks/scoring.py --rounds {chosen.rounds} --ebd {chosen.ebd}`, "
        f"{platform.machine()}, {cores} cores, Python {platform.python_version()}. Medians of turns in one run; both "
        f"give the same F-beta. {IMAGES} maps of {CUHK[1]}x{CUHK[0]} (CUHK's size), already in memory:",
        "",
        "| what | time |",
        "|---|---|",
        *sweeps(chosen.rounds),
        "",
        f"EBD's {chosen.ebd} labels of {EBD[1]}x{EBD[0]}: reading the maps, bringing them to the labels' size, "
        f"scoring, IoU at {NETWORK}x{NETWORK}: **{ebd:.1f} s**, in one thread.",
    ]
    OUT.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
