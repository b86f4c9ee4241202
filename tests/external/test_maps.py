"""Which maps belong to which labels, their sizes, and what their files say: 255 = in focus once read."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from components.catalog.masks import of_numbers
from components.common.availability import Gap, NotAvailableError, mark
from components.common.errors import InputError
from components.scoring.external_maps import FoundMaps, find_maps, name_some
from components.scoring.external_methods import find_methods
from tests.external import data


@pytest.fixture
def method(tmp_path):
    """Finds the only method again after its folder was changed."""
    data.prepared(tmp_path / "prepared")
    data.method(tmp_path / "external")
    return lambda: find_methods(tmp_path / "external", ["cenet"])[0]


def found(method, tmp_path):
    return find_maps(method(), "CTCUG", tmp_path / "prepared")


def rewrite(tmp_path, **changed):
    path = tmp_path / "external/mine/method.yaml"
    text = path.read_text()
    for key, value in changed.items():
        text = "".join(f"{key}: {value}\n" if line.startswith(key) else f"{line}\n" for line in text.splitlines())
    path.write_text(text)


def test_maps_are_matched_by_stem_whatever_their_case_and_suffix(tmp_path, method):
    maps = tmp_path / "external/mine/CTCUG"
    (maps / "a.png").rename(maps / "A.PNG")
    Image.fromarray(data.MAPS["b"]).save(maps / "b.bmp")
    (maps / "b.png").unlink()
    Image.fromarray(data.MAPS["b"]).save(maps / "c.png")
    each = found(method, tmp_path)
    assert each.paths == {"ctcug000": maps / "A.PNG", "ctcug001": maps / "b.bmp"}
    assert (each.surplus, each.resized, list(each.rows)) == (1, 0, [0, 1])


def test_missing_maps_are_named(tmp_path, method):
    (tmp_path / "external/mine/CTCUG/b.png").unlink()
    with pytest.raises(InputError, match=r"mine/CTCUG: 1 map \(b\) missing; add what is missing"):
        found(method, tmp_path)


def test_a_map_of_another_size_is_named_or_resized_as_declared(tmp_path, method):
    Image.fromarray(data.MAPS["b"][:, :2]).save(tmp_path / "external/mine/CTCUG/b.png")
    with pytest.raises(
        InputError, match=r"mine/CTCUG: 1 map \(b\.png: 2x2, label 4x2\) of another size than the label"
    ):
        found(method, tmp_path)
    rewrite(tmp_path, resize="nearest")
    assert found(method, tmp_path).resized == 1


def test_what_is_no_image_is_named(tmp_path, method):
    (tmp_path / "external/mine/CTCUG/b.png").write_bytes(b"<html>")
    with pytest.raises(InputError, match=r"mine/CTCUG/b\.png: not a readable image"):
        found(method, tmp_path)


def test_two_maps_of_one_photograph_are_refused(tmp_path, method):
    Image.fromarray(data.MAPS["b"]).save(tmp_path / "external/mine/CTCUG/B.bmp")
    with pytest.raises(InputError, match=r"b\.png: has the same stem as B\.bmp"):
        found(method, tmp_path)


def test_a_prepared_set_that_is_not_available_gives_its_own_reason(tmp_path, method):
    gap = Gap("CTCUG", "no public link is known", "ask its authors")
    mark(tmp_path / "prepared/ctcug", gap)
    with pytest.raises(NotAvailableError) as told:
        found(method, tmp_path)
    assert told.value.gap == gap


def test_rendered_photographs_are_not_those_of_published_maps(tmp_path, method):
    np.save(tmp_path / "prepared/ctcug/depth.npy", np.zeros((2, 2, 4), np.float16))
    with pytest.raises(NotAvailableError, match="rendered stand-in, whose photographs are not those of published maps"):
        found(method, tmp_path)


def test_a_test_set_without_labels_is_not_available(tmp_path):
    data.prepared(tmp_path / "prepared", name="cuhk", test_set="CUHK-TE-1", part="CUHK-TE-2")
    data.method(tmp_path / "external", test_set="CUHK-TE-2")
    index = tmp_path / "prepared/cuhk/index.csv"
    index.write_text(index.read_text().replace(";CUHK-TE-2", ""))
    (method,) = find_methods(tmp_path / "external", ["cenet"])
    with pytest.raises(NotAvailableError, match="has no label of CUHK-TE-2"):
        find_maps(method, "CUHK-TE-2", tmp_path / "prepared")


VALUES = np.array([[0, 51, 128, 255]], dtype=np.uint8)


def read_map(path, white):
    """The map at `path` as one of a method's."""
    method = SimpleNamespace(white=white)
    return FoundMaps(method, "DUT", None, None, {"1": path}, 0, 0, numbers=of_numbers([path])).read("1")


@pytest.mark.parametrize(
    "image",
    [
        Image.fromarray(VALUES),
        Image.fromarray(VALUES).convert("RGB"),
        Image.fromarray(np.stack([VALUES] * 3 + [np.uint8([[0, 255, 7, 9]])], axis=-1)),  # alpha says nothing
        Image.fromarray(np.stack([VALUES, np.uint8([[0, 255, 7, 9]])], axis=-1)),
        Image.fromarray(VALUES).convert("P"),
        Image.fromarray(VALUES.astype(np.uint16) * 257),
    ],
    ids=["grey", "colour", "RGBA", "grey with alpha", "palette", "16 bits"],
)
def test_a_map_is_read_whatever_its_mode(tmp_path, image):
    path = tmp_path / "map.png"
    image.save(path)
    assert read_map(path, "in_focus").tolist() == VALUES.tolist()
    assert read_map(path, "out_of_focus").tolist() == (255 - VALUES).tolist()


def test_a_black_and_white_map_is_read(tmp_path):
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "map.bmp")
    assert read_map(tmp_path / "map.bmp", "in_focus").tolist() == [[255, 0]]


def test_an_image_of_floats_is_refused(tmp_path):
    Image.fromarray(np.float32([[0.5, 1.0]])).save(tmp_path / "map.tiff")
    with pytest.raises(InputError, match=r"map\.tiff: floating-point pixels, expected"):
        read_map(tmp_path / "map.tiff", "in_focus")


def test_names_are_few():
    assert name_some(["1"], "map") == "1 map (1)"
    assert name_some(list("12345"), "map") == "5 maps (1, 2, 3 and 2 more)"
