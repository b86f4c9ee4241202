"""A trained run as MLflow loads it (`mlflow.pyfunc.load_model`, `mlflow models serve`): the detector, under its names.

Photographs of one size go in, uint8 (N, H, W, 3) RGB; their maps come out as `Detector.maps` makes them, float32
(N, H, W) in [0, 1], 1 = in focus.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dbdflow.detector import Detector


class Served:
    """A detector with the method that MLflow calls."""

    def __init__(self, detector: Detector) -> None:
        self.detector = detector

    def predict(self, photographs: NDArray[np.uint8], params: dict[str, Any] | None = None) -> NDArray[np.float32]:
        """Maps of photographs, see above; there are no `params`.

        Raises:
            InputError: see `Detector.map`.
        """
        maps = list(self.detector.maps(photographs))
        return np.stack(maps) if maps else np.zeros(photographs.shape[:3], np.float32)


def _load_pyfunc(path: str) -> Served:
    """The model in a folder with weights and card, by the name under which MLflow asks for it."""
    return Served(Detector.load(Path(path)))
