"""A detector that takes for a map what it is told, and counts."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from components.catalog.images import read_reduced
from dbdflow.detector import Found, Seen
from pipelines.photographs import predicting

LEVELS = np.zeros((40, 60), np.uint8)
LEVELS[10:20, 30:50] = 255


def detect(monkeypatch: pytest.MonkeyPatch, levels: Callable[[Path], np.ndarray]) -> list[str]:
    """Let `predict` take for the map of a photograph what is given here; the names of those that it looked at."""
    looked: list[str] = []

    def find(photograph: Path) -> tuple[Seen, Found]:
        looked.append(photograph.name)
        pixels, made = np.asarray(read_reduced(photograph, 320)[0]), levels(photograph)
        return (pixels, made.shape), Found(lambda: np.float32(made / 255), lambda: np.rint(made).astype(np.uint8))

    monkeypatch.setattr(predicting, "find_detector", lambda model, device: SimpleNamespace(find=find))
    return looked
