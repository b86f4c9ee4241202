"""Textures and real photographs for the tests of classical methods."""

import cv2
import numpy as np
import pytest

from components.scoring.metrics import count
from tests.conftest import SHARED

NAMES = [f"out_of_focus{number}" for number in ("0011", "0015", "0031", "0035", "0080", "0142", "0223")]


def texture(height, width, seed=0, blur=0.8):
    """Noise with some structure: uint8 (height, width, 3)."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), blur)


def real():
    """Photographs of CUHK, uint8 RGB, and their labels, 1 = in focus; skips where they are not at hand."""
    folder = SHARED / "real" / "cuhk"
    if not folder.is_dir():
        pytest.skip("needs ../shared/real: a few photographs and their labels")
    images = [cv2.cvtColor(cv2.imread(str(folder / f"image/{name}.jpg")), cv2.COLOR_BGR2RGB) for name in NAMES]
    labels = [(cv2.imread(str(folder / f"gt/{name}.png"), 0) < 128).astype(np.uint8) for name in NAMES]
    return list(zip(images, labels, strict=True))


def scored_on_real(detect, pairs):
    """Mean MAE and F-beta of a method on photographs, and the MAE of the better of all sharp and all blurred."""
    counts = [count(detect(image), label) for image, label in pairs]
    shares = [label.mean() for _, label in pairs]
    means = {metric: np.mean([getattr(each, metric) for each in counts]) for metric in ("mae", "f_beta")}
    return means, min(np.mean(shares), 1 - np.mean(shares))
