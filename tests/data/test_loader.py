"""Training batches: augmentation by hand, and draws that depend on (seed, epoch, index) alone."""

import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from components.datasets.loader import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    ORDERS,
    Batch,
    Flips,
    Jitter,
    TrainingSet,
    Views,
    batches,
    draws,
    epoch_order,
    flip,
    jitter_colours,
    load_rows,
    make_batch,
    normalise,
    view_of,
)
from components.datasets.prepared import IndexRow, PreparedSet

CALM = Jitter(0.0, 0.0, 0.0)
CPU = torch.device("cpu")


def training_set(count: int = 7, size: int = 4) -> TrainingSet:
    random = np.random.default_rng(3)
    images = random.integers(0, 256, (count, 3, size, size), dtype=np.uint8)
    labels = random.integers(0, 2, (count, 1, size, size), dtype=np.uint8)
    return TrainingSet(torch.from_numpy(images), torch.from_numpy(labels), [f"cuhk/{i}" for i in range(count)])


def batches_of(data: TrainingSet, batch_size: int, *, seed: int = 0, epoch: int = 1, jitter: Jitter = CALM):
    return list(
        batches(
            data,
            batch_size,
            seed=seed,
            epoch=epoch,
            flips=Flips("vertical", 0.5, jitter),
        )
    )


def batch_of(data: TrainingSet, index: list[int], **changed) -> Batch:
    options = {"seed": 0, "epoch": 1} | {key: changed.pop(key) for key in ("seed", "epoch") if key in changed}
    flips = Flips(**{"axis": "vertical", "probability": 0.5, "jitter": CALM} | changed)
    return make_batch(data, np.array(index), **options, flips=flips)


def test_flips_by_hand() -> None:
    maps = torch.tensor([[[[1, 2], [3, 4]]], [[[5, 6], [7, 8]]]])
    chosen = torch.tensor([True, False])
    assert flip(maps, chosen, "vertical").tolist() == [[[[3, 4], [1, 2]]], [[[5, 6], [7, 8]]]]  # upside down
    assert flip(maps, chosen, "horizontal").tolist() == [[[[2, 1], [4, 3]]], [[[5, 6], [7, 8]]]]  # left to right


def test_normalisation_by_hand() -> None:
    images = torch.tensor([255, 0, 51], dtype=torch.uint8).view(1, 3, 1, 1)
    expected = [(1 - 0.485) / 0.229, (0 - 0.456) / 0.224, (0.2 - 0.406) / 0.225]
    assert normalise(images).flatten().tolist() == pytest.approx(expected, rel=1e-6)
    assert torch.equal(normalise(images), normalise(images.float() / 255))


def jittered(pixels, brightness=1.0, contrast=1.0, saturation=1.0, order=(0, 1, 2)) -> list[list[float]]:
    """One image, a pixel a row, (r, g, b)."""
    image, factors = torch.tensor(pixels).T.reshape(1, 3, 1, -1), torch.tensor([[brightness, contrast, saturation]])
    return jitter_colours(image, factors, torch.tensor([order]))[0, :, 0].T.tolist()


def close(expected: list[list[float]]):
    return [pytest.approx(pixel, abs=1e-6) for pixel in expected]


PIXELS = [[0.5, 0.25, 0.1], [0.9, 0.6, 0.0]]


def test_jitter_at_factors_of_one_changes_nothing() -> None:
    assert jittered(PIXELS) == close(PIXELS)


def test_brightness_multiplies_and_clamps() -> None:
    assert jittered(PIXELS, brightness=1.2) == close([[0.6, 0.3, 0.12], [1.0, 0.72, 0.0]])
    assert jittered(PIXELS, brightness=0.5) == close([[0.25, 0.125, 0.05], [0.45, 0.3, 0.0]])


