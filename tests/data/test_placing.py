"""Augmentation on the device: what it gave before it was made there, and what fits there."""

from pathlib import Path

import numpy as np
import pytest
import torch

from components.datasets.loader import Flips, Jitter, Views, held, make_batch
from components.datasets.placing import brought, fits, host_memory, sent
from components.train.best import Crops, cropped_batch

GOLDENS = Path(__file__).parent.parent / "goldens" / "augmentation.npz"
"""Of 2026-11-28, before batches were made from sets that lie on their device: float32 images as a network sees them."""
GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")
JITTER = Jitter(0.4, 0.3, 0.2)
CPU = torch.device("cpu")


@pytest.mark.parametrize("name", ["vertical", "horizontal", "views", "crops"])
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=GPU)])
@pytest.mark.parametrize("fit", [True, False])
def test_batches_are_what_they_were(monkeypatch: pytest.MonkeyPatch, fit: bool, device: str, name: str) -> None:
    monkeypatch.setattr("components.datasets.loader.fits", lambda nbytes, device: fit)
    random = np.random.default_rng(11)
    images, labels = (
        torch.from_numpy(random.integers(0, top, (6, channels, 24, 20), dtype=np.uint8))
        for top, channels in ((256, 3), (2, 1))
    )
    if name == "crops":
        images, labels = images[..., :20, :], labels[..., :20, :]
    data, index = held(images, labels, [f"cuhk/{i}" for i in range(6)], torch.device(device)), np.array([4, 0, 5, 1])
    if name == "crops":
        batch = cropped_batch(data, index, seed=7, epoch=3, crops=Crops(16, 0.5, 0.5, JITTER))
    else:
        axis, views = ("vertical", Views(3, 9)) if name == "views" else (name, None)
        epoch = {"vertical": 3, "horizontal": 4, "views": 5}[name]
        batch = make_batch(data, index, seed=7, epoch=epoch, flips=Flips(axis, 0.5, JITTER, views))
    with np.load(GOLDENS) as goldens:
        for key in ("images", "labels", "flipped"):
            found = getattr(batch, key).cpu().numpy()
            np.testing.assert_allclose(found, goldens[f"{name}/{key}"], rtol=0, atol=1e-5)
    assert (batch.images.device.type, batch.index.device.type) == (device, "cpu")


def test_half_of_a_gpus_free_memory_may_be_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 4000))
    assert [fits(nbytes, torch.device("cuda")) for nbytes in (500, 501)] == [True, False]
    assert fits(10**15, CPU)


def test_nothing_is_copied_on_a_cpu() -> None:
    room = host_memory((2, 3), torch.float16, CPU)
    assert (room.shape, room.dtype, room.is_pinned()) == ((2, 3), torch.float16, False)
    assert sent(room, CPU) is room
    assert brought(room)() is room
