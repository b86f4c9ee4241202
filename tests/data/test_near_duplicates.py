"""Perceptual hashes: what is near, what is not, within a set and across sets."""

import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from components.common.errors import InputError
from components.datasets.prepared import PreparedSet
from components.prepare.build import prepare_set
from components.prepare.near_duplicates import (
    DHASH,
    FLIPS,
    PHASH,
    SIDE,
    cosines,
    cross_duplicates,
    equal_rows,
    hashes_of,
    lowest,
    search,
)
from tests.data.conftest import mask


def scene(seed, side=96):
    """Soft shapes with some texture."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (7, 7, 3), dtype=np.uint8)).resize((side, side), 3)
    noise = random.normal(0, 12, (side, side, 3))
    return np.clip(np.asarray(coarse) + noise, 0, 255).astype(np.uint8)


def compressed(pixels, quality):
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "jpeg", quality=quality)
    return np.asarray(Image.open(encoded))


def rescaled(pixels, side):
    return np.asarray(Image.fromarray(pixels).resize((side, side), 2))


COPIES = {
    "compressed": lambda pixels: compressed(pixels, 30),
    "brighter": lambda pixels: np.asarray(ImageEnhance.Brightness(Image.fromarray(pixels)).enhance(1.2)),
    "smaller": lambda pixels: rescaled(pixels, 60),
    "cropped by 2 %": lambda pixels: rescaled(pixels[2:-2, 2:-2], 96),
}


@pytest.mark.parametrize("copy", COPIES)
@pytest.mark.parametrize("flip", range(4))
def test_copies_are_found_in_every_orientation(copy, flip):
    originals = [scene(seed) for seed in range(8)]
    turned = [pixels[:: -1 if flip & 2 else 1, :: -1 if flip & 1 else 1] for pixels in originals]
    first = np.stack([hashes_of(pixels) for pixels in originals])
    second = np.stack([hashes_of(COPIES[copy](np.ascontiguousarray(pixels))) for pixels in turned])
    found = search(first, second)
    assert sorted((near.first, near.second) for near in found) == [(i, i) for i in range(8)]
    assert {near.flip for near in found} == {FLIPS[flip]}
    assert max(near.phash for near in found) <= PHASH
    assert max(near.dhash for near in found) <= DHASH


def test_different_scenes_are_far_from_each_other():
    first, second = (np.stack([hashes_of(scene(seed)) for seed in seeds]) for seeds in (range(40), range(40, 80)))
    assert search(first, second) == []


def test_distance_by_hand():
    first, second = np.zeros((1, 4, 2), np.uint64), np.full((2, 4, 2), 2**64 - 1, np.uint64)
    second[1, 2] = [0b111, 0b1]
    (near,) = search(first, second)
    assert (near.first, near.second, near.phash, near.dhash, near.flip) == (0, 1, 3, 1, "upside down")
    second[1, 2] = [2 ** (PHASH + 1) - 1, 0]
    assert search(first, second) == []
    second[1, 2] = [2**PHASH - 1, 2**DHASH - 1]
    assert [(near.phash, near.dhash) for near in search(first, second)] == [(PHASH, DHASH)]


def test_more_rows_than_are_compared_at_once():
    random = np.random.default_rng(0)
    first = random.integers(0, 2**64, (600, 4, 2), dtype=np.uint64)
    found = search(first, first[[599, 256, 3]])
    assert [(near.first, near.second, near.phash, near.dhash) for near in found] == [
        (3, 2, 0, 0),
        (256, 1, 0, 0),
        (599, 0, 0, 0),
    ]


def test_dhash_of_a_ramp_and_the_transform_of_a_wave():
    ramp = np.broadcast_to(np.linspace(0, 255, 90).astype(np.uint8)[None, :, None], (90, 90, 3))
    found = hashes_of(np.ascontiguousarray(ramp))
    assert found[:, 1].tolist() == [2**64 - 1, 0, 2**64 - 1, 0]
    u, v = lowest()
    assert (len(u), u[0], v[0], (u + v).max()) == (64, 0, 1, 10)
    wave = cosines()[3][None, :] * np.ones((SIDE, 1))
    waves = cosines() @ wave @ cosines().T
    assert np.argwhere(np.abs(waves) > 1e-9).tolist() == [[0, 3]]
    assert waves[0, 3] == pytest.approx(SIDE * SIDE / 2)


@given(st.integers(1, 40), st.integers(0, 255), st.integers(0, 2**16))
def test_hashes_of_any_side_and_of_flat_pictures(side, level, seed):
    flat = hashes_of(np.full((side, side, 3), level, np.uint8))
    assert flat.shape == (4, 2)
    assert not flat[:, 1].any()
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    found = hashes_of(pixels)
    assert np.bitwise_count(found[:, 0]).max() <= 32  # above their median


def test_equal_rows_by_hand():
    assert equal_rows([b"a", b"", b"b", b"a", b"", b"c", b"b", b"a"]) == [[0, 3, 7], [2, 6]]


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def sets(tmp_path):
    """CUHK with its first test photograph and two others, and two test photographs of DUT, one of them a mirrored
    training photograph of CUHK, the other the test photograph."""
    raw, side = tmp_path / "raw", 96
    for seed, stem in enumerate(("out_of_focus0001", "out_of_focus0002", "out_of_focus0003")):
        write(raw / f"cuhk/image/{stem}.png", scene(seed, side))
        mask(raw / f"cuhk/gt/{stem}.png", side, side)
    (raw / "cuhk/cuhk_te1.txt").write_text("out_of_focus0001\n")
    for stem, pixels in {"1": scene(1)[:, ::-1], "2": scene(0), "3": scene(7)}.items():
        write(raw / f"dut/DUT-DBD_Dataset/DUT500S-Testing/{stem}.png", pixels)
        mask(raw / f"dut/DUT-DBD_Dataset/DUT500GT-Testing/{stem}.bmp", side, side)
    for name in ("cuhk", "dut"):
        prepare_set(name, raw / name, tmp_path / name, image_size=48, partial=True)
    return [PreparedSet.load(tmp_path / name) for name in ("cuhk", "dut")]


def test_a_training_photograph_among_the_tests_of_another_set(sets):
    (found,) = cross_duplicates(sets)
    assert (found.training, found.test, found.flip) == ("cuhk/out_of_focus0002", "dut/test-1", "left to right")
    assert found.phash + found.dhash <= 4  # scaling rounds
    assert cross_duplicates(sets[:1]) == []


def test_missing_hashes(sets):
    (sets[1].folder / "hashes.npy").unlink()
    with pytest.raises(InputError, match=r"hashes\.npy: no such file; make it with"):
        cross_duplicates(sets)


def test_rows_without_a_photograph_are_no_duplicates(sets):
    rows = tuple(replace(row, image="") for row in sets[1].rows)
    assert cross_duplicates([sets[0], replace(sets[1], rows=rows)]) == []
