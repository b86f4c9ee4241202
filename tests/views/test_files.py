"""Pictures beside a map as files: ours as long as nobody changed them, in the photograph's colours."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from components.views.files import VIEWS, encode_thumbnail, is_made, places_of, read_coloured

PHOTO = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
HALF = np.repeat(np.repeat(np.uint8([[255, 0]]), 40, axis=0), 30, axis=1)
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def decoded(file: bytes) -> Image.Image:
    return Image.open(io.BytesIO(file))


def test_where_files_go() -> None:
    assert places_of("a.b", Path("maps"), ["overlay", "cut-out", "blur", "thumbnail"]) == {
        "map": Path("maps/a.b.png"),
        "overlay": Path("maps/overlay/a.b.jpg"),
        "cut-out": Path("maps/cut-out/a.b.png"),
        "blur": Path("maps/blur/a.b.jpg"),
        "thumbnail": Path("maps/.predict/thumbnails/a.b.jpg"),
    }


@pytest.mark.parametrize(("name", "mode"), [("overlay", "RGB"), ("cut-out", "RGBA"), ("blur", "RGB")])
def test_a_view_has_the_photographs_size_and_colours(name: str, mode: str) -> None:
    image = decoded(VIEWS[name].encode(PHOTO, HALF, "a.jpg", PROFILE))
    assert (image.mode, image.size, image.info["icc_profile"]) == (mode, (60, 40), PROFILE)
    kept = np.asarray(image)[:, :25, :3].astype(int)
    assert np.abs(kept - PHOTO[:, :25]).mean() < 6  # what is in focus stays


def test_the_opacity_of_a_cut_out_is_the_map() -> None:
    assert np.array_equal(np.asarray(decoded(VIEWS["cut-out"].encode(PHOTO, HALF, "a.jpg", b"")))[..., 3], HALF)


def test_a_thumbnail_is_the_photograph_and_its_map_beside() -> None:
    large = np.full((1000, 1600, 3), (200, 100, 50), np.uint8)
    levels = np.zeros((1000, 1600), np.uint8)
    levels[:, :800] = 255
    found = np.asarray(decoded(encode_thumbnail(large, levels, "a.jpg", b""))).astype(int)
    assert found.shape == (200, 640, 3)
    assert np.abs(found[:, 10:310] - (200, 100, 50)).max() < 4
    assert found[:, 330:470].min() > 250
    assert found[:, 490:].max() < 5
    reduced = np.full((500, 800, 3), 9, np.uint8)  # as a large JPEG is read
    assert decoded(encode_thumbnail(reduced, levels, "a.jpg", b"")).size == (640, 200)
    assert decoded(encode_thumbnail(PHOTO[:1, :1], HALF[:1, :1], "a.jpg", b"")).size == (2, 1)


@pytest.mark.parametrize("name", VIEWS)
def test_a_file_is_ours_until_a_byte_changes(name: str, tmp_path: Path) -> None:
    view = VIEWS[name]
    path = tmp_path / f"a{view.suffix}"
    file = view.encode(PHOTO, HALF, "á.jpg", PROFILE)
    path.write_bytes(file)
    assert is_made(path, "á.jpg")
    assert not is_made(path, "a.png")  # of another photograph
    for place in (len(file) // 2, -20):
        changed = bytearray(file)
        changed[place] ^= 1
        path.write_bytes(changed)
        assert not is_made(path, "á.jpg"), place
    Image.fromarray(PHOTO).save(path)
    assert not is_made(path, "á.jpg")
    for other in (b"", b"\xff\xd8", b"text"):
        path.write_bytes(other)
        assert not is_made(path, "á.jpg")
    assert not is_made(tmp_path / f"none{view.suffix}", "á.jpg")


def test_a_photograph_is_read_upright_with_its_profile_where_that_is_of_rgb(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    image = Image.fromarray(PHOTO)
    image.save(tmp_path / "a.png", exif=exif, icc_profile=PROFILE)
    pixels, profile = read_coloured(tmp_path / "a.png")
    assert np.array_equal(pixels, np.rot90(PHOTO, -1))
    assert profile == PROFILE
    image.convert("CMYK").save(tmp_path / "b.jpg", icc_profile=PROFILE[:16] + b"CMYK" + PROFILE[20:])
    image.save(tmp_path / "c.png")
    for name in ("b.jpg", "c.png"):
        assert read_coloured(tmp_path / name)[1] == b""
