"""Masks as people have them, each with what it means or the one line that refuses it."""

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image

from components.catalog.masks import of_numbers, read_map, read_mask
from components.common.errors import InputError
from pipelines.cli import main

TRUTH = np.zeros((12, 20), bool)
TRUTH[2:9, 5:17] = True
VOC = [0, 0, 0, 128, 0, 0, 0, 128, 0] + [0] * 759


def of(low: float, high: float, dtype: str) -> Image.Image:
    """The truth in two values."""
    return Image.fromarray(np.where(TRUTH, high, low).astype(dtype))


def paletted(low: int, high: int, palette: list[int]) -> Image.Image:
    image = Image.fromarray(np.where(TRUTH, high, low).astype(np.uint8), mode="L")
    image = image.convert("P")
    image.putdata(np.where(TRUTH, high, low).ravel().tolist())
    image.putpalette(palette)
    return image


def with_alpha(mode: str, colour: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> Image.Image:
    return Image.merge("LA", [Image.fromarray(colour), Image.fromarray(alpha)]).convert(mode)


WHITE, FLAT = np.where(TRUTH, 255, 0).astype(np.uint8), np.zeros_like(TRUTH, np.uint8)
ORDINARY = ""
READ: dict[str, tuple[Callable[[], Image.Image], str]] = {
    "8 bits, 0 and 255": (lambda: of(0, 255, "u1"), ORDINARY),
    "8 bits, nearly black and white": (lambda: of(3, 251, "u1"), ORDINARY),
    "1 bit": (lambda: of(0, 255, "u1").convert("1"), ORDINARY),
    "8 bits, 0 and 1": (lambda: of(0, 1, "u1"), "values 0 and 1, 1 is white"),
    "8 bits, 0 and 127": (lambda: of(0, 127, "u1"), "values 0 and 127, 127 is white"),
    "8 bits, 60 and 200": (lambda: of(60, 200, "u1"), "values 60 and 200, 200 is white"),
    "16 bits, 0 and 1": (lambda: of(0, 1, "u2"), "values 0 and 1, 1 is white"),
    "16 bits, 0 and 255": (lambda: of(0, 255, "u2"), "values 0 and 255, 255 is white"),
    "16 bits, 0 and 65535": (lambda: of(0, 65535, "u2"), ORDINARY),
    "palette of VOC, classes 0 and 1": (lambda: paletted(0, 1, VOC), "values 0 and 38, 38 is white"),
    "palette, white first": (lambda: paletted(1, 0, [255] * 3 + [0] * 3), ORDINARY),
    "RGB": (lambda: of(0, 255, "u1").convert("RGB"), ORDINARY),
    "RGB, red on black": (
        lambda: Image.merge("RGB", [of(0, 255, "u1"), of(0, 0, "u1"), of(0, 0, "u1")]),
        "values 0 and 76, 76 is white",
    ),
    "RGBA, opaque": (lambda: with_alpha("RGBA", WHITE, FLAT + 255), ORDINARY),
    "LA, transparency says the opposite": (lambda: with_alpha("LA", WHITE, 255 - WHITE), ORDINARY),
}
FLOATS = {"floats, 0 and 1": (0, 1, ORDINARY), "floats, 0 and 0.5": (0, 0.5, "values 0 and 0.5, 0.5 is white")}
REFUSED = {
    "three values": (
        lambda: Image.fromarray(np.where(TRUTH, 100, 0).astype(np.uint8) + np.eye(12, 20, dtype=np.uint8)),
        "values (0, 1, 100, 101), and 35.0% of its pixels are neither black nor white; expected two values, or at most "
        "5%: is it a mask, and not a photograph or a map?",
    ),
    "0, 1 and 2": (
        lambda: Image.fromarray(TRUTH.astype(np.uint8) + np.eye(12, 20, dtype=np.uint8)),
        "3 values (0, 1, 2), the brightest 0.8% of white; expected black and white (0 and 255), or any two values: "
        "rescale it",
    ),
    "1 and 2": (lambda: of(1, 2, "u1"), "2 values (1, 2), the brightest 0.8% of white; "),
    "classes 0 and 1, 255 for what is neither": (
        lambda: Image.fromarray(np.where(np.eye(12, 20, dtype=bool), 255, TRUTH).astype(np.uint8)),
        "3 values (0, 1, 255), 33.3% of its pixels darker than 10 % of white and yet not 0; are these numbers of class",
    ),
    "classes 0 and 1, 254 for what is neither": (
        lambda: Image.fromarray(np.where(np.eye(12, 20, dtype=bool), 254, TRUTH).astype(np.uint8)),
        "3 values (0, 1, 254), 33.3% of its pixels darker than 10 % of white and yet not 0; are these numbers of class",
    ),
    "undecided pixels": (
        lambda: Image.fromarray(np.where(np.eye(12, 20, dtype=bool), 128, TRUTH * 255).astype(np.uint8)),
        "3 values (0, 128, 255), and 5.0% of its pixels have the one grey 128: a third class, or undecided? Expected "
        "two values: make these pixels black or white",
    ),
    "one value": (lambda: of(1, 1, "u1"), "1 value (1), the brightest 0.4% of white; "),
    "one grey": (lambda: of(127, 127, "u1"), "1 value (127), and 100.0% of its pixels are neither black nor white; "),
    "RGBA, drawn in its transparency": (
        lambda: with_alpha("RGBA", FLAT, WHITE),
        "one colour everywhere, and the picture is in its transparency alone; flatten it onto black, so that white and "
        "black are colours, and save it without an alpha channel",
    ),
    "LA, drawn in its transparency": (lambda: with_alpha("LA", FLAT + 255, WHITE), "one colour everywhere, and "),
}


@pytest.mark.parametrize("name", READ)
def test_two_values_are_two_classes(tmp_path: Path, name: str) -> None:
    make, told = READ[name]
    make().save(tmp_path / "a.png")
    found = read_mask(tmp_path / "a.png", 0.05)
    np.testing.assert_array_equal(found.white, TRUTH)
    assert (found.grey, found.read_as) == (0, told)


@pytest.mark.parametrize("name", FLOATS)
def test_two_floats_are_two_classes(tmp_path: Path, name: str) -> None:
    low, high, told = FLOATS[name]
    of(low, high, "f4").save(tmp_path / "a.tif")
    found = read_mask(tmp_path / "a.tif", 0.05)
    np.testing.assert_array_equal(found.white, TRUTH)
    assert found.read_as == told


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_mask_is_told_by_what_was_seen(tmp_path: Path, name: str) -> None:
    make, told = REFUSED[name]
    make().save(tmp_path / "a.png")
    with pytest.raises(InputError) as error:
        read_mask(tmp_path / "a.png", 0.05)
    assert told in str(error.value)
    assert str(error.value).startswith(f"{tmp_path}/a.png: ")


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (np.where(TRUTH, np.nan, 1).astype(np.float32), "2 values (1, nan); expected values from 0, all of them num"),
        (np.where(TRUTH, np.inf, 0).astype(np.float32), "2 values (0, inf); expected values from 0, all of them num"),
        (np.where(TRUTH, -1, 0).astype(np.int32), "2 values (-1, 0); expected values from 0, all of them numbers"),
        (np.where(TRUTH, 0.5, 0.5).astype(np.float32), "floating-point pixels, expected 8 or 16 bits; save it with"),
        (TRUTH + np.float32(0.5) * np.eye(12, 20, dtype=np.float32), "floating-point pixels, expected 8 or 16 bits"),
    ],
)
def test_what_no_mask_has(tmp_path: Path, values: NDArray[np.float32], told: str) -> None:
    Image.fromarray(values).save(tmp_path / "a.tif")
    with pytest.raises(InputError) as error:
        read_mask(tmp_path / "a.tif", 0.05)
    assert str(error.value).startswith(f"{tmp_path}/a.tif: {told}")


