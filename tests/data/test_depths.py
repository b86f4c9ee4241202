"""Depth: inverse, whether rendered in metres or a map of any network's; and the larger size to take crops from."""

import numpy as np
import pytest
from PIL import Image

from components.acquire.download import fetch_set
from components.acquire.obtain import Inbox
from components.catalog.images import read_photograph, to_network_size
from components.common.errors import InputError
from components.datasets.prepared import PreparedSet
from components.incoming.sets import import_set
from components.prepare.build import prepare_set
from components.prepare.depths import read_relative
from tests.data.conftest import mask, photograph

STEMS = ("out_of_focus0001", "out_of_focus0002", "out_of_focus0003")


@pytest.fixture
def folder(tmp_path):
    """Three pairs of CUHK and a depth map of each: 8 bits, 16 bits, and one of another case and one value."""
    root = tmp_path / "mine"
    for seed, stem in enumerate(STEMS):
        photograph(root / f"image/{stem}.jpg", seed=seed)
        mask(root / f"gt/{stem}.png")
    (root / "depth").mkdir()
    ramp = np.array([[50, 100], [150, 250]])
    Image.fromarray(ramp.astype(np.uint8)).save(root / f"depth/{STEMS[0]}.png")
    Image.fromarray((ramp * 200).astype(np.uint16)).save(root / f"depth/{STEMS[1]}.png")
    Image.fromarray(np.full((7, 5), 9, np.uint8)).save(root / f"depth/{STEMS[2].upper()}.PNG")
    return root


def prepared(raw, out, name="cuhk", **options):
    prepare_set(name, raw, out, **{"image_size": 2, "partial": True, **options})
    return PreparedSet.load(out)


def test_maps_of_8_and_16_bits_are_scaled_by_their_own_range(folder, tmp_path):
    found = prepared(folder, tmp_path / "out")
    assert found.depth.dtype == np.float16
    assert found.depth[0] == pytest.approx(np.array([[0, 0.25], [0.5, 1]]), abs=1e-3)
    np.testing.assert_array_equal(found.depth[0], found.depth[1])
    assert not found.depth[2].any()


def test_maps_are_imported_and_passed_on(folder, inbox, tmp_path):
    said = import_set("cuhk", [folder], inbox, partial=True)
    assert said == "all: 3 of 704 pairs, depth: 3 of 3 maps"
    fetch_set("cuhk", tmp_path / "raw", Inbox(inbox, ["cuhk", "cuhk_te2"], lambda *_: None))
    np.testing.assert_array_equal(
        prepared(tmp_path / "raw", tmp_path / "a").depth, prepared(folder, tmp_path / "b").depth
    )


def test_a_photograph_without_a_map(folder, inbox, tmp_path):
    (folder / f"depth/{STEMS[1]}.png").unlink()
    assert import_set("cuhk", [folder], inbox, partial=True).endswith("depth: 2 of 3 maps")
    found = prepared(folder, tmp_path / "out")
    assert (found.depth[0].any(), found.depth[1].any()) == (True, False)
    for stem in range(4, 705):
        for part, suffix in (("image", "jpg"), ("gt", "png")):
            (folder / part / f"out_of_focus{stem:04d}.{suffix}").hardlink_to(folder / part / f"{STEMS[0]}.{suffix}")
    with pytest.raises(InputError, match=r"mine/depth: 702 of 704 photographs have no depth map, .*out_of_focus0002"):
        import_set("cuhk", [folder], inbox, partial=False)


@pytest.mark.parametrize(("mode", "suffix"), [("RGB", "png"), ("L", "jpg")])
def test_what_is_no_depth_map(tmp_path, mode, suffix):
    path = tmp_path / f"map.{suffix}"
    Image.new(mode, (4, 4)).save(path)
    with pytest.raises(InputError, match=rf"map\.{suffix}: .* of mode {mode}, expected a grey PNG of 8 or 16 bits"):
        read_relative(path, 4)


def test_rendered_depth_is_in_one_over_metres(rendered, tmp_path):
    found = prepared(rendered / "dut", tmp_path / "out", name="dut", image_size=32)
    metres = np.load(rendered / "dut/depth/DUT-DBD_Dataset/DUT600S_Training/1.npy").astype(np.float32)
    assert metres.shape == (32, 32)
    assert found.depth[0] == pytest.approx(1 / metres, rel=1e-3)


def test_the_larger_size_of_a_set_to_train_on(rendered, tmp_path):
    found = prepared(rendered / "cuhk", tmp_path / "cuhk", large_size=24)
    photo = read_photograph(rendered / "cuhk" / found.rows[0].image)
    assert found.large.shape == (6, 24, 24, 3)
    np.testing.assert_array_equal(found.large[0], to_network_size(photo, 24))
    assert found.labels_large.shape == (6, 24, 24)
    assert set(np.unique(found.labels_large)) == {0, 1}
    means = [label.mean() for label in found.labels_large]
    assert means == pytest.approx([row.in_focus for row in found.rows], abs=0.1)
    assert found.images.shape == (6, 2, 2, 3)
    assert prepared(rendered / "cuhk", tmp_path / "none").large is None
    assert prepared(rendered / "ctcug", tmp_path / "ctcug", name="ctcug", large_size=24).large is None
