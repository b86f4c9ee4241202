"""Naive Bayes with histograms: P(sharp | f) from features that are taken for independent, both classes alike often.

    P(sharp | f) = 1 / (1 + exp(-sum_i r_i(f_i))),    r_i(x) = ln p_i(x | sharp) - ln p_i(x | blurred),

p_i the share of a class's samples in the bin of x, one sample added to each bin. Bins hold equally many samples of both
classes together.
"""

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float32]


def learn(sharp: Values, blurred: Values, bins: int) -> tuple[Values, Values]:
    """Inner edges of the bins (F, bins - 1), and log ratios r (F, bins), from samples (N, F) of both classes."""
    shares = np.arange(1, bins) / bins
    edges = np.quantile(np.concatenate([sharp, blurred]), shares, axis=0).T.astype(np.float32)
    ratios = []
    for column, inner in enumerate(edges):
        counts = [np.bincount(np.searchsorted(inner, each[:, column]), minlength=bins) + 1 for each in (sharp, blurred)]
        ratios.append(np.log(counts[0] / counts[0].sum()) - np.log(counts[1] / counts[1].sum()))
    return edges, np.array(ratios, np.float32)


def posterior(features: Values, edges: Values, ratios: Values) -> Values:
    """P(sharp | f), (N,), of features (N, F)."""
    evidence = np.zeros(len(features), np.float32)
    for column, (inner, ratio) in enumerate(zip(edges, ratios, strict=True)):
        evidence += ratio[np.searchsorted(inner, features[:, column])]
    return np.asarray(1 / (1 + np.exp(-evidence)), np.float32)
