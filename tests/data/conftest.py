"""Small raw folders to prepare, made on the spot."""

import numpy as np
import pytest
from PIL import Image

from components.render.miniature import RenderSettings, render_set

SMALL = RenderSettings(
    seed=1, size=32, coc_limit_px=0.5, cuhk=6, cuhk_test=2, dut_train=2, dut_test=3, ctcug=2, ebd_shallow=3, ebd_wide=2
)


def photograph(path, height=20, width=30, seed=0, **save):
    """A random photograph."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(values).save(path, **save)
    return values


def mask(path, height=20, width=30, white=10):
    """A label whose first `white` columns are white."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.zeros((height, width), dtype=np.uint8)
    values[:, :white] = 255
    Image.fromarray(values).save(path)
    return values


@pytest.fixture
def ctcug(tmp_path):
    """A CTCUG raw folder of three pairs, 20 x 30 pixels; a third of each is white, which is out of focus."""
    raw = tmp_path / "raw"
    for i in (1, 2, 10):
        photograph(raw / f"CTCUG/CTCUG_images/{i}.jpg", seed=i)
        mask(raw / f"CTCUG/CTCUG_gt/{i}.png")
    return raw


@pytest.fixture(scope="session")
def rendered(tmp_path_factory):
    """Rendered stand-ins of all four sets, by name."""
    root = tmp_path_factory.mktemp("rendered")
    for name in ("cuhk", "dut", "ctcug", "ebd"):
        render_set(name, root / name, SMALL)
    return root
