"""Domain transform: edge-aware smoothing in linear time (Gastal & Oliveira, SIGGRAPH 2011), the recursive filter.

Along one line of the guide I, two neighbours lie at the distance (Eq. 11)

    d[n] = 1 + sigma_s / sigma_r |I[n] - I[n-1]|,

and the line J is smoothed forth and back by the feedback (Eq. 21)

    J[n] = (1 - a^d[n]) J[n] + a^d[n] J[n-1],    a = exp(-sqrt(2) / sigma).

A pass goes along the rows, then along the columns; pass i of N has (Eq. 14)

    sigma_i = sigma_s sqrt(3) 2^(N - i) / sqrt(4^N - 1).

Here the guide is one map, not a colour photograph; the rest is as published.
"""

import numpy as np
from numpy.typing import NDArray

PASSES = 3

FloatMap = NDArray[np.float32]


def domain_transform(signal: FloatMap, guide: FloatMap, sigma_s: float, sigma_r: float) -> FloatMap:
    """Smooth a map except across the edges of its guide.

    Args:
        signal: (H, W).
        guide: (H, W); its edges are kept.
        sigma_s: reach in pixels.
        sigma_r: reach in the guide's unit.

    Returns:
        (H, W), within the range of `signal`.
    """
    ratio = sigma_s / sigma_r
    along_columns = 1 + ratio * np.abs(np.diff(guide, axis=0))
    along_rows = 1 + ratio * np.abs(np.diff(np.ascontiguousarray(guide.T), axis=0))
    smooth = signal.astype(np.float32)
    for i in range(1, PASSES + 1):
        sigma = sigma_s * np.sqrt(3) * 2 ** (PASSES - i) / np.sqrt(4**PASSES - 1)
        feedback = np.exp(-np.sqrt(2) / sigma)
        for distance in (along_rows, along_columns):
            smooth = _forth_and_back(np.ascontiguousarray(smooth.T), (feedback**distance).astype(np.float32))
    return smooth


def _forth_and_back(lines: FloatMap, weights: FloatMap) -> FloatMap:
    """Smooth (N, M) in place along its first axis; weights (N - 1, M) are a^d between neighbours."""
    for n, weight in enumerate(weights):
        lines[n + 1] += weight * (lines[n] - lines[n + 1])
    for n, weight in reversed(list(enumerate(weights))):
        lines[n] += weight * (lines[n + 1] - lines[n])
    return lines
