"""The rendered stand-ins: deterministic, labelled by the lens alone, in the layout of the archives."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from components.catalog.sets import find_set
from components.render.miniature import RenderSettings, render_image, render_set
from components.render.optics import ThinLens
from components.render.textures import TEXTURED, colour, plain, tile

SMALL = RenderSettings(
    seed=3, size=48, cuhk=6, cuhk_test=2, dut_train=2, dut_test=2, ctcug=2, ebd_shallow=2, ebd_wide=1
)


def digests(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def shot(index, f_number=1.8, settings=SMALL, name="dut-train"):
    return render_image(settings, name, index, height=64, width=64, f_number=f_number)


def test_an_image_depends_on_seed_set_and_index_only():
    first = shot(5)
    np.testing.assert_array_equal(first.image, shot(5).image)
    assert not np.array_equal(first.image, shot(6).image)
    assert not np.array_equal(first.image, shot(5, name="dut-test").image)
    assert not np.array_equal(first.image, shot(5, settings=replace(SMALL, seed=4)).image)


def test_more_images_leave_the_first_ones_as_they_are(tmp_path):
    for count, folder in ((2, "few"), (4, "more")):
        render_set("ctcug", tmp_path / folder, replace(SMALL, ctcug=count))
    few, more = digests(tmp_path / "few"), digests(tmp_path / "more")
    assert sum(name.endswith(".jpg") for name in few) == 2
    assert {name for name in few if more.get(name) != few[name]} == {"rendered.json"}
    assert sum(name.endswith(".jpg") for name in more) == 4


def test_a_set_has_the_same_bytes_every_time(tmp_path):
    render_set("dut", tmp_path / "one", SMALL)
    render_set("dut", tmp_path / "two", SMALL)
    assert digests(tmp_path / "one") == digests(tmp_path / "two")


@pytest.mark.parametrize("index", range(6))
def test_label_is_the_circle_of_confusion_against_the_limit(index):
    settings = replace(SMALL, coc_limit_px=2.0)
    one = render_image(settings, "x", index, height=60, width=96, f_number=1.8)
    # the limit is given for pictures `size` = 48 pixels wide: twice as many pixels here
    np.testing.assert_array_equal(one.in_focus, one.coc <= 4.0)
    assert one.depth.dtype == np.float16
    assert one.depth.shape == one.coc.shape == (60, 96)
    # some focus distance between 1 and 3 m explains every pixel's circle from its distance
    depth = one.depth.astype(np.float32)
    fits = [
        np.abs(ThinLens(85.0, 1.8, focus, 36000 / 96).coc_px(depth) - one.coc).max()
        for focus in np.arange(1, 3.001, 0.01)
    ]
    assert min(fits) < 0.15


def test_wide_dof_has_more_in_focus_than_shallow_dof():
    shallow = [shot(i).in_focus.mean() for i in range(12)]
    wide = [shot(i, f_number=16.0).in_focus.mean() for i in range(12)]
    assert all(w >= s for w, s in zip(wide, shallow, strict=True))
    assert np.mean(wide) > 0.9
    assert 0.1 < np.mean(shallow) < 0.7


def test_the_lens_changes_focus_and_nothing_else_of_the_scene():
    np.testing.assert_array_equal(shot(1).depth, shot(1, f_number=16.0).depth)


def detail(image):
    """Second differences (h, w - 2) along the rows."""
    return np.abs(np.diff(image.astype(np.float32).mean(axis=2), n=2, axis=1))


def test_blur_takes_detail_from_what_is_out_of_focus_and_from_nothing_else():
    sharp, focused, blurred = [], [], []
    for i in range(10):
        shallow, wide = (
            render_image(replace(SMALL, noise=0.0), "x", i, height=128, width=128, f_number=f) for f in (1.8, 64.0)
        )
        for coc, ratios in ((shallow.coc < 1, focused), (shallow.coc > 4, blurred)):
            where = coc[:, 1:-1] & (detail(wide.image) > 10)
            if where.sum() > 100:
                ratios.append(float(detail(shallow.image)[where].mean() / detail(wide.image)[where].mean()))
        sharp.append(wide.coc.max())
    assert max(sharp) < 1
    assert min(len(focused), len(blurred)) >= 5
    assert np.median(focused) > 0.8
    assert np.median(blurred) < 0.35


def test_homogeneous_surfaces_are_homogeneous_and_textured_ones_are_not():
    first, second = colour("c8372d"), colour("2f6fb0")
    rng = np.random.default_rng(0)
    assert plain(rng, first, second).std(axis=(0, 1)).max() < 0.02
    for name, pattern in TEXTURED.items():
        assert pattern(rng, first, second).std(axis=(0, 1)).max() > 0.05, name


def test_a_far_surface_takes_the_mean_colour_of_its_tile():
    first, second = colour("000000"), colour("ffffff")
    checks = tile(TEXTURED["checks"](np.random.default_rng(0), first, second), width_m=1.0)
    where = np.zeros((2, 2), dtype=np.float32)
    far = checks.sample(where, where, np.float32(100.0))
    assert far[0, 0] == pytest.approx(checks.levels[0].mean(axis=(0, 1)), abs=0.1)


@pytest.mark.parametrize(
    ("name", "size", "files"),
    [("cuhk", (72, 48), 6), ("dut", (48, 48), 4), ("ctcug", (64, 48), 2), ("ebd", (94, 60), 3)],
)
def test_layout_size_and_polarity_of_the_archives(tmp_path, name, size, files):
    render_set(name, tmp_path, SMALL)
    dataset, found = find_set(name), 0
    for part in dataset.parts:
        for path in sorted((tmp_path / part.images).iterdir()):
            found += 1
            label = next((tmp_path / part.labels).glob(f"{path.stem}.*"))
            depth = np.load(tmp_path / "depth" / part.images / f"{path.stem}.npy")
            with Image.open(path) as photograph, Image.open(label) as mask:
                assert photograph.size == mask.size == size
                assert photograph.mode == "RGB"
                white = np.asarray(mask.convert("L")) > 127
            assert depth.shape == white.shape
            assert depth.dtype == np.float16
    assert found == files


def test_cuhk_labels_are_white_out_of_focus_and_ebd_labels_white_in_focus(tmp_path):
    for name, group, file, height, width, flip in (
        ("cuhk", "cuhk", "gt/out_of_focus0001.png", 48, 72, True),
        ("ebd", "ebd-shallow", "EBD/gt/shallow0001.png", 60, 94, False),
    ):
        render_set(name, tmp_path / name, SMALL)
        one = render_image(SMALL, group, 0, height=height, width=width, f_number=1.8)
        with Image.open(tmp_path / name / file) as mask:
            np.testing.assert_array_equal(np.asarray(mask) == 255, ~one.in_focus if flip else one.in_focus)


def test_defects_of_the_published_archives_are_there(tmp_path):
    render_set("cuhk", tmp_path / "cuhk", SMALL)
    render_set("dut", tmp_path / "dut", SMALL)
    assert (tmp_path / "cuhk/image/out_of_focus0002.JPG").exists()
    with Image.open(tmp_path / "cuhk/gt/out_of_focus0003.png") as mask:
        assert mask.mode == "RGBA"
    with Image.open(tmp_path / "dut/DUT-DBD_Dataset/DUT500GT-Testing/1.bmp") as mask:
        values = np.asarray(mask)
    assert np.unique(values).size > 2
    assert ((values > 25) & (values < 230)).mean() < 0.2