@pytest.mark.parametrize(("high", "readable"), [(1, False), (255, False), (65535, True)])
def test_colours_of_sixteen_bits_a_channel(tmp_path: Path, high: int, readable: bool) -> None:
    """Pillow reads the upper 8 alone."""
    pixels = np.repeat(np.where(TRUTH, high, 0).astype(np.uint16)[..., None], 3, axis=2)
    assert cv2.imwrite(str(tmp_path / "a.png"), pixels)
    if readable:
        np.testing.assert_array_equal(read_mask(tmp_path / "a.png", 0.05).white, TRUTH)
    else:
        with pytest.raises(InputError, match=r"a\.png: colours of 16 bits a channel, of which the upper 8 are read"):
            read_mask(tmp_path / "a.png", 0.05)


@pytest.mark.parametrize(("level", "white", "told"), [(0, False, "all black"), (255, True, ""), (254, True, "")])
def test_one_class_alone(tmp_path: Path, level: int, white: bool, told: str) -> None:
    of(level, level, "u1").save(tmp_path / "a.png")
    found = read_mask(tmp_path / "a.png", 0.05)
    assert (found.white.all(), found.white.any(), found.read_as) == (white, white, told)


def test_a_mask_of_a_lossy_file_is_cut_at_half(tmp_path: Path) -> None:
    soft = WHITE.copy()
    soft[2, 5:9] = [100, 127, 128, 200]
    Image.fromarray(soft).save(tmp_path / "a.png")
    found = read_mask(tmp_path / "a.png", 0.05)
    assert found.white[2, 5:9].tolist() == [False, False, True, True]
    assert (found.grey, found.read_as) == (4 / soft.size, "")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.uint8([[0, 1]]), [[0, 255]]),
        (np.uint16([[0, 1]]), [[0, 255]]),
        (np.uint8([[0, 7]]), [[0, 7]]),  # a map that says little is a map all the same
        (np.uint16([[0, 257, 65535]]), [[0, 1, 255]]),
        (np.uint8([[0, 0]]), [[0, 0]]),
    ],
)
def test_maps(tmp_path: Path, values: NDArray[np.uint16], expected: list[list[int]]) -> None:
    Image.fromarray(values).save(tmp_path / "a.png")
    found = read_map(tmp_path / "a.png", numbers=of_numbers([tmp_path / "a.png"]))
    assert found.levels.tolist() == expected
    assert found.read_as == ("values 0 and 1, 1 is white" if expected == [[0, 255]] else "")


