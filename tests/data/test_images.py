"""Images and labels of every mode, orientation and depth of bits."""

import os
import struct
import zlib
from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from components.catalog.images import (
    find_images,
    natural_key,
    open_upright,
    read_grey,
    read_photograph,
    read_reduced,
    upright_size,
)
from components.catalog.masks import GREY
from components.catalog.sets import CTCUG, EBD
from components.common.errors import InputError
from components.prepare.pairs import Part, measured_pair
from components.prepare.ready import make_ready, read_label
from tests.data.conftest import mask, photograph

HALF = np.repeat(np.array([[0, 255]], dtype=np.uint8), 10, axis=1).repeat(8, axis=0)
"""8 x 20, the right half white."""


def with_alpha(mode):
    """The half-white label with an alpha channel that says the opposite."""
    return Image.merge("LA", [Image.fromarray(HALF), Image.fromarray(255 - HALF)]).convert(mode)


def transparent_palette():
    image = Image.fromarray(HALF).convert("P")
    image.info["transparency"] = 255
    return image


LABELS = {
    "L": lambda: Image.fromarray(HALF),
    "1": lambda: Image.fromarray(HALF).convert("1"),
    "RGB": lambda: Image.fromarray(HALF).convert("RGB"),
    "RGBA": lambda: with_alpha("RGBA"),
    "LA": lambda: with_alpha("LA"),
    "P": lambda: Image.fromarray(HALF).convert("P"),
    "P, transparent": transparent_palette,
    "I;16": lambda: Image.fromarray(HALF.astype(np.uint16) * 257),
}


