"""Cached teacher features are those that the teacher would give, whatever interrupted the writing."""

from pathlib import Path

import numpy as np
import pytest
import torch

from components.data.loader import Batch, Jitter, TrainingSet, flip, make_batch, normalise
from components.errors import InputError
from components.models.registry import build_model
from components.storage import read_json
from components.teacher_cache import (
    MANIFEST,
    CachedFeatures,
    OnlineFeatures,
    named,
    open_cache,
    relative_depth,
    write_cache,
)

pytestmark = pytest.mark.usefixtures("one_thread")
LEVELS = ("level0", "level1", "level2", "level3")
CHANNELS = (64, 32, 16, 8)
IDS = [f"cuhk/{i}" for i in range(5)]


@pytest.fixture(scope="module")
def encode():
    """A small encoder, in eval(); its BatchNorm has statistics of its own."""
    torch.manual_seed(0)
    model = build_model("pdnet", "resnet10t", backbone_kwargs={"channels": [8, 16, 32, 64]}, width=8).eval()
    for name, buffer in model.named_buffers():
        if name.endswith("running_var"):
            buffer.uniform_(0.5, 2.0)
    return lambda images: named(model.encode(images))


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(1).integers(0, 256, (5, 3, 64, 64), dtype=np.uint8))


def writing(encode, images, folder: Path, ids=IDS, **changed):
    options = {"made_from": {"teacher": "abc"}, "flip_axis": "vertical", "dtype": "float32", "batch_size": 2} | changed
    return write_cache(encode, images, ids, folder, **options)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def cached(encode, images, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    assert list(writing(encode, images, folder)) == [(2, 5), (4, 5), (5, 5)]
    return folder


@pytest.mark.parametrize("axis", ["vertical", "horizontal"])
def test_what_is_cached_is_what_the_teacher_says_of_both_flips(encode, images, tmp_path: Path, axis) -> None:
    list(writing(encode, images, tmp_path, flip_axis=axis))
    arrays = open_cache(tmp_path, expected={}).arrays
    for flipped in (0, 1):
        with torch.no_grad():
            said = encode(normalise(flip(images, torch.full((5,), bool(flipped)), axis)))
        for name, channels, side in zip(LEVELS, CHANNELS, (2, 4, 8, 16), strict=True):
            assert arrays[name].shape == (5, 2, channels, side, side)
            assert np.allclose(arrays[name][:, flipped], said[name].numpy(), rtol=1e-4, atol=1e-5)
    assert not np.allclose(arrays["level3"][:, 0], arrays["level3"][:, 1])


@pytest.mark.parametrize("stops", [1, 2])
def test_an_interrupted_cache_goes_on_to_the_same_bytes(encode, images, cached: Path, tmp_path: Path, stops) -> None:
    begun = writing(encode, images, tmp_path)
    assert [next(begun) for _ in range(stops)] == [(2, 5), (4, 5)][:stops]
    begun.close()
    assert not (tmp_path / MANIFEST).exists()
    assert list(writing(encode, images, tmp_path)) == [(2, 5), (4, 5), (5, 5)][stops:]
    assert contents(tmp_path) == contents(cached)
    assert set(contents(cached)) == {f"{name}.npy" for name in LEVELS} | {MANIFEST}


def test_half_precision_is_within_a_thousandth(encode, images, cached: Path, tmp_path: Path) -> None:
    list(writing(encode, images, tmp_path, dtype="float16"))
    exact, half = open_cache(cached, expected={}).arrays, open_cache(tmp_path, expected={"dtype": "float16"}).arrays
    for name in LEVELS:
        assert half[name].dtype == np.float16
        assert np.allclose(half[name].astype(np.float32), exact[name], rtol=1e-3, atol=1e-6)
    assert not np.array_equal(half["level0"], exact["level0"])


def test_the_manifest_says_what_the_cache_was_made_from(cached: Path) -> None:
    manifest = read_json(cached / MANIFEST)
    assert {key: manifest[key] for key in ("teacher", "flip_axis", "dtype", "ids")} == {
        "teacher": "abc",
        "flip_axis": "vertical",
        "dtype": "float32",
        "ids": IDS,
    }
    assert manifest["shapes"]["level0"] == [5, 2, 64, 2, 2]


@pytest.mark.parametrize(("key", "needed"), [("teacher", "xyz"), ("flip_axis", "horizontal"), ("dtype", "float16")])
def test_a_stale_cache_is_refused(cached: Path, key: str, needed: str) -> None:
    held = {"teacher": "abc", "flip_axis": "vertical", "dtype": "float32"}
    assert open_cache(cached, expected=held).ids == IDS
    message = rf"{cached}: .*with {key} '{held[key]}', but '{needed}' is needed; .*dvc repro cache_teacher"
    with pytest.raises(InputError, match=message):
        open_cache(cached, expected=held | {key: needed})


def test_a_cache_that_is_not_there_or_not_whole_is_refused(encode, images, tmp_path: Path) -> None:
    next(writing(encode, images, tmp_path / "half"))
    for name in ("half", "none"):
        with pytest.raises(InputError, match=rf"{name}/{MANIFEST}: no such file"):
            open_cache(tmp_path / name, expected={})


def test_an_image_without_features_is_named(cached: Path) -> None:
    with pytest.raises(InputError, match=r"no cached features for 2 of 3 training images, dut/7 first; .*cached_sets"):
        CachedFeatures([open_cache(cached, expected={})], ["cuhk/1", "dut/7", "dut/8"], LEVELS)


def batch_of(images: torch.Tensor, index: list[int], strength: float = 0.0, epoch: int = 1) -> Batch:
    data = TrainingSet(images, torch.zeros(len(images), 1, 64, 64), [str(i) for i in range(len(images))])
    jitter = Jitter(strength, strength, strength)
    options = {"seed": 2, "epoch": epoch, "flip_axis": "vertical", "flip_probability": 0.5}
    return make_batch(data, np.array(index), jitter=jitter, **options)


def apart(one, other) -> float:
    return max(float((a.float() - b.float()).abs().max()) for a, b in zip(one, other, strict=True))


def test_cached_and_online_teachers_agree_without_jitter(encode, images, cached: Path) -> None:
    batch = batch_of(images, [3, 0, 4, 1])
    assert 0 < int(batch.flipped.sum()) < 4
    online = OnlineFeatures(encode, LEVELS, CHANNELS)
    read = CachedFeatures([open_cache(cached, expected={})], IDS, LEVELS)
    assert list(read.channels) == list(online.channels)
    assert apart(read(batch), online(batch)) < 1e-4
    jittered = batch_of(images, [3, 0, 4, 1], strength=0.4)
    assert apart(read(jittered), online(jittered)) > 0.01  # the cached teacher does not see the jitter
    assert apart(read(jittered), read(batch)) == 0


def test_features_come_from_the_cache_that_holds_the_image(encode, images, tmp_path: Path) -> None:
    list(writing(encode, images[:3], tmp_path / "cuhk", ids=["cuhk/a", "cuhk/b", "cuhk/c"]))
    list(writing(encode, images[3:], tmp_path / "dut", ids=["dut/a", "dut/b"]))
    caches = [open_cache(tmp_path / name, expected={}) for name in ("cuhk", "dut")]
    order = [4, 1, 0, 3]  # the training set's order is neither cache's, and leaves cuhk/c out
    read = CachedFeatures(caches, ["dut/b", "cuhk/b", "cuhk/a", "dut/a"], LEVELS)
    batch = batch_of(images[order], [0, 1, 2, 3])
    assert apart(read(batch), OnlineFeatures(encode, LEVELS, CHANNELS)(batch)) < 1e-4


def test_chosen_arrays_in_the_order_asked_for(cached: Path, images) -> None:
    read = CachedFeatures([open_cache(cached, expected={})], IDS, ("level2", "level0"))
    assert list(read.channels) == [16, 64]
    assert [tuple(each.shape) for each in read(batch_of(images, [0, 1]))] == [(2, 16, 8, 8), (2, 64, 2, 2)]


def test_a_full_disk_is_an_error(encode, images, full_disk: Path) -> None:
    """Not SIGBUS, which is what a memory map without its room gets."""
    with pytest.raises(InputError, match=rf"{full_disk}/cache/level\d\.npy: the disk is full"):
        list(writing(encode, images, full_disk / "cache"))


def test_relative_depth_by_hand() -> None:
    depth = torch.tensor([[[2.0, 4.0], [6.0, 10.0]], [[7.0, 7.0], [7.0, 7.0]]])
    relative = relative_depth(depth)
    assert relative.shape == (2, 1, 2, 2)
    assert relative[0, 0].tolist() == [[0.0, 0.25], [0.5, 1.0]]
    assert relative[1, 0].tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_levels_are_named_deepest_first() -> None:
    assert list(named([torch.zeros(1), torch.ones(1)])) == ["level0", "level1"]
