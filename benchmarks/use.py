"""What a person gets for what it costs: the detector that ships, its exported files, classical methods.

    make use CUHK=FOLDER        # benchmarks/USE.md; 30 minutes on one core

The folder holds CUHK's out-of-focus photographs in `image/` and their labels in `gt/` (white = out of focus). All
methods see each photograph of CUHK-TE-1 in turn, as an array in memory, in one thread; cost is the CPU time of the
process, which other programs do not move much. Thresholds come from the 60 photographs of CUHK-TR-1-VAL, calibration of
8 bits from 40 others of CUHK-TR-1. Guided upsampling: benchmarks/use_guided.py.
"""

# ruff: noqa: E402 (how many threads there are is told before the libraries are imported)
import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM", "DBDFLOW_CORES")
os.environ.update(dict.fromkeys(THREADS, "1"))  # before the libraries are imported
sys.path.insert(0, str(Path(__file__).parent.parent))

import cv2
import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from benchmarks import use_guided
from benchmarks.baselines_cuhk import Photographs
from benchmarks.clock import machine
from benchmarks.origin import ROOT, commit
from benchmarks.use_guided import frame, interval
from components.baselines.hifst import hifst
from components.baselines.lbp import lbp
from components.baselines.sharpness import gradient, laplacian
from components.catalog.sets import PACKAGED_LISTS
from components.export.program import Program, facts
from components.export.writing import write
from components.prepare.splits import read_stems
from components.report.paired import difference, gains
from components.scoring.metrics import MapCounts, count, set_intervals, set_scores
from dbdflow import Detector
from dbdflow.detector import WEIGHTS, opened

OUT = Path(__file__).parent / "USE.md"
KEPT = ROOT / ".dbdflow" / "use"
Map = NDArray[np.float32]
Detect = Callable[[NDArray[np.uint8]], Map]
CLASSICAL = {"HiFST": hifst, "LBP": lbp, "variance of the Laplacian": laplacian, "gradient magnitude": gradient}
SMALL = "small"
ASKED = 20
"""How many times HiFST's cost the small one's is to be at least."""


def split(folder: Path, name: str) -> Photographs:
    """The photographs of a list of the catalog."""
    return Photographs(folder, read_stems(PACKAGED_LISTS / name))


def others(folder: Path) -> list[Path]:
    """The photographs of CUHK-TR-1 that no choice is made on."""
    taken = {*read_stems(PACKAGED_LISTS / "cuhk_te1.txt"), *read_stems(PACKAGED_LISTS / "cuhk_validation.txt")}
    return [path for path in sorted((folder / "image").glob("*.jpg")) if path.stem not in taken]


def exported(folder: Path) -> dict[str, Path]:
    """The small one as ONNX, and in 8 bits, made anew."""
    path = WEIGHTS / f"{SMALL}.safetensors"
    network, side, best = opened(path)
    photographs = others(folder)
    files = {
        f"{SMALL}, ONNX": (KEPT / "small.onnx", [], True),
        f"{SMALL}, ONNX, one pass": (KEPT / "small1.onnx", [], False),
        f"{SMALL}, ONNX in 8 bits": (KEPT / "small8.onnx", photographs, True),
        f"{SMALL}, ONNX in 8 bits, one pass": (KEPT / "small81.onnx", photographs, False),
    }
    for out, calibrates, mirror in files.values():
        program = Program(network, best=best, mirror=mirror)
        about = facts(path, program, side=side, licence="Apache-2.0")
        said = write(
            out, program, about, checks=photographs, calibrates=calibrates, watch=lambda _, count, things: things
        )
        print(out, *said, sep="\n  ", flush=True)
    return {name: out for name, (out, *_) in files.items()}