def test_contrast_is_about_the_mean_luma_of_the_image() -> None:
    # grey pixels 0.2 and 0.6 have mean luma 0.4: at half the contrast they lie half as far from it
    assert jittered([[0.2] * 3, [0.6] * 3], contrast=0.5) == close([[0.3] * 3, [0.5] * 3])
    assert jittered([[0.2] * 3, [0.6] * 3], contrast=4.0) == close([[0.0] * 3, [1.0] * 3])


def test_saturation_is_about_each_pixels_own_luma() -> None:
    luma = 0.299 * 0.5 + 0.587 * 0.25 + 0.114 * 0.1
    assert jittered(PIXELS[:1], saturation=0.0) == close([[luma] * 3])
    expected = [[luma + 1.2 * (value - luma) for value in PIXELS[0]]]
    assert jittered(PIXELS[:1], saturation=1.2) == close(expected)


def test_images_are_jittered_one_by_one() -> None:
    images = torch.full((2, 3, 1, 1), 0.4)
    factors, order = torch.tensor([[1.5, 1.0, 1.0], [0.5, 1.0, 1.0]]), torch.tensor([[0, 1, 2], [2, 1, 0]])
    assert jitter_colours(images, factors, order).flatten(1)[:, 0].tolist() == pytest.approx([0.6, 0.2])


def test_the_order_of_jitter_counts() -> None:
    greys = [[0.2] * 3, [0.6] * 3]
    first = jittered(greys, brightness=2.0, contrast=0.5, order=(0, 1, 2))  # 0.4 and 1, about 0.7
    assert first == close([[0.55] * 3, [0.85] * 3])
    second = jittered(greys, brightness=2.0, contrast=0.5, order=(1, 0, 2))  # 0.3 and 0.5, doubled
    assert second == close([[0.6] * 3, [1.0] * 3])


@pytest.mark.parametrize("order", ORDERS.tolist())
def test_any_order_is_one_change_after_another(order: list[int]) -> None:
    names, factors = ("brightness", "contrast", "saturation"), (1.3, 0.6, 1.4)
    pixels = PIXELS
    for each in order:
        pixels = jittered(pixels, **{names[each]: factors[each]})
    assert jittered(PIXELS, *factors, order=order) == close(pixels)


def test_the_last_draw_of_jitter_picks_one_of_six_orders() -> None:
    images = torch.tensor(PIXELS).T.reshape(1, 3, 1, -1).repeat(6, 1, 1, 1)
    uniform = np.column_stack([np.tile([0.9, 0.1, 0.8], (6, 1)), (np.arange(6) + 0.99) / 6])
    jitter = Jitter(0.4, 0.3, 0.5)
    found = jitter(images, uniform)
    assert torch.equal(found, jitter_colours(images, jitter.factors(uniform[:, :3]), ORDERS))
    assert len({tuple(each.flatten().tolist()) for each in found}) == 6


@settings(deadline=None)
@given(seed=st.integers(0, 2**32), epoch=st.integers(0, 1000), index=st.lists(st.integers(0, 10**6), min_size=1))
def test_draws_of_an_image_do_not_depend_on_its_batch(seed: int, epoch: int, index: list[int]) -> None:
    together = draws(seed, epoch, index)
    assert together.shape == (len(index), 5)
    assert ((together >= 0) & (together < 1)).all()
    alone = np.concatenate([draws(seed, epoch, [i]) for i in index])
    np.testing.assert_array_equal(together, alone)


def test_draws_differ_by_seed_epoch_and_index() -> None:
    seen = {tuple(draws(seed, epoch, [i])[0]) for seed in range(3) for epoch in range(1, 4) for i in range(5)}
    assert len(seen) == 45
    values = np.concatenate([draws(0, epoch, range(200)) for epoch in range(1, 6)])
    assert values.mean(0) == pytest.approx([0.5] * 5, abs=0.03)  # 1000 draws: standard error 0.009
    assert np.corrcoef(values.T) - np.eye(5) == pytest.approx(np.zeros((5, 5)), abs=0.11)