@pytest.mark.parametrize("mode", LABELS)
def test_labels_of_every_mode(tmp_path, mode):
    LABELS[mode]().save(tmp_path / "a.png")
    found = read_label(tmp_path / "a.png", EBD)  # white = in focus
    assert found.in_focus.tolist() == (HALF // 255).tolist()
    assert found.grey == 0
    assert read_label(tmp_path / "a.png", CTCUG).in_focus.tolist() == (1 - HALF // 255).tolist()


def test_sixteen_bits_are_rounded_and_not_clipped(tmp_path):
    values = np.array([[0, 128, 129, 257, 32767, 32768, 65407, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    assert read_grey(tmp_path / "a.png").tolist() == [[0, 0, 1, 1, 127, 128, 255, 255]]
    assert np.asarray(read_photograph(tmp_path / "a.png"))[0, :, 2].tolist() == [0, 0, 1, 1, 127, 128, 255, 255]


@pytest.mark.parametrize("values", [np.full((2, 2), 70000, np.int32), np.full((2, 2), 0.5, np.float32)])
def test_values_of_no_image(tmp_path, values):
    Image.fromarray(values).save(tmp_path / "a.tif")
    with pytest.raises(InputError, match=r"a\.tif: not a readable image \(.*expected (at most|8 or) 16 bits"):
        read_grey(tmp_path / "a.tif")


def test_grey_levels_are_those_between_ten_and_ninety_per_cent():
    levels = np.arange(256) / 255
    assert (np.argmax(levels > 0.1), 255 - np.argmax(levels[::-1] < 0.9)) == GREY


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_photographs_and_labels(tmp_path, suffix, orientation):
    values = np.zeros((20, 30), np.uint8)
    values[:10, :15] = 255  # top left, as stored
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(values).save(tmp_path / f"a.{suffix}", exif=exif)
    corners = {1: (0, 0), 2: (0, 1), 3: (1, 1), 4: (1, 0), 5: (0, 0), 6: (0, 1), 7: (1, 1), 8: (1, 0)}
    size = (30, 20) if orientation >= 5 else (20, 30)
    assert upright_size(tmp_path / f"a.{suffix}") == size
    expected = np.zeros((2, 2), np.uint8)
    expected[corners[orientation]] = 1
    label = read_label(tmp_path / f"a.{suffix}", EBD).in_focus
    assert label.shape == size
    assert label[size[0] // 4 :: size[0] // 2, size[1] // 4 :: size[1] // 2].tolist() == expected.tolist()
    grey = np.asarray(read_photograph(tmp_path / f"a.{suffix}"))[..., 1] > 128
    np.testing.assert_array_equal(grey, label == 1)


def test_an_orientation_behind_the_pixels_of_a_png_is_found_where_they_are_decoded(tmp_path):
    """The header of such a file tells another size than its upright one: both files are turned alike here."""
    for path in (tmp_path / "image.png", tmp_path / "label.png"):
        mask(path, 20, 30)
        content, exif = path.read_bytes(), b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
        chunk = struct.pack(">I", len(exif)) + b"eXIf" + exif + struct.pack(">I", zlib.crc32(b"eXIf" + exif))
        path.write_bytes(content[:-12] + chunk + content[-12:])
    assert upright_size(tmp_path / "image.png") == (20, 30)
    assert open_upright(tmp_path / "image.png").size == (20, 30)  # width, height
    pair = measured_pair(EBD, Part("all", "", "", 1), "a", tmp_path / "image.png", tmp_path / "label.png")
    ready = make_ready(pair, EBD, 10)
    assert (ready.traits.height, ready.traits.width) == (30, 20)
    mask(tmp_path / "label.png", 20, 30)
    with pytest.raises(InputError, match=r"image\.png: 20x30 pixels, but its label .*label\.png has 30x20"):
        make_ready(pair, EBD, 10)


@pytest.mark.parametrize("content", [b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"P5 2 2 255 abcd"])
def test_formats_that_no_set_has_are_not_opened(tmp_path, content):
    (tmp_path / "a.jpg").write_bytes(content)
    for read in (upright_size, read_photograph, read_grey):
        with pytest.raises(InputError, match=r"a\.jpg: not a readable image \(of no known format\)"):
            read(tmp_path / "a.jpg")


def test_names_in_natural_order_and_without_hidden_files(tmp_path):
    for name in ("10.jpg", "2.JPG", "a².png", "b.tiff", ".hidden.jpg", "x.txt", "٣.bmp", "A1.JPEG", " trailing .png"):
        (tmp_path / name).touch()
    found = [path.name for path in find_images(tmp_path).values()]
    assert found == ["2.JPG", "٣.bmp", "10.jpg", " trailing .png", "A1.JPEG", "a².png", "b.tiff"]


@pytest.mark.parametrize(("name", "shown"), [(b"a\xff.jpg", r"a\\udcff.jpg"), (b"a\r.jpg", r"a\\r.jpg")])
def test_a_name_that_is_no_plain_text(tmp_path, name, shown):
    (tmp_path / os.fsdecode(name)).touch()
    with pytest.raises(InputError, match=f"the file name '{shown}' holds a control character or is not UTF-8; rename"):
        find_images(tmp_path)


@given(st.lists(st.text(max_size=8)))
def test_any_names_can_be_ordered(names):
    ordered = sorted(names, key=natural_key)
    assert sorted(ordered) == sorted(names)
    assert all(natural_key(first) <= natural_key(second) for first, second in pairwise(ordered))


def test_a_folder_in_the_place_of_a_photograph(tmp_path):
    (tmp_path / "a.jpg").mkdir()
    photograph(tmp_path / "b.jpg")
    with pytest.raises(InputError, match=r"a\.jpg: not a readable image"):
        upright_size(tmp_path / "a.jpg")


@pytest.mark.parametrize("brightest", [255, 4080])
def test_a_photograph_in_the_lowest_of_sixteen_bits_is_refused(tmp_path, brightest):
    path, ramp = tmp_path / "a.png", np.linspace(0, brightest, 64).astype(np.uint16).reshape(8, 8)
    Image.fromarray(ramp).save(path)
    for read in (read_photograph, lambda path: read_reduced(path, 32)):
        with pytest.raises(InputError, match=f"a.png: 16 bits a channel, and the brightest is {brightest} of 65535"):
            read(path)
    Image.fromarray(ramp * 16 + 15).save(path) if brightest > 255 else Image.fromarray(ramp * 257).save(path)
    assert np.asarray(read_photograph(path)).max() in {254, 255}


def test_a_colour_photograph_in_the_lowest_of_sixteen_bits_is_refused(tmp_path):
    path, values = tmp_path / "a.png", np.full((8, 8, 3), 255 * 4, np.uint16)
    cv2.imwrite(str(path), values)
    with pytest.raises(InputError, match=r"a\.png: 16 bits a channel, and the brightest is 771 of 65535"):
        read_photograph(path)
