"""Image formation against numbers worked out by hand."""

import numpy as np
import pytest

from components.common.errors import InputError
from components.render.optics import (
    Layer,
    ThinLens,
    blur,
    blur_varying,
    compose,
    disk_kernel,
    spread,
    to_linear,
    to_srgb,
)


def lens(focus_m=2.0, f_number=2.0, pitch=10.0):
    return ThinLens(focal_length_mm=50.0, f_number=f_number, focus_m=focus_m, pixel_pitch_um=pitch)


def layer(value, depth, shape=(40, 40), alpha=None):
    cover = np.ones(shape, dtype=np.float32) if alpha is None else alpha.astype(np.float32)
    rgba = np.stack([value * cover] * 3 + [cover], axis=2).astype(np.float32)
    return Layer(rgba, np.float32(depth))


@pytest.mark.parametrize(
    ("depth_m", "expected_px"),
    [
        # A = 25 mm; c = 25 * 50 * 2000 / (4000 * 1950) mm = 0.320513 mm; 10 um pixels
        (4.0, 32.0513),
        # nearer: 25 * 50 * 1000 / (1000 * 1950) = 0.641026 mm
        (1.0, 64.1026),
        (2.0, 0.0),
        # far away it tends to A f / (z_f - f) = 25 * 50 / 1950 = 0.641026 mm
        (1e6, 64.1026),
    ],
)
def test_circle_of_confusion_by_hand(depth_m, expected_px):
    assert lens().coc_px(np.float32(depth_m)) == pytest.approx(expected_px, rel=1e-4, abs=1e-4)


def test_circle_of_confusion_is_inverse_to_f_number_and_pitch():
    depth = np.array([0.7, 1.5, 9.0], dtype=np.float32)
    wide = lens(f_number=2.0).coc_px(depth)
    assert lens(f_number=16.0).coc_px(depth) == pytest.approx(wide / 8, rel=1e-5)
    assert lens(pitch=20.0).coc_px(depth) == pytest.approx(wide / 2, rel=1e-5)


def test_a_lens_cannot_focus_within_its_focal_length():
    with pytest.raises(InputError, match=r"0\.05 m.*50\.0 mm"):
        lens(focus_m=0.05)


def test_disk_kernel_by_hand():
    # radius 1.5: the centre and 4 neighbours at 1 are whole, 4 corners at sqrt 2 cover 2 - sqrt 2, at 2 nothing
    corner = 2 - np.sqrt(2)
    expected = np.array([[corner, 1, corner], [1, 1, 1], [corner, 1, corner]]) / (5 + 4 * corner)
    assert disk_kernel(3.0) == pytest.approx(expected, rel=1e-6)
    assert disk_kernel(1.0).tolist() == [[1.0]]
    assert disk_kernel(0.0).tolist() == [[1.0]]


@pytest.mark.parametrize("diameter", [6.0, 9.7, 17.3])
def test_disk_kernel_has_the_moments_of_a_disk(diameter):
    kernel = disk_kernel(diameter)
    offsets = np.arange(kernel.shape[0]) - kernel.shape[0] // 2
    variance = float((kernel.sum(axis=0) * offsets**2).sum())
    assert kernel.sum() == pytest.approx(1, rel=1e-5)
    assert variance == pytest.approx(diameter**2 / 16, rel=0.06)


@pytest.mark.parametrize("diameter", [2.5, 8.0, 13.0])
def test_blur_keeps_energy(diameter):
    image = np.zeros((48, 48, 4), dtype=np.float32)
    image[20:28, 20:28] = np.random.default_rng(0).uniform(0, 30, (8, 8, 4))
    assert blur(image, diameter).sum() == pytest.approx(image.sum(), rel=1e-5)


def test_a_point_of_light_becomes_a_flat_disk_of_the_right_area():
    image = np.zeros((41, 41, 1), dtype=np.float32)
    image[20, 20] = 100.0
    spot = blur(image, 12.0)
    assert spot[20, 20] == pytest.approx(100 / (np.pi * 6**2), rel=0.03)
    assert spot[20, 24] == pytest.approx(spot[20, 20], rel=1e-4)
    assert spot[20, 28] == pytest.approx(0, abs=1e-4)