@settings(deadline=None)
@given(seed=st.integers(0, 2**32), epoch=st.integers(1, 1000), count=st.integers(1, 300))
def test_the_order_of_an_epoch_is_a_permutation(seed: int, epoch: int, count: int) -> None:
    order = epoch_order(seed, epoch, count)
    assert sorted(order.tolist()) == list(range(count))
    np.testing.assert_array_equal(order, epoch_order(seed, epoch, count))


def test_the_order_differs_by_epoch_and_seed() -> None:
    assert len({tuple(epoch_order(seed, epoch, 30)) for seed in range(4) for epoch in range(1, 26)}) == 100


def test_an_epoch_sees_every_image_once_in_its_order() -> None:
    seen = torch.cat([batch.index for batch in batches_of(training_set(), 3, seed=5, epoch=2)][:2])
    assert seen.tolist() == epoch_order(5, 2, 7)[:6].tolist()


@pytest.mark.parametrize(
    ("count", "batch_size", "sizes"),
    [(7, 3, [3, 3]), (8, 3, [3, 3]), (6, 3, [3, 3]), (2, 3, [2]), (1, 3, [1])],
)
def test_a_smaller_last_batch_is_left_out(count: int, batch_size: int, sizes: list[int]) -> None:
    """Unless it is the only one; of CUHK-TR-1's 604 images, 100 batches of 6 are left, as published."""
    assert [len(batch.index) for batch in batches_of(training_set(count), batch_size)] == sizes


@pytest.mark.parametrize("batch_size", [2, 3, 7])
def test_any_batch_can_be_repeated_alone(batch_size: int) -> None:
    data, jitter = training_set(), Jitter(0.4, 0.3, 0.2)
    for batch in batches_of(data, batch_size, seed=1, epoch=9, jitter=jitter):
        again = batch_of(data, batch.index.tolist(), seed=1, epoch=9, jitter=jitter)
        for name in ("images", "labels", "index", "flipped"):
            assert torch.equal(getattr(batch, name), getattr(again, name))


def test_an_image_is_augmented_alike_whatever_its_batch() -> None:
    data, jitter = training_set(), Jitter(0.4, 0.3, 0.2)
    whole, alone = batch_of(data, [4, 0, 2], jitter=jitter), batch_of(data, [2], jitter=jitter)
    assert torch.allclose(whole.images[2:], alone.images, rtol=0, atol=1e-5)
    assert whole.flipped[2] == alone.flipped[0]


@pytest.mark.parametrize(("axis", "dim"), [("vertical", 2), ("horizontal", 3)])
def test_labels_and_images_are_flipped_alike(axis, dim: int) -> None:
    data = training_set(40)
    batch = batch_of(data, list(range(40)), axis=axis)
    images, labels = normalise(data.images), data.labels.float()
    for i, flipped in enumerate(batch.flipped.tolist()):
        turn = (lambda maps: maps.flip(dim - 1)) if flipped else (lambda maps: maps)
        assert torch.allclose(batch.images[i], turn(images[i]), rtol=0, atol=1e-5)
        assert torch.equal(batch.labels[i], turn(labels[i]))
    assert batch.flipped.tolist() == [value < 0.5 for value in draws(0, 1, range(40))[:, 0]]
    assert 8 < int(batch.flipped.sum()) < 32


@pytest.mark.parametrize(("probability", "flipped"), [(0.0, 0), (1.0, 40)])
def test_flip_probability(probability: float, flipped: int) -> None:
    assert int(batch_of(training_set(40), list(range(40)), probability=probability).flipped.sum()) == flipped


def test_jitter_follows_the_draws() -> None:
    data = TrainingSet(torch.full((1, 3, 2, 2), 102, dtype=torch.uint8), torch.zeros(1, 1, 2, 2), ["cuhk/0"])
    mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
    for epoch in range(1, 6):
        batch = batch_of(data, [0], epoch=epoch, jitter=Jitter(0.2, 0.0, 0.0))
        value = 0.4 * (1 + 0.2 * (2 * draws(0, epoch, [0])[0, 1] - 1))  # 102 of 255 is 0.4
        assert batch.images[0, :, 0, 0].tolist() == pytest.approx(((value - mean) / std).tolist(), abs=1e-5)


