"""Cached teacher features are those that the teacher would give, whatever interrupted the writing."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from components.common.errors import InputError
from components.common.storage import read_json
from components.datasets.loader import Batch, Flips, Jitter, TrainingSet, Views, flip, make_batch
from components.models.registry import build_model
from components.train import teacher_cache
from components.train.losses import feature_loss
from components.train.teacher_cache import (
    MANIFEST,
    CachedFeatures,
    HeldFeatures,
    OnlineFeatures,
    Plan,
    named,
    open_cache,
    relative_depth,
    views_that_fit,
    write_cache,
)

pytestmark = pytest.mark.usefixtures("one_thread")
LEVELS = ("level0", "level1", "level2", "level3")
CHANNELS = (64, 32, 16, 8)
IDS = [f"cuhk/{i}" for i in range(5)]
RECORD = 4 * sum(channels * side**2 for channels, side in zip(CHANNELS, (2, 4, 8, 16), strict=True))  # bytes, float32
PLAN = Plan(teacher="abc", image_size=64, flip_axis="vertical", dtype="float32", jitter=Jitter(0.4, 0.4, 0.4), seed=11)


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for three images: shards of three and two of a view."""
    monkeypatch.setattr(teacher_cache, "SHARD_BYTES", 2 * 3 * RECORD + 1)


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


def writing(encode, images, folder: Path, plan: Plan = PLAN, *, ids=IDS, views: int = 2):
    return write_cache(encode, images, ids, folder, plan, views=views, batch_size=2)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture
def cached(encode, images, tmp_path: Path) -> Path:
    folder = tmp_path / "cached"
    assert list(writing(encode, images, folder)) == [(done, 10) for done in (2, 3, 5, 7, 8, 10)]
    return folder


def batch_of(images: torch.Tensor, index: list[int], *, epoch: int = 1, plan: Plan = PLAN, ids=IDS) -> Batch:
    data = TrainingSet(images, torch.zeros(len(images), 1, 64, 64), list(ids))
    flips = Flips(plan.flip_axis, 0.5, plan.jitter, Views(2, plan.seed))
    return make_batch(data, np.array(index), seed=2, epoch=epoch, flips=flips)


