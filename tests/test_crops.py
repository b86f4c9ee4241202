"""Crops of the recipe `best`: windows by hand, and batches that depend on (seed, epoch, image) alone."""

import numpy as np
import pytest
import torch

from components.datasets.loader import Jitter, TrainingSet, normalise
from components.train.best import Crops, cropped_batch, window

PLAIN = Jitter(0.0, 0.0, 0.0)


def held(count: int = 4, size: int = 40) -> TrainingSet:
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (count, 3, size, size), dtype=np.uint8))
    labels = (torch.arange(size) < size // 2).to(torch.uint8).expand(count, 1, size, size).contiguous()
    return TrainingSet(images, labels, [f"toy/{i}" for i in range(count)])


@pytest.mark.parametrize(
    ("uniform", "smallest", "down", "across"),
    [
        ((0.0, 0.5, 0.0, 0.0), 0.5, slice(0, 50), slice(0, 50)),
        ((0.0, 0.5, 0.999, 0.5), 0.5, slice(50, 100), slice(25, 75)),
        ((1.0, 0.5, 0.9, 0.9), 0.5, slice(0, 100), slice(0, 100)),
        ((0.5, 1.0, 0.0, 0.0), 0.5, slice(0, 87), slice(0, 65)),  # 75 times and by e^0.15
        ((0.3, 0.1, 0.7, 0.2), 1.0, slice(0, 100), slice(0, 100)),
    ],
)
def test_windows_by_hand(uniform, smallest: float, down: slice, across: slice) -> None:
    assert window(np.array(uniform), 100, smallest) == (down, across)


def test_the_whole_photograph_unchanged() -> None:
    data = held()
    batch = cropped_batch(data, np.array([2, 0]), seed=1, epoch=3, crops=Crops(40, 1.0, 0.0, PLAIN))
    assert torch.allclose(batch.images, normalise(data.images[[2, 0]]), atol=1e-5)
    assert torch.equal(batch.labels, data.labels[[2, 0]].float())
    assert batch.index.tolist() == [2, 0]


def test_mirrored_left_and_right() -> None:
    data = held()
    batch = cropped_batch(data, np.array([1]), seed=1, epoch=3, crops=Crops(40, 1.0, 1.0, PLAIN))
    assert torch.allclose(batch.images, normalise(data.images[[1]]).flip(-1), atol=1e-5)
    assert torch.equal(batch.labels, data.labels[[1]].float().flip(-1))


def test_images_and_labels_are_cut_alike() -> None:
    """Of a photograph that is white where its label is 1, every crop is white where its label is."""
    labels = held().labels
    data = TrainingSet(labels.expand(-1, 3, -1, -1) * 255, labels, held().ids)
    batch = cropped_batch(data, np.arange(4), seed=5, epoch=2, crops=Crops(32, 0.4, 0.5, PLAIN))
    white = normalise(batch.labels.expand(-1, 3, -1, -1))
    assert torch.allclose(batch.images, white, atol=1e-4)
    assert len({round(float(each.mean()), 4) for each in batch.labels}) > 1


def test_a_batch_depends_on_seed_epoch_and_image_alone() -> None:
    data, crops = held(), Crops(32, 0.5, 0.5, Jitter(0.2, 0.2, 0.2))
    both = cropped_batch(data, np.array([3, 1]), seed=1, epoch=2, crops=crops)
    alone = cropped_batch(data, np.array([1]), seed=1, epoch=2, crops=crops)
    assert torch.equal(both.images[1:], alone.images)
    for seed, epoch in ((1, 3), (2, 2)):
        other = cropped_batch(data, np.array([1]), seed=seed, epoch=epoch, crops=crops)
        assert not torch.equal(other.images, alone.images)
