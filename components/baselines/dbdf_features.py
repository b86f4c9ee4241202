"""The four features of DBDF (Shi, Xu & Jia, CVPR 2014), each a number a patch; dbdf.py says what they are for.

B a patch of n x n pixels, n odd, values in [0, 1]; g its differences between neighbours along rows or columns.

f1, peakedness: the kurtosis of the gradients, of the direction in which it is less:

    f1 = min(ln(K(g_x) + 3), ln(K(g_y) + 3)),    K(a) = E[a^4] / E[a^2]^2 - 3.

f2, heavy tails: sigma_1, the larger standard deviation of a mixture of two zero-mean Gaussians that has the gradients'
distribution. The paper fits it; here it has their moments, which needs no iterations. With v the variance, equal to
s_1^2 or s_2^2 with the mixture's shares,

    E[v] = E[g^2],  E[v^2] = E[g^4] / 3,  E[v^3] = E[g^6] / 15,

and a v of two values with mean m, deviation d and skewness c has s_1^2 = m + d (c / 2 + sqrt(1 + c^2 / 4)).

f3, spectrum: the power J over frequency, averaged over directions, of which blur takes the high end:

    f3 = mean over frequencies w of ln J(w),    J(w) = mean over directions of |F(B)(w, .)|^2 / n^2.

f4, learned filters: ln sum_k (w_k^T B)^2; see `learned_filters`.

Noise of one grey level's rounding is added to all of them in expectation, so that a flat patch has values too: those of
rounding noise, kurtosis 3.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

Patches = NDArray[np.float32]
"""(P, n, n), values in [0, 1]."""
Values = NDArray[np.float32]

FEATURES = 4
ROUNDING = 1 / (12 * 255**2)
"""Variance of rounding to 8 bits; a difference has twice as much."""


def features(patches: Patches, filters: Values) -> Values:
    """(P, 4): the features of patches (P, n, n); filters (K, n * n)."""
    rows, columns = (moments(np.diff(patches, axis=axis)) for axis in (2, 1))
    found = np.stack(
        [
            np.minimum(peakedness(rows), peakedness(columns)),
            heavy_tail((rows + columns) / 2),
            np.log(spectrum(patches)).mean(axis=1),
            filtered(patches, filters),
        ],
        axis=1,
    )
    return found.astype(np.float32)


def moments(gradients: Patches) -> NDArray[np.float64]:
    """(3, P): E[g^2], E[g^4], E[g^6] of each patch's gradients, Gaussian rounding noise added."""
    flat = gradients.reshape(len(gradients), -1)
    squares = flat * flat
    fourths = squares * squares
    second, fourth = squares.mean(axis=1, dtype=np.float64), fourths.mean(axis=1, dtype=np.float64)
    sixth = np.einsum("pi,pi->p", fourths, squares) / flat.shape[1]
    v = 2 * ROUNDING
    return np.stack(
        [
            second + v,
            fourth + 6 * v * second + 3 * v**2,
            sixth + 15 * v * fourth + 45 * v**2 * second + 15 * v**3,
        ]
    )


def peakedness(of: NDArray[np.float64]) -> NDArray[np.float64]:
    """(P,): ln(K + 3) from moments (3, P)."""
    logarithm: NDArray[np.float64] = np.log(of[1] / of[0] ** 2)
    return logarithm


def heavy_tail(of: NDArray[np.float64]) -> NDArray[np.float64]:
    """(P,): ln sigma_1 of the mixture with moments (3, P); ln sqrt(E[g^2]) where no mixture has so light tails."""
    mean = of[0]
    spread = np.sqrt(np.maximum(of[1] / 3 - mean**2, (1e-3 * mean) ** 2))
    third = of[2] / 15 - 3 * mean * (spread**2 + mean**2) + 2 * mean**3
    skew = np.clip(third / spread**3, -10, 10)
    larger = mean + spread * (skew / 2 + np.sqrt(1 + skew**2 / 4))
    return np.asarray(np.log(larger) / 2)


@cache
def rings(size: int) -> NDArray[np.float32]:
    """(size * (size // 2 + 1), size // 2): what each coefficient of a real transform adds to the mean over directions.

    Ring w holds the frequencies whose distance from 0 rounds to w = 1 .. size // 2, in cycles a patch.
    """
    y = np.fft.fftfreq(size, 1 / size)[:, None]
    x = np.arange(size // 2 + 1)[None]
    counts = np.where(x == 0, 1.0, 2.0) * np.ones_like(y)  # the other half of the plane is the same
    distance = np.rint(np.hypot(y, x))
    each = np.stack([counts * (distance == ring) for ring in range(1, size // 2 + 1)], axis=-1)
    weights = each / each.sum(axis=(0, 1))
    return np.asarray(weights.reshape(-1, size // 2), np.float32)


def spectrum(patches: Patches) -> Values:
    """(P, n // 2): power by frequency 1 .. n // 2, averaged over directions, rounding noise added."""
    size = patches.shape[1]
    transformed = np.fft.rfft2(patches)
    power = (transformed.real**2 + transformed.imag**2).reshape(len(patches), -1)
    return np.asarray(power @ rings(size) / size**2 + ROUNDING, np.float32)


def filtered(patches: Patches, filters: Values) -> Values:
    """(P,): ln of the filters' energy, rounding noise added; filters (K, n * n)."""
    responses = patches.reshape(len(patches), -1) @ filters.T
    noise = ROUNDING * float((filters**2).sum())
    return np.asarray(np.log((responses**2).sum(axis=1) + noise), np.float32)


def learned_filters(sharp: Patches, blurred: Patches, count: int) -> Values:
    """(count, n * n): the filters that answer sharp patches most and blurred ones least, by Fisher's criterion.

    w maximises w^T S w / w^T B w, S and B the second moments of sharp and of blurred patches. The paper's scatter is
    that of the classes' means; patches of either class have the same mean, nothing, so their second moments
    tell them apart. Patches lose their mean and are scaled to one length first: filters go by shape, not contrast.
    """
    within = second_moments(blurred)
    size = len(within)
    within += np.eye(size) * np.trace(within) / size * 1e-2
    lower = np.linalg.inv(np.linalg.cholesky(within))
    _, vectors = np.linalg.eigh(lower @ second_moments(sharp) @ lower.T)
    filters = vectors[:, ::-1][:, :count].T @ lower
    filters -= filters.mean(axis=1, keepdims=True)
    filters /= np.linalg.norm(filters, axis=1, keepdims=True)
    return np.asarray(filters, np.float32)


def second_moments(patches: Patches) -> NDArray[np.float64]:
    """(n * n, n * n): mean outer product of patches without their mean, scaled to length 1."""
    flat = patches.reshape(len(patches), -1).astype(np.float64)
    flat -= flat.mean(axis=1, keepdims=True)
    flat /= np.sqrt((flat**2).sum(axis=1, keepdims=True) + flat.shape[1] * ROUNDING)
    return np.asarray(flat.T @ flat / len(flat))
