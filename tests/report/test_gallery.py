"""What the gallery's script is told, and that the pictures beside the page are what they are called."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from components.datasets.prepared import PreparedSet
from components.maps.files import MapArchive, grey, write_maps
from components.report.datasets import open_sets
from components.report.gallery import embedded, gallery_data, questions_among
from components.report.records import read_run
from components.report.sheets import MISSING, photographs_of, write_sheets
from tests.report import synthetic


def load(root, runs=synthetic.MINIATURE_RUNS):
    records = [read_run(run, root / "scores", root / "models") for run in runs]
    photographs = photographs_of(open_sets(root / "prepared"), root / "predictions", records)
    return photographs, gallery_data(photographs, records)


@pytest.fixture(scope="module")
def data(experiment):
    return load(experiment)[1]


def tiles(path, side):
    picture = np.array(Image.open(path))
    assert picture.shape[1:] == (side, 3)
    return picture.reshape(-1, side, side, 3)


def test_a_sheet_holds_photograph_label_and_maps_in_their_places(experiment, data):
    prepared = PreparedSet.load(experiment / "prepared/ebd")
    row = 4
    found = tiles(experiment / f"report/gallery/ebd/{row}.jpg", 64)
    places = next(folder["tiles"] for folder in data["folders"] if folder["name"] == "ebd")
    assert len(found) == 2 + len(places)
    with MapArchive(experiment / "predictions/d_dffnet/ebd.zip") as maps:
        expected = [prepared.images[row], prepared.labels[row] * 255, grey(maps[prepared.ids[row]])]
    for place, picture in zip((0, 1, places["d_dffnet"]), expected, strict=True):
        shown = picture if picture.ndim == 3 else picture[..., None]
        assert np.abs(found[place].astype(float) - shown).mean() < 6, place  # JPEG


def test_every_test_photograph_is_there_once_with_the_test_sets_that_have_it(experiment, data):
    photographs = data["photographs"]
    assert data["sets"] == ["CUHK-TE-1", "DUT-TE", "CTCUG", "EBD", "EBD(1305)"]
    assert len(photographs["id"]) == 8 + 7 + 6 + 9
    of = dict(zip(photographs["id"], photographs["sets"], strict=True))
    assert (of["ebd000"], of["ebd008"], of["dut003"]) == ([3, 4], [3], [1])
    dof = dict(zip(photographs["id"], photographs["dof"], strict=True))
    assert (dof["ebd000"], dof["ebd008"]) == (0, 1)
    assert sorted(path.name for path in (experiment / "report/gallery/dut").iterdir()) == [f"{i}.jpg" for i in range(6)]


def test_scores_are_the_photographs_own_in_ten_thousandths(experiment, data):
    scores = read_run("pdnet", experiment / "scores", experiment / "models").per_image["DUT-TE"].loc["dut001"]
    place = data["photographs"]["id"].index("dut001")
    for metric in ("mae", "iou", "mae_edge", "mae_homogeneous_in_focus"):
        assert data["scores"]["pdnet"][metric][place] == round(scores[metric] * 10_000)


def test_what_is_not_scored_has_no_number(experiment):
    record = read_run("pdnet", experiment / "scores", experiment / "models")
    table = record.per_image["CTCUG"].drop("ctcug002")
    table.loc["ctcug003", "mae"] = float("nan")
    photographs = photographs_of(open_sets(experiment / "prepared"), experiment / "predictions", [record])
    known = gallery_data(photographs, [replace(record, per_image={"CTCUG": table})])
    scores = dict(zip(known["photographs"]["id"], known["scores"]["pdnet"]["mae"], strict=True))
    assert {name for name, value in scores.items() if value is not None} == {f"ctcug00{i}" for i in (0, 1, 4, 5, 6)}


def test_ids_of_two_sets_may_be_the_same(tmp_path):
    synthetic.write_experiment(tmp_path, runs=["hifst"], sets={"dut": {"DUT-TE": 2}, "ctcug": {"CTCUG": 2}}, size=16)
    for name in ("dut", "ctcug"):  # both call theirs a and b
        for path in (tmp_path / "prepared" / name / "index.csv", tmp_path / "scores/hifst/per_image.csv"):
            path.write_text(path.read_text().replace(f"{name}000", "a").replace(f"{name}001", "b"))
        with MapArchive(tmp_path / f"predictions/hifst/{name}.zip") as maps:
            pair = [maps[f"{name}000"], maps[f"{name}001"]]
        write_maps(tmp_path / f"predictions/hifst/{name}.zip", zip("ab", pair, strict=True))
    data = load(tmp_path, ["hifst"])[1]
    scores = read_run("hifst", tmp_path / "scores", tmp_path / "models").per_image
    assert data["photographs"]["id"] == ["a", "b", "a", "b"]
    expected = [scores[split].loc[image, "mae"] for split in ("CTCUG", "DUT-TE") for image in "ab"]
    assert data["scores"]["hifst"]["mae"] == [round(value * 10_000) for value in expected]


def test_a_photograph_without_a_map_and_large_ones(tmp_path):
    synthetic.write_experiment(tmp_path, runs=["hifst", "dffnet"], sets={"dut": {"DUT-TE": 2}}, size=400)
    archive = tmp_path / "predictions/dffnet/dut.zip"
    with MapArchive(archive) as maps:
        kept = maps["dut001"]
    write_maps(archive, [("dut001", kept)])
    photographs, _ = load(tmp_path, ["hifst", "dffnet"])
    assert list(write_sheets(tmp_path / "gallery", photographs[0], tmp_path / "predictions")) == [0, 1]
    first = tiles(tmp_path / "gallery/dut/0.jpg", 320)
    assert len(first) == 4
    assert np.all(np.abs(first[3].astype(int) - MISSING) <= 2)
    assert np.abs(tiles(tmp_path / "gallery/dut/1.jpg", 320)[3].astype(int) - MISSING).mean() > 20


def test_without_maps_there_is_no_gallery(experiment, tmp_path):
    records = [read_run("dffnet", experiment / "scores", experiment / "models")]
    assert photographs_of(open_sets(experiment / "prepared"), tmp_path, records) == []


def test_the_papers_questions_take_the_first_pair_that_is_there():
    metrics = ["mae", "mae_edge"]
    asked = {each["key"]: each for each in questions_among(["dffnet", "d_dffnet", "d_dffnet_vgg16"], metrics)}
    assert list(asked) == ["boundaries", "wide", "backbones"]  # nothing is scored on homogeneous regions
    assert (asked["boundaries"]["first"], asked["boundaries"]["second"]) == ("dffnet", "d_dffnet")
    assert (asked["backbones"]["first"], asked["backbones"]["dof"]) == ("d_dffnet_vgg16", "wide")
    more = questions_among(["dffnet", "d_dffnet_bce_bce", "d_dffnet_bce_el", "d_dffnet"], metrics)
    assert (more[0]["first"], more[0]["second"]) == ("d_dffnet_bce_bce", "d_dffnet_bce_el")
    assert questions_among(["dffnet"], metrics) == []


def test_data_cannot_end_the_element_that_holds_it():
    text = str(embedded({"id": "</script><b>"}))
    assert "<" not in text
    assert json.loads(text) == {"id": "</script><b>"}
