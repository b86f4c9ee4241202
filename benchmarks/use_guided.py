"""Guided upsampling of the small detector's maps at full size against bilinear, for benchmarks/use.py.

Radius and smoothness are chosen by F-beta on validation photographs, then measured once on the test photographs.
"""

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.baselines_cuhk import Photographs
from components.maps.guided import Guide
from components.report.paired import Difference, difference, gains
from components.scoring.intervals import OVERLAP
from components.scoring.metrics import MapCounts, count
from dbdflow import Detector

RADII = (4, 8, 16)
"""Pixels; one pixel of the network is two of these photographs."""
SMOOTH = (1e-4, 1e-3, 1e-2)
Map = NDArray[np.float32]


def guided(found: Map, image: NDArray[np.uint8], radius: int, smooth: float) -> Map:
    """A map, brought to the photograph's size bilinearly, then along its edges."""
    guide = Guide(image.astype(np.float32) / 255, radius=radius, smooth=smooth)
    return guide.smooth(found).clip(0, 1)


def maps_of(photographs: Photographs, weights: Path) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8], Map]]:
    """Photograph, label (1 = in focus) and bilinear map of each."""
    detector = Detector.load(weights, device="cpu")
    for image, label in photographs:
        yield image, label, detector.map(image)


def frame(counts: list[MapCounts]) -> pd.DataFrame:
    """What paired differences take: photographs x scores."""
    keys = ("mae", "f_beta", "f_beta_published", "iou")
    rows = [[getattr(each, key) for key in keys] + list(each.overlap) for each in counts]
    return pd.DataFrame(rows, columns=[*keys, *OVERLAP])


def interval(found: Difference) -> str:
    """A paired difference with its 95 % interval."""
    return f"{found.mean:+.4f} ({found.low:+.4f} to {found.high:+.4f})"


def lines(validation: Photographs, test: Photographs, weights: Path) -> Iterator[str]:
    """What came out, for the note."""
    settings = list(product(RADII, SMOOTH))
    scored: dict[tuple[int, float] | None, list[MapCounts]] = {each: [] for each in (None, *settings)}
    for image, label, found in maps_of(validation, weights):
        scored[None].append(count(found, label))
        for each in settings:
            scored[each].append(count(guided(found, image, *each), label))
    yield "| on CUHK-TR-1-VAL | MAE | F-beta at 0.5 |"
    yield "|---|---|---|"
    for each, counts in scored.items():
        name = f"radius {each[0]}, smoothness {each[1]:.0e}" if each else "bilinear"
        yield f"| {name} | {np.mean([one.mae for one in counts]):.4f} | {np.mean([one.f_beta for one in counts]):.4f} |"
    best = max(settings, key=lambda each: np.mean([one.f_beta for one in scored[each]]))
    plain, along = [], []
    for image, label, found in maps_of(test, weights):
        plain.append(count(found, label))
        along.append(count(guided(found, image, *best), label))
    before, after = frame(plain), frame(along)
    mae, better = difference(before, after, "mae"), gains(before, after)
    assert mae is not None
    taken = better["F_beta"].low > 0 and mae.low <= 0
    yield ""
    yield (
        f"Radius {best[0]}, smoothness {best[1]:.0e} against bilinear on CUHK-TE-1: MAE {interval(mae)}, F-beta "
        f"{interval(better['F_beta'])}, IoU {interval(better['IoU'])}. "
        f"It {'proves itself' if taken else 'does not prove itself, and maps are brought back bilinearly'}."
    )