def apart(one, other) -> float:
    return max(float((a.float() - b.float()).abs().max()) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("axis", ["vertical", "horizontal"])
@pytest.mark.parametrize("epoch", [1, 2, 3, 4])
def test_cached_teachers_say_what_online_ones_say_of_the_students_images(
    encode, images, tmp_path: Path, axis, epoch: int
) -> None:
    plan = replace(PLAN, flip_axis=axis)
    list(writing(encode, images, tmp_path, plan))
    known, online = CachedFeatures([open_cache(tmp_path, plan)], IDS, LEVELS), OnlineFeatures(encode, LEVELS, CHANNELS)
    batch = batch_of(images, [3, 0, 4, 1], epoch=epoch, plan=plan)
    assert 0 < int(batch.flipped.sum()) < 4
    assert list(known.channels) == list(online.channels)
    assert [tuple(each.shape) for each in known.read(batch)] == [
        (4, channels, side, side) for channels, side in zip(CHANNELS, (2, 4, 8, 16), strict=True)
    ]
    assert apart(known.read(batch), online.said(batch.images, ())) < 1e-4
    unlike = replace(batch, view=3 - batch.view)
    assert apart(known.read(unlike), online.said(batch.images, ())) > 0.01  # the other view has another jitter


def test_features_lie_channels_last(cached: Path, images) -> None:
    known = CachedFeatures([open_cache(cached, PLAN)], IDS, LEVELS)
    assert all(each.is_contiguous(memory_format=torch.channels_last) for each in known.read(batch_of(images, [0, 1])))


def test_held_features_are_the_cached_ones(cached: Path, images) -> None:
    order = [4, 1, 0, 3]
    known = CachedFeatures([open_cache(cached, PLAN)], [IDS[i] for i in order], ("level3", "level0"))
    held = HeldFeatures(known, torch.device("cpu"))
    assert held.channels == known.channels
    assert known.nbytes == 4 * 2 * 2 * 4 * (8 * 16**2 + 64 * 2**2)
    for epoch in (1, 2):
        batch = batch_of(images[order], [2, 0, 3], epoch=epoch, ids=[IDS[i] for i in order])
        batch.flipped[:2] = torch.tensor([True, False])
        assert apart(held.read(batch), known.read(batch)) == 0


def test_reading_ahead_changes_nothing(cached: Path, images) -> None:
    known, batch = CachedFeatures([open_cache(cached, PLAN)], IDS, LEVELS), batch_of(images, [4, 0, 2], epoch=2)
    before = [each.clone() for each in known.read(batch)]
    known.expect(batch)
    assert apart(known.read(batch), before) == 0


@pytest.mark.parametrize("stops", range(1, 6))
def test_an_interrupted_cache_goes_on_to_the_same_bytes(encode, images, cached: Path, tmp_path: Path, stops) -> None:
    folder, whole = tmp_path / "again", [2, 3, 5, 7, 8, 10]
    begun = writing(encode, images, folder)
    assert [done for done, _ in (next(begun) for _ in range(stops))] == whole[:stops]
    begun.close()
    assert not (folder / MANIFEST).exists()
    shards = [3, 5, 8, 10]  # what is done after each
    kept = max([0, *(end for end in shards if end in whole[: stops - 1])])
    assert [done for done, _ in writing(encode, images, folder)] == [done for done in whole if done > kept]
    assert contents(folder) == contents(cached)
    shards = {f"view{view}-{start:06d}.npy" for view in (1, 2) for start in (0, 3)}
    assert set(contents(cached)) == shards | {MANIFEST}
    (folder / "progress.json").write_text("[]")  # a kill after the manifest
    assert list(writing(encode, images, folder)) == []
    assert contents(folder) == contents(cached)


def test_half_precision_changes_the_loss_by_less_than_a_thousandth(
    encode, images, cached: Path, tmp_path: Path
) -> None:
    half = replace(PLAN, dtype="float16")
    list(writing(encode, images, tmp_path / "half", half))
    batch = batch_of(images, [0, 1, 2, 3, 4])
    exact, rounded = (
        CachedFeatures([open_cache(folder, plan)], IDS, LEVELS).read(batch)
        for folder, plan in ((cached, PLAN), (tmp_path / "half", half))
    )
    assert all(each.dtype == torch.float16 for each in rounded)
    assert apart(exact, rounded) > 0
    student = [torch.randn(each.shape, generator=torch.Generator().manual_seed(3)) + each for each in exact]
    assert float(feature_loss(student, rounded)) == pytest.approx(float(feature_loss(student, exact)), rel=1e-3)


def test_the_manifest_says_what_the_cache_was_made_from(cached: Path) -> None:
    manifest = read_json(cached / MANIFEST)
    assert {key: manifest[key] for key in ("teacher", "flip_axis", "dtype", "ids", "views", "shard_images")} == {
        "teacher": "abc",
        "flip_axis": "vertical",
        "dtype": "float32",
        "ids": IDS,
        "views": 2,
        "shard_images": 3,
    }
    assert [(shard["name"], shard["view"]) for shard in manifest["shards"]] == [
        ("view1-000000.npy", 1), ("view1-000003.npy", 1), ("view2-000000.npy", 2), ("view2-000003.npy", 2),
    ]  # fmt: skip
    assert np.load(cached / "view1-000003.npy", mmap_mode="r").shape == (2, 2)


@pytest.mark.parametrize(
    ("key", "needed"),
    [
        ("teacher", "xyz"), ("image_size", 96), ("flip_axis", "horizontal"), ("dtype", "float16"), ("seed", 12),
        ("jitter", Jitter(0.1, 0.4, 0.4)),
    ],
)  # fmt: skip
def test_a_stale_cache_is_refused(cached: Path, key: str, needed: object) -> None:
    assert open_cache(cached, PLAN).ids == IDS
    with pytest.raises(InputError, match=rf"{cached}: .*made with {key} .* is needed; .*dvc repro cache_teacher"):
        open_cache(cached, replace(PLAN, **{key: needed}))


def test_one_flipped_bit_is_found_and_named(cached: Path) -> None:
    path = cached / "view2-000000.npy"
    damaged = bytearray(path.read_bytes())
    damaged[-7] ^= 16
    path.write_bytes(damaged)
    with pytest.raises(InputError, match=rf"{path}: damaged: sha256 [0-9a-f]{{64}}, but .*; remove {cached} and run"):
        open_cache(cached, PLAN)
    path.unlink()
    with pytest.raises(InputError, match=rf"{path}: damaged: no such file"):
        open_cache(cached, PLAN)


def test_a_cache_that_is_not_there_or_not_whole_is_refused(encode, images, tmp_path: Path) -> None:
    next(writing(encode, images, tmp_path / "half"))
    for name in ("half", "none"):
        with pytest.raises(InputError, match=rf"{name}/{MANIFEST}: no such file"):
            open_cache(tmp_path / name, PLAN)


def test_an_image_without_features_is_named(cached: Path) -> None:
    with pytest.raises(InputError, match=r"no cached features for 2 of 3 training images, dut/7 first; .*cached_sets"):
        CachedFeatures([open_cache(cached, PLAN)], ["cuhk/1", "dut/7", "dut/8"], LEVELS)


def test_features_come_from_the_cache_that_holds_the_image(encode, images, tmp_path: Path) -> None:
    list(writing(encode, images[:3], tmp_path / "cuhk", ids=["cuhk/a", "cuhk/b", "cuhk/c"]))
    list(writing(encode, images[3:], tmp_path / "dut", ids=["dut/a", "dut/b"]))
    caches = [open_cache(tmp_path / name, PLAN) for name in ("cuhk", "dut")]
    order, ids = [4, 1, 0, 3], ["dut/b", "cuhk/b", "cuhk/a", "dut/a"]  # neither cache's order, and without cuhk/c
    known = CachedFeatures(caches, ids, LEVELS)
    assert known.views == 2
    batch = batch_of(images[order], [0, 1, 2, 3], ids=ids)
    assert apart(known.read(batch), OnlineFeatures(encode, LEVELS, CHANNELS).said(batch.images, ())) < 1e-4


def test_a_run_shows_the_views_that_all_its_caches_have(encode, images, tmp_path: Path) -> None:
    for name, ids, views in (("cuhk", IDS[:3], 3), ("dut", ["dut/a", "dut/b"], 2)):
        list(writing(encode, images[: len(ids)], tmp_path / name, ids=ids, views=views))
    caches = [open_cache(tmp_path / name, PLAN) for name in ("cuhk", "dut")]
    assert CachedFeatures(caches, [*IDS[:3], "dut/a"], LEVELS).views == 2
    assert CachedFeatures(caches[:1], IDS[:3], LEVELS).views == 3


@pytest.mark.parametrize(("budget", "views"), [(0, 1), (19.9, 1), (20, 2), (30, 3), (41, 4), (1e9, 4)])
def test_as_many_views_as_fit(encode, images, budget: float, views: int) -> None:
    """A view of five images is ten records; four epochs show four views at most."""
    assert views_that_fit(encode, images, PLAN, budget=budget * RECORD, most=4) == views


def test_a_cache_made_where_teachers_run_online_says_so(encode, images, tmp_path: Path) -> None:
    assert list(writing(encode, images, tmp_path, views=0)) == []
    with pytest.raises(
        InputError, match=rf"{tmp_path}: no cached features, .* online .*; set teacher\.mode: online, or"
    ):
        open_cache(tmp_path, PLAN)


def test_a_full_disk_is_an_error(encode, images, full_disk: Path) -> None:
    with pytest.raises(InputError, match=rf"{full_disk}/cache/view1-000000\.npy: the disk is full"):
        list(writing(encode, images, full_disk / "cache"))
    assert list((full_disk / "cache").iterdir()) == []


def test_what_a_teacher_sees_by_hand() -> None:
    plan = replace(PLAN, image_size=2, jitter=Jitter(0.0, 0.0, 0.0))
    images = torch.tensor([255, 0, 51, 102], dtype=torch.uint8).view(1, 1, 2, 2).expand(1, 3, 2, 2)
    red = plan.seen(images, ["cuhk/0"], 1, flipped=True)[0, 0]
    expected = [[(value / 255 - 0.485) / 0.229 for value in row] for row in ((51, 102), (255, 0))]
    assert red.tolist() == [pytest.approx(row, abs=1e-6) for row in expected]
    plain, turned = (
        replace(plan, flip_axis="horizontal").seen(images, ["cuhk/0"], 1, flipped=flipped) for flipped in (False, True)
    )
    assert torch.equal(turned, flip(plain, torch.tensor([True]), "horizontal"))


def test_relative_depth_by_hand() -> None:
    depth = torch.tensor([[[2.0, 4.0], [6.0, 10.0]], [[7.0, 7.0], [7.0, 7.0]]])
    relative = relative_depth(depth)
    assert relative.shape == (2, 1, 2, 2)
    assert relative[0, 0].tolist() == [[0.0, 0.25], [0.5, 1.0]]
    assert relative[1, 0].tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_levels_are_named_deepest_first() -> None:
    assert list(named([torch.zeros(1), torch.ones(1)])) == ["level0", "level1"]