def seen(photographs: Photographs, methods: Mapping[str, Detect]) -> dict[str, list[tuple[MapCounts, float]]]:
    """Of each method, each photograph's counts and the CPU seconds that its map took; methods take turns."""
    found: dict[str, list[tuple[MapCounts, float]]] = {name: [] for name in methods}
    for number, (image, label) in enumerate(photographs):
        for name, detect in methods.items():
            begun = time.process_time()
            made = detect(image)
            seconds = time.process_time() - begun
            found[name].append((count(made, label), seconds))
        print(f"\r{number + 1}/{len(photographs)}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return found


def f_by_threshold(counts: list[MapCounts]) -> NDArray[np.float64]:
    """Mean F-beta at each of the 256 thresholds, (256,)."""
    curves = [each.curve() for each in counts]
    return np.mean([1.3 * p * r / np.maximum(0.3 * p + r, 1e-12) for p, r in curves], axis=0)


def rows(
    test: Mapping[str, list[tuple[MapCounts, float]]],
    validation: Mapping[str, list[tuple[MapCounts, float]]],
    files: Mapping[str, Path],
) -> Iterator[str]:
    """The table: a row a method."""
    yield "| method | MAE | F-beta at 0.5 | at its own threshold | largest | IoU | CPU ms | MB |"
    yield "|---|---|---|---|---|---|---|---|"
    for name, each in test.items():
        counts = [one for one, _ in each]
        scores, ends = set_scores(counts, counts, "pooled"), set_intervals(counts, counts, "pooled")
        chosen = int(f_by_threshold([one for one, _ in validation[name]]).argmax())
        cells = [f"{scores[key]:.4f} ({ends[key][0]:.3f} to {ends[key][1]:.3f})" for key in ("mae", "f_beta", "iou")]
        own = f"{f_by_threshold(counts)[chosen]:.4f} (map below {1 - chosen / 255:.2f})"
        size = f"{files[name].stat().st_size / 1e6:.1f}" if name in files else ""
        cost = 1000 * np.median([seconds for _, seconds in each])
        most = f"{scores['f_beta_max']:.4f}"
        yield f"| {name} | {cells[0]} | {cells[1]} | {own} | {most} | {cells[2]} | {cost:.0f} | {size} |"


def against(test: Mapping[str, list[tuple[MapCounts, float]]]) -> Iterator[str]:
    """The second table: the small one minus each other, photograph by photograph."""
    yield f"| {SMALL} against | MAE | F-beta at 0.5 | IoU |"
    yield "|---|---|---|---|"
    frames = {name: frame([one for one, _ in each]) for name, each in test.items()}
    for name, other in frames.items():
        if name != SMALL:
            better = gains(other, frames[SMALL])
            of = (difference(other, frames[SMALL], "mae"), better["F_beta"], better["IoU"])
            yield f"| {name} | {' | '.join(interval(each) for each in of if each)} |"


def verdict(test: Mapping[str, list[tuple[MapCounts, float]]]) -> str:
    """What was asked for, and whether it came."""
    scored = {
        name: set_scores(counts, counts, "pooled") for name, each in test.items() for counts in [[c for c, _ in each]]
    }
    cost = {name: float(np.median([s for _, s in each])) for name, each in test.items()}
    forms = [name for name in cost if name.startswith(SMALL)]
    lost = [f"{name}: {other}" for name in forms for other in CLASSICAL if not beats(scored[name], scored[other])]
    times = ", ".join(f"{cost['HiFST'] / cost[name]:.1f} ({name})" for name in forms)
    cheap = [name for name in forms if cost["HiFST"] >= ASKED * cost[name]]
    return (
        f"Every form of the small one beats every classical method on each measure: **{', '.join(lost) or 'yes'}**. "
        f"HiFST costs so many times as much: {times}; asked for: {ASKED}, **reached by {', '.join(cheap) or 'none'}**."
    )


def beats(ours: Mapping[str, float], other: Mapping[str, float]) -> bool:
    """Whether the first scores are better on each measure."""
    return ours["mae"] < other["mae"] and all(ours[key] > other[key] for key in ("f_beta", "f_beta_max", "iou"))


NOTE = """# What the detector that ships is worth

{head}.

CUHK-TE-1, 100 photographs of about 640 x 427, maps at their size; the blurred region is positive in F-beta and IoU;
means over photographs with 95 % bootstrap intervals, IoU over all pixels. "At its own threshold": the one with the
largest mean F-beta on the 60 photographs of CUHK-TR-1-VAL, which the small one was trained on. Cost: median CPU time of
a photograph in memory, one thread, all methods in turn in one run. LBP's and the last two methods' numbers were chosen
on photographs of CUHK-TR-1.

{table}

{verdict}
A map of the small one is the mean of two passes, of the photograph and its mirror image; "one pass": the first alone.

{against}

## Guided upsampling

{guided}
"""


def main() -> None:
    """Measure and write the note."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("cuhk", type=Path, help="image/ and gt/ of CUHK")
    folder = parser.parse_args().cuhk
    cv2.setNumThreads(1)
    files = {SMALL: WEIGHTS / f"{SMALL}.safetensors", **exported(folder)}
    methods: dict[str, Detect] = {name: Detector.load(path, device="cpu").map for name, path in files.items()}
    methods |= CLASSICAL
    first, _ = split(folder, "cuhk_validation.txt")[0]
    for detect in methods.values():
        detect(first)  # the first time costs more
    validation, test = (seen(split(folder, name), methods) for name in ("cuhk_validation.txt", "cuhk_te1.txt"))
    table = "\n".join(rows(test, validation, files))
    print(table, flush=True)
    guided = use_guided.lines(split(folder, "cuhk_validation.txt"), split(folder, "cuhk_te1.txt"), files[SMALL])
    head = (
        f"{time.strftime('%Y-%m-%d')}, commit {commit()}, `make use`, {machine(torch.device('cpu'))}, onnxruntime "
        f"{onnxruntime.__version__}, OpenCV {cv2.__version__}"
    )
    text = NOTE.format(
        head=head, table=table, verdict=verdict(test), against="\n".join(against(test)), guided="\n".join(guided)
    )
    OUT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