def test_varying_blur_equals_plain_blur_where_it_does_not_vary():
    image = np.random.default_rng(1).uniform(0, 1, (30, 44, 3)).astype(np.float32)
    for diameter in (1.0, 1.5**3, 1.5**5):
        expected = blur(image, diameter)
        assert blur_varying(image, np.full((30, 44), diameter, dtype=np.float32)) == pytest.approx(expected, abs=1e-5)


def test_varying_blur_leaves_the_focused_part_alone():
    image = np.random.default_rng(2).uniform(0, 1, (32, 32, 3)).astype(np.float32)
    coc = np.abs(np.linspace(-12, 12, 32, dtype=np.float32))[:, None] * np.ones((1, 32), dtype=np.float32)
    blurred = blur_varying(image, coc)
    np.testing.assert_array_equal(blurred[15:17], image[15:17])
    # the disk of 12 pixels averages over 113 pixels: hardly anything of the noise's deviation is left
    assert blurred[0].std() < 0.25 * image[0].std()
    assert blur_varying(np.ones_like(image), coc) == pytest.approx(np.ones_like(image), abs=1e-5)


def test_nearer_layers_hide_farther_ones():
    near = np.zeros((40, 40), dtype=bool)
    near[:, :20] = True
    image, depth = compose([layer(0.2, 8.0), layer(0.9, 2.0, alpha=near)], lens(pitch=100.0), (40, 40))
    assert image[20, 10, 0] == pytest.approx(0.9)
    assert image[20, 35, 0] == pytest.approx(0.2)
    assert depth[20, 10] == 2.0
    assert depth[20, 35] == 8.0


def test_the_rim_of_a_focused_layer_stays_sharp_before_a_blurred_one():
    near = np.zeros((40, 40), dtype=bool)
    near[:, :20] = True
    image, _ = compose([layer(0.2, 8.0), layer(0.9, 2.0, alpha=near)], lens(pitch=100.0), (40, 40))
    assert image[20, :, 0] == pytest.approx(np.where(near[20], 0.9, 0.2))


def test_a_blurred_foreground_spreads_over_a_focused_background():
    # at 1 m the disk is 641 um, 6.4 pixels of 100 um: the rim at column 20 mixes from 17 to 23, half at the rim
    near = np.zeros((40, 40), dtype=bool)
    near[:, :20] = True
    image, depth = compose([layer(0.0, 2.0), layer(1.0, 1.0, alpha=near)], lens(pitch=100.0), (40, 40))
    row = image[20, :, 0]
    assert row[:16] == pytest.approx(np.ones(16), abs=1e-5)
    assert row[24:] == pytest.approx(np.zeros(16), abs=1e-5)
    assert (row[19] + row[20]) / 2 == pytest.approx(0.5, abs=1e-5)
    assert np.all(np.diff(row[16:24]) < 0)
    assert depth[20, 19] == 1.0
    assert depth[20, 20] == 2.0


def test_a_layer_grows_by_its_blur_but_not_beyond_the_canvas():
    small = Layer(np.ones((4, 6, 4), dtype=np.float32), np.float32(1.0), top=1, left=20)
    grown = spread(small, lens(pitch=100.0), (40, 40))
    reach = disk_kernel(float(lens(pitch=100.0).coc_px(np.float32(1.0)))).shape[0] // 2
    assert reach == 3
    assert (grown.top, grown.left) == (0, 17)
    assert grown.rgba.shape == (1 + 4 + 3, 3 + 6 + 3, 4)


def test_srgb_by_hand_and_back():
    # IEC 61966-2-1: 0.5 sRGB is 0.21404 linear; 0.02 lies on the straight part, 0.02 / 12.92
    values = np.array([0.0, 0.02, 0.5, 1.0], dtype=np.float32)
    assert to_linear(values) == pytest.approx([0, 0.02 / 12.92, 0.214041, 1], rel=1e-4)
    assert to_srgb(to_linear(values)) == pytest.approx(values, abs=1e-5)