def test_views_are_shown_in_turn() -> None:
    assert [view_of(epoch, Views(3, seed=0)) for epoch in range(1, 8)] == [1, 2, 3, 1, 2, 3, 1]
    assert [view_of(epoch, None) for epoch in (1, 2)] == [0, 0]


def test_a_view_has_the_same_jitter_in_every_run_and_place_but_another_by_its_own_seed() -> None:
    data, jitter = training_set(), Jitter(0.4, 0.3, 0.2)
    still = {"probability": 0.0, "jitter": jitter, "views": Views(2, seed=5)}
    one = batch_of(data, [3, 1], epoch=1, seed=0, **still)
    moved = TrainingSet(data.images[[1, 3]], data.labels[[1, 3]], [data.ids[1], data.ids[3]])
    assert one.view == 1
    assert torch.equal(one.images, batch_of(moved, [1, 0], epoch=3, seed=7, **still).images)
    other = batch_of(data, [3, 1], epoch=2, **still)
    assert other.view == 2
    reseeded = batch_of(data, [3, 1], epoch=1, **still | {"views": Views(2, seed=6)})
    for unlike in (other, reseeded):
        assert float((one.images - unlike.images).abs().max()) > 0.01


def test_jitter_of_a_view_by_hand() -> None:
    data = TrainingSet(torch.full((1, 3, 2, 2), 102, dtype=torch.uint8), torch.zeros(1, 1, 2, 2), ["cuhk/0"])
    batch = batch_of(data, [0], epoch=2, jitter=Jitter(0.2, 0.0, 0.0), views=Views(2, seed=9))
    value = 0.4 * (1 + 0.2 * (2 * np.random.default_rng([9, zlib.crc32(b"cuhk/0"), 2]).random(4)[0] - 1))
    mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
    assert batch.images[0, :, 0, 0].tolist() == pytest.approx(((value - mean) / std).tolist(), abs=1e-5)


def test_the_digest_is_of_images_and_labels() -> None:
    data, same = training_set(), training_set()
    assert data.digest() == same.digest()
    assert len(data.digest()) == 64
    same.images[6, 2, 3, 3] ^= 1
    assert data.digest() != same.digest()
    other = training_set()
    other.labels[0, 0, 0, 0] ^= 1
    assert len({data.digest(), same.digest(), other.digest()}) == 3


def prepared(name: str, ids: list[str], value: int) -> PreparedSet:
    count = len(ids)
    rows = tuple(IndexRow(each, f"{each}.jpg", f"{each}.png", 2, 2, i, "", (), 0.5) for i, each in enumerate(ids))
    images = np.arange(count * 12, dtype=np.uint8).reshape(count, 2, 2, 3) + np.uint8(value)
    labels = np.eye(2, dtype=np.uint8)[None].repeat(count, 0)
    return PreparedSet(Path(name), name, rows, images, labels, np.zeros(count, np.uint8), None, ())


def test_rows_of_two_sets_are_gathered_in_order() -> None:
    cuhk, dut = prepared("cuhk", ["a", "b", "c"], 0), prepared("dut", ["a", "b"], 100)
    data = load_rows([(cuhk, np.array([2, 0])), (dut, np.array([1]))], CPU)
    assert data.ids == ["cuhk/c", "cuhk/a", "dut/b"]
    assert len(data) == 3
    assert (data.images.shape, data.images.dtype) == ((3, 3, 2, 2), torch.uint8)
    assert (data.labels.shape, data.labels.dtype) == ((3, 1, 2, 2), torch.uint8)
    for row, image in enumerate((cuhk.images[2], cuhk.images[0], dut.images[1])):
        np.testing.assert_array_equal(data.images[row].permute(1, 2, 0).numpy(), image)
    assert data.labels[1, 0].tolist() == [[1, 0], [0, 1]]
