"""DBDF, a blur detector that learns a little (Shi, Xu & Jia, CVPR 2014).

"Discriminative Blur Detection Features". Written from knowledge of the paper, its full text not at hand and its code
not looked at.

1. Around every pixel, patches of the grey photograph of three sizes; four features of each: peakedness and heavy tails
   of the gradients' distribution, the power spectrum, learned filters (dbdf_features.py).
2. At each scale s, naive Bayes: the posterior of being sharp, m^s, from the features' distributions over the sharp and
   the blurred patches of the training photographs (naive_bayes.py).
3. The scales are brought together (multiscale.py): the answer is the map of the largest patches, at the minimum of

       E(h) = sum |h_i^s - m_i^s| + beta (sum |h_i^s - h_j^s| + sum |h_i^s - h_i^(s+1)|).

What differs: the patch sizes (the paper's are not at hand) and beta; the mixture of f2 by moments; the filters of f4 by
second moments, and their energy as one feature; every third pixel of every third row, interpolated (bicubic) in
between; the minimum of E continuous, not by belief propagation. `fit` learns from at most 100 photographs of the
training split, evenly spaced.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from components.baselines import naive_bayes
from components.baselines.dbdf_features import FEATURES, Patches, features, learned_filters
from components.baselines.domain_transform import FloatMap
from components.baselines.grid import at_full_size, to_gray
from components.baselines.multiscale import bring_together
from components.common.errors import InputError
from components.methods import Fitted, Labelled

SIZES = (11, 15, 21)
STRIDE = 3
FILTERS = 16
BINS = 32
BETA = 0.5
STEPS = 60
PHOTOGRAPHS = 100
"""From which `fit` learns, at most."""
SAMPLES = 200
"""Patches of each class of one photograph, at most."""


def dbdf(image: NDArray[np.uint8], fitted: Fitted) -> FloatMap:
    """In-focus map of a photograph.

    Args:
        image: (H, W, 3) RGB of any size; the patch sizes suit photographs of about 640 x 480.
        fitted: what `fit` learned.

    Returns:
        (H, W) in [0, 1], 1 = in focus.
    """
    gray = to_gray(image)
    maps = [posteriors(windows(gray, size), size, fitted) for size in SIZES]
    sharp = bring_together(np.stack(maps), beta=BETA, steps=STEPS)[-1]
    return at_full_size(sharp, STRIDE, *gray.shape)


def windows(gray: FloatMap, size: int) -> Patches:
    """(ceil(H / STRIDE), ceil(W / STRIDE), size, size), a view: the patches around every STRIDE-th pixel."""
    half = size // 2
    padded = cv2.copyMakeBorder(gray, half, half, half, half, cv2.BORDER_REFLECT)
    return np.lib.stride_tricks.sliding_window_view(padded, (size, size))[::STRIDE, ::STRIDE]


def posteriors(patches: Patches, size: int, fitted: Fitted) -> FloatMap:
    """(h, w) in [0, 1]: the posterior of being sharp of a grid of patches (h, w, size, size)."""
    filters, edges, ratios = (fitted[f"{name}_{size}"] for name in ("filters", "edges", "ratios"))
    rows = [naive_bayes.posterior(features(np.ascontiguousarray(row), filters), edges, ratios) for row in patches]
    return np.stack(rows).astype(np.float32)


def fit(photographs: Sequence[Labelled]) -> dict[str, NDArray[np.float32]]:
    """Filters and distributions of each scale, from photographs and their labels.

    Raises:
        InputError: no patch lies wholly in focus, or none wholly out of focus.
    """
    chosen = np.unique(np.linspace(0, len(photographs) - 1, PHOTOGRAPHS).round().astype(int))
    samples = [sample(*photographs[index]) for index in chosen]
    fitted: dict[str, NDArray[np.float32]] = {}
    for scale, size in enumerate(SIZES):
        blurred, sharp = (np.concatenate([each[kind][scale] for each in samples]) for kind in (0, 1))
        if not len(blurred) or not len(sharp):
            raise InputError(
                f"{len(samples)} training photographs have {len(sharp)} patches in focus and {len(blurred)} out of "
                "focus, expected some of each; train on a split with both"
            )
        filters = learned_filters(sharp, blurred, FILTERS)
        edges, ratios = naive_bayes.learn(features(sharp, filters), features(blurred, filters), BINS)
        assert ratios.shape == (FEATURES, BINS)
        fitted |= {f"filters_{size}": filters, f"edges_{size}": edges, f"ratios_{size}": ratios}
    return fitted


def sample(image: NDArray[np.uint8], label: NDArray[np.uint8]) -> tuple[list[Patches], list[Patches]]:
    """Patches of each size at the same places, evenly spaced: wholly out of focus, and wholly in focus."""
    gray, around = to_gray(image), np.ones((max(SIZES), max(SIZES)), np.uint8)
    found = []
    for kind in (1 - label, label):
        inside = cv2.erode(kind, around)[::STRIDE, ::STRIDE]
        places = np.argwhere(inside)
        spaced = np.unique(np.linspace(0, max(len(places) - 1, 0), SAMPLES).round().astype(int))
        y, x = places[spaced[: len(places)]].T
        found.append([windows(gray, size)[y, x] for size in SIZES])
    return found[0], found[1]
