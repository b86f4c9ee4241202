"""Archives of maps: what goes in comes out, the same bytes every time."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from components.data.maps import MapArchive, write_maps
from components.errors import InputError


def maps(count=4):
    rng = np.random.default_rng(0)
    return [(f"photo{i}", rng.integers(0, 256, (10 + i, 20), dtype=np.uint8)) for i in range(count)]


def test_maps_come_back_bit_for_bit(tmp_path):
    write_maps(tmp_path / "set.zip", maps())
    with MapArchive(tmp_path / "set.zip") as archive:
        assert archive.ids() == ["photo0", "photo1", "photo2", "photo3"]
        for map_id, values in maps():
            assert np.array_equal(archive[map_id], values)


def test_same_maps_in_any_order_are_the_same_bytes(tmp_path):
    write_maps(tmp_path / "one.zip", maps())
    write_maps(tmp_path / "two.zip", reversed(maps()))
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_members_are_stored_grey_png_files_that_others_can_read(tmp_path):
    write_maps(tmp_path / "set.zip", maps())
    with zipfile.ZipFile(tmp_path / "set.zip") as archive:
        for info in archive.infolist():
            assert info.compress_type == zipfile.ZIP_STORED
            assert info.external_attr >> 16 == 0o644
            with Image.open(io.BytesIO(archive.read(info))) as image:
                assert (image.format, image.mode) == ("PNG", "L")


def test_a_failure_leaves_no_archive(tmp_path):
    def broken():
        yield maps()[0]
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError):
        write_maps(tmp_path / "set.zip", broken())
    assert list(tmp_path.iterdir()) == []


def test_missing_archive_and_missing_map(tmp_path):
    with pytest.raises(InputError, match=r"set\.zip: no such file"):
        MapArchive(tmp_path / "set.zip")
    write_maps(tmp_path / "set.zip", maps())
    with (
        MapArchive(tmp_path / "set.zip") as archive,
        pytest.raises(InputError, match=r"no map photo9\.png among its 4"),
    ):
        archive["photo9"]


@pytest.mark.parametrize("content", [b"", b"<html></html>"])
def test_file_that_is_no_archive(tmp_path, content):
    (tmp_path / "set.zip").write_bytes(content)
    with pytest.raises(InputError, match=r"set\.zip: not a readable ZIP archive"):
        MapArchive(tmp_path / "set.zip")


def test_damaged_map(tmp_path):
    write_maps(tmp_path / "set.zip", maps(1))
    content = bytearray((tmp_path / "set.zip").read_bytes())
    content[120] ^= 0xFF
    (tmp_path / "set.zip").write_bytes(bytes(content))
    with MapArchive(tmp_path / "set.zip") as archive, pytest.raises(InputError, match=r"photo0\.png is damaged"):
        archive["photo0"]


def test_map_that_is_not_grey(tmp_path):
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, format="PNG")
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("a.png", buffer.getvalue())
    with MapArchive(tmp_path / "set.zip") as maps_of_run, pytest.raises(InputError, match=r"a\.png is RGB, expected"):
        maps_of_run["a"]
