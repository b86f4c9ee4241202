"""Scores of maps on test sets, by hand and on published maps."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from components.common.errors import InputError
from components.datasets.prepared import IndexRow, PreparedSet
from components.maps.files import MapArchive, write_maps
from components.scoring.evaluation import SetScores, resize_map, score_pairs, score_set, write_scores
from pipelines.cli import main


def array(rows: list[list[int]]) -> np.ndarray:
    return np.array(rows, dtype=np.uint8)


LABELS = {  # 1 = in focus
    "a": array([[1, 0], [0, 0]]),
    "b": array([[1, 1, 0, 0], [1, 1, 0, 0]]),
    "c": array([[1, 1], [1, 1]]),
}
MAPS = {  # 255 = in focus
    "a": array([[255, 0], [0, 255]]),
    "b": array([[255, 51]]),
    "c": array([[0, 0], [0, 0]]),
}


def prepared(labels: dict[str, np.ndarray]) -> PreparedSet:
    rows, packed, offset = [], [], 0
    for name, label in labels.items():
        rows.append(IndexRow(name, f"{name}.jpg", f"{name}.png", *label.shape, offset, "", ("EBD",), 0.5))
        packed.append(np.packbits(label))
        offset += len(packed[-1])
    none = np.zeros((len(rows), 2, 2), np.uint8)
    images = none[..., None].repeat(3, -1)
    return PreparedSet(Path("ebd"), "ebd", tuple(rows), images, none, np.concatenate(packed), None, ("EBD",))


def scored(maps=MAPS.__getitem__, labels=LABELS, tests=None, **changed) -> list[SetScores]:
    tests = {"EBD": [0, 1, 2], "EBD(1305)": [0, 1]} if tests is None else tests
    rows = {name: np.array(each, dtype=np.int64) for name, each in tests.items()}
    options = {"upsample": "nearest", "iou_size": None, "iou": "pooled"} | changed
    return list(score_set(maps, prepared(labels), rows, **options))


F_A = 1.3 * 2 / (0.3 * 3 + 2)  # two of three blurred pixels found, nothing else


def test_overlapping_test_sets_by_hand() -> None:
    asked: list[str] = []

    def maps(name: str) -> np.ndarray:
        asked.append(name)
        return MAPS[name]

    whole, part = scored(maps, tests={"EBD": [0, 1, 2], "none": [], "EBD(1305)": [0, 1]})
    assert asked == ["a", "b", "c"]  # each once, though a and b are in both
    assert (whole.name, whole.ids, part.name, part.ids) == ("EBD", ["a", "b", "c"], "EBD(1305)", ["a", "b"])
    # mae: a 1 of 4 pixels, b 0.2 on its blurred half, c everywhere
    assert [counts.mae for counts in whole.counts] == pytest.approx([0.25, 0.1, 1.0])
    assert [counts.f_beta for counts in whole.counts] == pytest.approx([F_A, 1.0, 0.0])
    assert whole.scores["mae"] == pytest.approx(1.35 / 3)
    assert whole.scores["f_beta"] == pytest.approx((F_A + 1) / 3)
    assert whole.scores["iou"] == pytest.approx((2 + 4 + 0) / (3 + 4 + 4))
    assert part.scores == pytest.approx(
        {
            "mae": 0.175,
            "f_beta": (F_A + 1) / 2,
            "f_beta_published": (F_A + 1) / 2,
            "f_beta_max": (F_A + 1) / 2,
            "iou": 6 / 7,
            "images": 2,
        }
    )


def test_curves_are_means_over_images() -> None:
    (part,) = scored(tests={"EBD(1305)": [0, 1]})
    # blurred: 255 - map >= t. At t = 0 everything is called blurred: precision is the blurred share, 3/4 and 1/2
    assert part.precision[[0, 1, 204, 205]] == pytest.approx([0.625, 1.0, 1.0, 1.0])
    assert part.recall[[0, 1, 204, 205, 255]] == pytest.approx([1.0, 5 / 6, 5 / 6, 1 / 3, 1 / 3])


def test_iou_per_image() -> None:
    assert [each.scores["iou"] for each in scored(iou="per_image")] == pytest.approx([(2 / 3 + 1) / 3, (2 / 3 + 1) / 2])


def test_iou_at_another_size_by_hand() -> None:
    """Every second column of the label vanishes at half its size, by nearest neighbour."""
    label, found = {"a": array([[0, 1, 0, 1]] * 4)}, {"a": array([[0] * 4] * 4)}
    (full,) = scored(found.__getitem__, label, {"EBD": [0]})
    (small,) = scored(found.__getitem__, label, {"EBD": [0]}, iou_size=2)
    assert (full.scores["iou"], small.scores["iou"]) == (0.5, 1.0)
    assert full.scores | {"iou": 1.0} == small.scores  # the other scores are those of the full size


def test_upsampling_by_hand() -> None:
    grey = array([[0, 255]])
    assert resize_map(grey, (2, 4), "nearest").tolist() == [[0, 0, 255, 255]] * 2
    # corners not aligned: the four pixels lie at -0.25, 0.25, 0.75 and 1.25 between the two
    assert resize_map(grey, (1, 4), "bilinear").tolist() == [[0, 64, 191, 255]]
    assert resize_map(grey, (1, 2), "bilinear") is grey
    half = np.array([[0, 1]], np.float16)
    assert resize_map(half, (2, 4), "nearest").tolist() == [[0, 0, 1, 1]] * 2
    assert resize_map(half, (1, 4), "bilinear").tolist() == [[0, 0.25, 0.75, 1]]
    assert {resize_map(half, (3, 3), upsample).dtype for upsample in ("nearest", "bilinear")} == {half.dtype}


def test_a_map_of_network_size_goes_through_full_size_before_its_iou() -> None:
    """A map of 3 at a label of 4 and back at 3: pixels 0, 0, 1, 2 and then 0, 0, 1, so that its last one is lost."""
    label, found = {"a": array([[0, 0, 1, 1]] * 4)}, {"a": np.array([[0, 1, 0]] * 3, np.float16)}
    (each,) = scored(found.__getitem__, label, {"EBD": [0]}, iou_size=3)
    assert each.iou_counts[0].overlap == (6, 6)  # 0, 0, 1 on both sides; the map as it is would give (3, 9)
    assert each.counts[0].overlap == (8, 12)


def test_upsampling_matters_to_the_scores() -> None:
    scores = {}
    for upsample in ("nearest", "bilinear"):
        (each,) = scored(tests={"EBD": [1]}, upsample=upsample)
        scores[upsample] = each.scores["mae"]
    # bilinear: 255, 204, 102, 51 against 255, 255, 0, 0
    assert scores == pytest.approx({"nearest": 0.1, "bilinear": (0 + 51 + 102 + 51) / 255 / 4})


def test_a_map_that_is_missing_is_named(tmp_path: Path) -> None:
    write_maps(tmp_path / "ebd.zip", [(name, MAPS[name] / 255) for name in ("a", "c")])
    with (
        MapArchive(tmp_path / "ebd.zip") as maps,
        pytest.raises(InputError, match=rf"{tmp_path}/ebd\.zip: no map b\.npy among its 2; predict again"),
    ):
        scored(maps.__getitem__)


def test_what_is_written_is_what_was_scored(tmp_path: Path) -> None:
    whole, part = scored()
    write_scores(tmp_path / "run", [whole, part])
    assert json.loads((tmp_path / "run/summary.json").read_text()) == {
        each.name: each.scores | {"interval": {key: list(ends) for key, ends in each.intervals.items()}}
        for each in (whole, part)
    }
    images = read(tmp_path / "run/per_image.csv")
    assert [(row["test_set"], row["id"]) for row in images] == [
        ("EBD", "a"), ("EBD", "b"), ("EBD", "c"), ("EBD(1305)", "a"), ("EBD(1305)", "b")
    ]  # fmt: skip
    assert [float(row["mae"]) for row in images] == pytest.approx([0.25, 0.1, 1.0, 0.25, 0.1], abs=1e-8)
    assert [float(row["iou"]) for row in images] == pytest.approx([2 / 3, 1, 0, 2 / 3, 1], abs=1e-8)
    assert [float(row["f_beta"]) for row in images] == pytest.approx([F_A, 1, 0, F_A, 1], abs=1e-8)
    assert [(row["iou_intersection"], row["iou_union"]) for row in images[:3]] == [("2", "3"), ("4", "4"), ("0", "4")]
    curves = read(tmp_path / "run/curves.csv")
    assert [(row["test_set"], int(row["threshold"])) for row in curves] == [
        (name, threshold) for name in ("EBD", "EBD(1305)") for threshold in range(256)
    ]
    assert [float(row["recall"]) for row in curves[256:]] == pytest.approx(part.recall.tolist(), abs=1e-8)
    assert [float(row["precision"]) for row in curves[:256]] == pytest.approx(whole.precision.tolist(), abs=1e-8)


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_nothing_to_score_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"{tmp_path}/run: no test set has any image"):
        write_scores(tmp_path / "run", scored(tests={"EBD": []}))
    assert list(tmp_path.iterdir()) == []


def test_pairs_by_hand() -> None:
    pairs = [("a", MAPS["a"], LABELS["a"]), ("c", MAPS["c"], LABELS["c"])]
    assert score_pairs(pairs, resize=False, iou="pooled") == pytest.approx(
        {"mae": 0.625, "f_beta": F_A / 2, "f_beta_published": F_A / 2, "f_beta_max": F_A / 2, "iou": 2 / 7, "images": 2}
    )


def test_pairs_of_two_sizes() -> None:
    pair = ("maps/b.png", MAPS["b"], LABELS["b"])
    with pytest.raises(InputError, match=r"^maps/b\.png: map of 2x1 and label of 4x2 differ .*--resize"):
        score_pairs([pair], resize=False, iou="pooled")
    assert score_pairs([pair], resize=True, iou="pooled")["mae"] == pytest.approx((51 + 102 + 51) / 255 / 4)


@pytest.fixture(scope="module")
def published(shared: Path) -> list[str]:
    """How the published HiFST maps of CUHK-TE-1 are scored; Table I has MAE 0.223 and F-beta 0.803."""
    folder = shared / "real" / "hifst_cuhk_te1"
    options = ["--maps", str(folder / "maps"), "--labels", str(folder / "gt"), "--maps-positive", "focus"]
    return ["score", *options, "--labels-positive", "blur", "--json"]


HIFST = {"mae": 0.2228, "f_beta": 0.8030, "iou": 0.762, "images": 100}


def rounded(printed: str) -> dict[str, float]:
    scores = json.loads(printed)
    return {name: round(scores[name], 3 if name == "iou" else 4) for name in HIFST}


def test_published_maps_give_the_published_scores(published: list[str]) -> None:
    result = CliRunner().invoke(main, published)
    assert result.exit_code == 0
    assert rounded(result.stdout) == HIFST


def test_the_installed_command_gives_them_too(published: list[str]) -> None:
    command = Path(sys.executable).with_name("dbdflow")
    done = subprocess.run([command, *published], capture_output=True, text=True, check=True)
    assert rounded(done.stdout) == HIFST
    assert done.stderr == ""


def test_the_wrong_polarity_is_not_scored_alike(published: list[str]) -> None:
    swapped = ["focus" if word == "blur" else word for word in published]
    result = CliRunner().invoke(main, swapped)
    assert json.loads(result.stdout)["mae"] > 0.7