def test_eight_bits_in_sixteen_are_no_map(tmp_path: Path) -> None:
    Image.fromarray(np.uint16([[0, 9, 255]])).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="16 bits a pixel, and the brightest is 255 of 65535; expected 0 to 65535"):
        read_map(tmp_path / "a.png", numbers=False)


def test_a_map_with_little_in_it_among_others_is_one_of_theirs(tmp_path: Path) -> None:
    for name, values in {"0": [[0, 1]], "1": [[0, 200]]}.items():
        Image.fromarray(np.uint8(values)).save(tmp_path / f"{name}.png")
    assert not of_numbers([tmp_path / "0.png", tmp_path / "1.png"])
    assert read_map(tmp_path / "0.png", numbers=False).levels.tolist() == [[0, 1]]


def test_a_heat_map_is_no_map(tmp_path: Path) -> None:
    ramp = np.tile(np.arange(256, dtype=np.uint8), (4, 1))
    cv2.imwrite(str(tmp_path / "a.png"), cv2.applyColorMap(ramp, cv2.COLORMAP_JET))
    with pytest.raises(InputError, match=r"a\.png: in colour, as a heat map is; expected grey levels"):
        read_map(tmp_path / "a.png", numbers=False)
    grey = np.stack([ramp, ramp, np.minimum(ramp, 250)], axis=-1)  # as a JPEG saved in colour
    Image.fromarray(grey).save(tmp_path / "b.png")
    assert np.abs(read_map(tmp_path / "b.png", numbers=False).levels.astype(int) - ramp).max() <= 1


def score(folder: Path) -> tuple[dict[str, float], str]:
    words = ["score", "--maps", str(folder / "maps"), "--labels", str(folder / "labels"), "--json"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout), done.stderr


@pytest.mark.parametrize("name", [name for name in READ if READ[name][1]])
def test_a_perfect_map_scores_as_one_whatever_the_label_is(tmp_path: Path, name: str) -> None:
    for folder in ("maps", "labels"):
        (tmp_path / folder).mkdir()
    of(0, 255, "u1").save(tmp_path / "maps/a.png")
    READ[name][0]().save(tmp_path / "labels/a.png")
    found, said = score(tmp_path)
    assert (found["mae"], found["f_beta"], found["iou"]) == (0, 1, 1)
    assert said == f"{tmp_path}/labels: 1 of 1 read as: {READ[name][1]}\n"


def test_names_that_look_the_same_are_one(tmp_path: Path) -> None:
    for folder, form in (("maps", "NFD"), ("labels", "NFC")):
        (tmp_path / folder).mkdir()
        of(0, 255, "u1").save(tmp_path / folder / (unicodedata.normalize(form, "Café Ångström") + ".png"))
    found, said = score(tmp_path)
    assert (found["mae"], found["images"], said) == (0, 1, "")
