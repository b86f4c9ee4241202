"""Scores of maps: MAE, F-beta, IoU, curves, intervals; the paper's tables."""
