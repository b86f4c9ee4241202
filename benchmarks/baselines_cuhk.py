"""The classical methods on the 100 photographs of CUHK-TE-1, at their own size, for benchmarks/baselines.py.

The folder holds CUHK's out-of-focus photographs in `image/` and their labels in `gt/` (white = out of focus). DBDF
learns from those that are not in CUHK-TE-1. Maps are kept, one file a method, and read again: a run that was stopped
goes on with the next method. Delete the files to make them anew.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from components.baselines.dbdf import dbdf, fit
from components.baselines.hifst import hifst
from components.baselines.lbp import lbp
from components.catalog.sets import PACKAGED_LISTS
from components.prepare.splits import read_stems
from components.scoring.metrics import MapCounts, count, f_measure, set_iou
from components.scoring.paper_tables import METRICS, paper_tables

Detect = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
TEST_SET = "CUHK-TE-1"
HEAD = ["| method | MAE | F-beta | published maximum | IoU | paper: MAE, F-beta, IoU |", "|---|---|---|---|---|---|"]


class Photographs:
    """Photographs by their stems, each read with its label (1 = in focus) when it is asked for."""

    def __init__(self, folder: Path, stems: Sequence[str]) -> None:
        self.folder, self.stems = folder, stems

    def __len__(self) -> int:
        return len(self.stems)

    def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        stem = self.stems[index]
        image = np.array(Image.open(self.folder / "image" / f"{stem}.jpg").convert("RGB"))
        label = np.array(Image.open(self.folder / "gt" / f"{stem}.png").convert("L"))
        return image, (label < 128).astype(np.uint8)


def lines(folder: Path, kept: Path) -> list[str]:
    """The table of scores; maps go to `kept`."""
    test = read_stems(PACKAGED_LISTS / "cuhk_te1.txt")
    rest = sorted({path.stem for path in (folder / "image").glob("*.jpg")} - set(test))
    photographs, table = Photographs(folder, test), list(HEAD)
    for name, counts in counted(photographs, Photographs(folder, rest), kept):
        table.append(f"| {name} | {row(counts)} | {of_paper(name)} |")
        print(table[-1], flush=True)
    return table


def counted(photographs: Photographs, training: Photographs, kept: Path) -> Iterator[tuple[str, list[MapCounts]]]:
    """Each method's name and counts, then those of constant maps."""
    makers: dict[str, Callable[[], Detect]] = {
        "DBDF": lambda: learned(training),
        "LBP": lambda: lbp,
        "HiFST": lambda: hifst,
    }
    for name, maker in makers.items():
        maps = maps_of(photographs, maker, kept / f"{name.lower()}.npz")
        yield name, [count(found, label) for found, (_, label) in zip(maps, photographs, strict=True)]
    for name, value in (("all blurred", 0), ("all in focus", 1)):
        yield name, [count(np.full(label.shape, value, np.float32), label) for _, label in photographs]


def learned(training: Photographs) -> Detect:
    """DBDF with what the training photographs taught."""
    fitted = fit(training)
    return lambda image: dbdf(image, fitted)


def maps_of(photographs: Photographs, maker: Callable[[], Detect], file: Path) -> list[NDArray[np.float16]]:
    """Maps of all photographs: from the file, or made and written to it, by stem."""
    if not file.exists():
        detect = maker()
        made = {stem: detect(photographs[i][0]) for i, stem in enumerate(photographs.stems)}
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(file, **{stem: found.astype(np.float16) for stem, found in made.items()})
    with np.load(file) as found:
        return [found[stem] for stem in photographs.stems]


def row(counts: list[MapCounts]) -> str:
    """Cells: means over photographs; IoU over all pixels."""
    pooled = set_iou(counts, "pooled")
    published = np.mean([max(each.f_beta, all_blurred(each)) for each in counts])
    means = [np.mean([getattr(each, key) for each in counts]) for key in ("mae", "f_beta")]
    return " | ".join(f"{value:.3f}" for value in (*means, published, pooled))


def all_blurred(counts: MapCounts) -> float:
    """F-beta where everything is called blurred, as the published code's threshold 0 does."""
    blurred = int(counts.blur.sum())
    return float(f_measure(blurred, counts.pixels, blurred))


def of_paper(name: str) -> str:
    """What Table I prints for a method; a dash where it has no such row."""
    rows = [each for each in paper_tables()[0].rows if each.run == name.lower()]
    return ", ".join(f"{rows[0].values[TEST_SET, metric]:.3f}" for metric in METRICS) if rows else "-"
