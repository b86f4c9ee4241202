"""Archives of maps: what goes in comes out, the same bytes every time."""

import io
import zipfile

import numpy as np
import pytest

from components.common.errors import InputError
from components.maps.files import MapArchive, grey, write_maps


def maps(count=4):
    rng = np.random.default_rng(0)
    return [(f"photo{i}", rng.random((10 + i, 20))) for i in range(count)]


def test_maps_come_back_as_half_floats(tmp_path):
    write_maps(tmp_path / "set.zip", maps())
    with MapArchive(tmp_path / "set.zip") as archive:
        assert archive.ids() == ["photo0", "photo1", "photo2", "photo3"]
        for map_id, values in maps():
            assert archive[map_id].dtype == np.float16
            np.testing.assert_array_equal(archive[map_id], values.astype(np.float16))


def test_same_maps_in_any_order_are_the_same_bytes(tmp_path):
    write_maps(tmp_path / "one.zip", maps())
    write_maps(tmp_path / "two.zip", reversed(maps()))
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_members_are_stored_arrays_that_others_can_read(tmp_path):
    write_maps(tmp_path / "set.zip", maps())
    with zipfile.ZipFile(tmp_path / "set.zip") as archive:
        for info in archive.infolist():
            assert info.compress_type == zipfile.ZIP_STORED
            assert info.external_attr >> 16 == 0o644
            assert np.load(io.BytesIO(archive.read(info))).dtype == np.float16


def test_zero_is_stored_without_a_sign(tmp_path):
    write_maps(tmp_path / "set.zip", [("a", np.array([[-0.0, 1.0]]))])
    with MapArchive(tmp_path / "set.zip") as archive:
        assert archive["a"].view(np.uint16).tolist() == [[0, 0x3C00]]


def test_a_picture_of_a_map_by_hand():
    assert grey(np.array([[0.0, 0.2, 0.5, 1.0]], np.float16)).tolist() == [[0, 51, 128, 255]]


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
        pytest.raises(InputError, match=r"no map photo9\.npy among its 4"),
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
    content[220] ^= 0xFF
    (tmp_path / "set.zip").write_bytes(bytes(content))
    with MapArchive(tmp_path / "set.zip") as archive, pytest.raises(InputError, match=r"photo0\.npy is damaged"):
        archive["photo0"]


def test_an_array_that_is_no_map(tmp_path):
    buffer = io.BytesIO()
    np.save(buffer, np.zeros((4, 4), np.uint8))
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("a.npy", buffer.getvalue())
    with (
        MapArchive(tmp_path / "set.zip") as maps_of_run,
        pytest.raises(InputError, match=r"a\.npy is uint8 of shape \(4, 4\), expected float16"),
    ):
        maps_of_run["a"]
