"""Any file names and any content: a set is prepared, or one clear error is raised and nothing is left behind."""

import io
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from components.catalog.sets import find_set
from components.common.errors import InputError
from components.common.names import same_name
from components.datasets.prepared import PreparedSet
from components.prepare.build import prepare_set
from tests.data.conftest import mask, photograph

MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I", "F", "CMYK")
FORMAT = {"CMYK": "tiff", "F": "tiff", "I": "tiff"}
LETTERS = st.sampled_from(
    [*"aA1²٣ßéè.- ;,\"'\n\t\r%&\\", "\N{SNOWMAN}", "\N{COMBINING ACUTE ACCENT}", "\udcff", "\U0001f4f7"]
)
STEMS = st.sampled_from(["a", "A", "1", "é", ".b", "c. "]) | st.text(LETTERS, min_size=1, max_size=6)
SUFFIXES = st.sampled_from([".jpg", ".JPG", ".png", ".Png", ".bmp", ".tif", ".txt", "", ".jpg.png"])


def encode(mode: str, size: tuple[int, int], seed: int, binary: bool) -> bytes:
    """An image of this mode, its values 0 and the largest one, or any."""
    random = np.random.default_rng(seed)
    top = {"I;16": 65535, "I": 65535, "F": 1}.get(mode, 255)
    dtype = {"I;16": np.uint16, "I": np.int32, "F": np.float32}.get(mode, np.uint8)
    values = random.integers(0, 2, size) * top if binary else random.integers(0, top + 1, size)
    image = Image.fromarray(values.astype(dtype))
    encoded = io.BytesIO()
    (image if mode in {"I;16", "I", "F"} else image.convert(mode)).save(encoded, FORMAT.get(mode, "png"))
    return encoded.getvalue()


def damaged(content: bytes, cut: int, place: int, byte: int) -> bytes:
    """`content` with its end cut off and one byte replaced."""
    kept = bytearray(content[: max(0, len(content) - cut)])
    if kept:
        kept[place % len(kept)] = byte
    return bytes(kept)


SIZES = st.tuples(st.integers(1, 24), st.integers(1, 24))
IMAGES = st.builds(encode, st.sampled_from(MODES), st.just((6, 9)) | SIZES, st.integers(0, 99), st.booleans())
DAMAGED = st.builds(damaged, IMAGES, st.sampled_from([0, 0, 1, 13, 40]), st.integers(0, 400), st.integers(0, 255))
CONTENTS = IMAGES | DAMAGED | st.binary(max_size=60)
NAMES = st.builds("".join, st.tuples(STEMS, SUFFIXES))
PHOTOGRAPH, LABEL = encode("RGB", (6, 9), 0, False), encode("L", (6, 9), 0, True)


def files(good: bytes) -> st.SearchStrategy[dict[str, bytes]]:
    """Up to three files of any name, many of which can be read."""
    content = st.one_of(*[st.just(good)] * 12, CONTENTS)
    return st.dictionaries(NAMES, content, max_size=3)


def write(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True)
    for name, content in files.items():
        if "/" not in name and name not in {".", ".."}:
            (folder / name).write_bytes(content)


def prepared_or_refused(name: str, images: dict[str, bytes], labels: dict[str, bytes], partial: bool) -> bool:
    """Prepare a set of these files; whether it went. Nothing else than its folder is left, nor that on an error."""
    with tempfile.TemporaryDirectory() as place:
        raw, out = Path(place) / "raw", Path(place) / "made/out"
        (part, *_) = find_set(name).parts
        write(raw / part.images, images)
        write(raw / part.labels, labels)
        before = sorted(os.listdir(raw / part.images))
        try:
            prepare_set(name, raw, out, image_size=8, partial=partial, workers=1)
        except InputError:
            assert not out.parent.exists() or os.listdir(out.parent) == []
            return False
        assert sorted(os.listdir(raw / part.images)) == before
        assert os.listdir(out.parent) == ["out"]
        data = PreparedSet.load(out)
        stems = {Path(file).stem.casefold() for file in labels}
        assert {row.id.removeprefix("train-") for row in data.rows} <= stems
        for i, row in enumerate(data.rows):
            assert data.full_label(i).mean() == pytest.approx(row.in_focus, abs=1e-6)
            assert (raw / row.label).is_file()
            assert not row.image or (raw / row.image).is_file()
        return True


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(["ctcug", "ebd", "dut"]),
    files(PHOTOGRAPH),
    files(LABEL),
    st.sampled_from([True, True, True, False]),
)
@example("ebd", {"a\n.jpg": PHOTOGRAPH}, {"A\n.png": LABEL}, True)
@example("ebd", {'a",;.jpg': PHOTOGRAPH}, {'A",;.PNG': LABEL}, True)
@example("ctcug", {"²1.jpg": PHOTOGRAPH}, {"²1.png": LABEL, "1²": b""}, True)
def test_any_files(name, images, labels, partial):
    prepared_or_refused(name, images, labels, partial)


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from(["ctcug", "ebd", "dut"]))
def test_any_contents_of_one_pair(data, name):
    size = data.draw(SIZES)
    photographs, labels = (
        st.builds(encode, st.sampled_from(MODES), st.just(size), st.integers(0, 99), binary)
        for binary in (st.booleans(), st.just(True))
    )
    damage = st.builds(
        damaged, photographs | labels, st.sampled_from([0, 1, 13]), st.integers(0, 400), st.integers(0, 255)
    )
    image, label = data.draw(photographs | damage), data.draw(labels | damage)
    prepared_or_refused(name, {"7.jpg": image}, {"7.png": label}, True)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["image", "label"])
def test_which_modes_are_read(mode, kind):
    plain, odd = encode("L", (6, 9), 1, True), encode(mode, (6, 9), 1, True)
    pair = {"image": odd, "label": plain} if kind == "image" else {"image": plain, "label": odd}
    found = prepared_or_refused("ebd", {"7.jpg": pair["image"]}, {"7.png": pair["label"]}, True)
    assert found == ((mode, kind) != ("F", "image")), "two floats are a mask, and no photograph"


def test_names_come_back_from_the_index(tmp_path):
    names = [
        "a b",
        " a",
        'q"',
        "c,d",
        "e\N{COMBINING ACUTE ACCENT}",
        "semi;colon",
        "\N{SNOWMAN}.x",
    ]
    for seed, name in enumerate(names):
        photograph(tmp_path / f"raw/EBD/image/{name}.jpg", seed=seed)
        mask(tmp_path / f"raw/EBD/gt/{name.upper()}.png")
    prepare_set("ebd", tmp_path / "raw", tmp_path / "out", image_size=8, partial=True)
    data = PreparedSet.load(tmp_path / "out")
    assert sorted(data.ids) == sorted(same_name(name) for name in names)
    assert all((tmp_path / "raw" / row.image).is_file() for row in data.rows)
