"""Methods that look at nothing: what a score is worth is seen beside theirs."""

import numpy as np
from numpy.typing import NDArray


def all_in_focus(image: NDArray[np.uint8]) -> NDArray[np.float16]:
    """Everything in focus, 1: MAE is the blurred fraction, F-beta and IoU are 0 where there is any blur.

    Args:
        image: (H, W, 3) RGB.
    """
    return np.ones(image.shape[:2], np.float16)


def all_blurred(image: NDArray[np.uint8]) -> NDArray[np.float16]:
    """Everything out of focus, 0: MAE is the fraction in focus, IoU of a photograph its blurred fraction.

    Args:
        image: (H, W, 3) RGB.
    """
    return np.zeros(image.shape[:2], np.float16)
