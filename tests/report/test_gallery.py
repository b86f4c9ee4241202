"""Which photographs are shown, and that the pictures are what they are called."""

import base64
import io

import numpy as np
from PIL import Image

from components.data.maps import MapArchive
from components.data.prepared import PreparedSet
from components.report.datasets import open_sets
from components.report.gallery import LIMIT, gallery, pick, shown_runs
from components.report.records import RunRecord, read_run, scored_test_sets
from tests.report import synthetic


def pixels(source):
    return np.array(Image.open(io.BytesIO(base64.b64decode(source.split(",", 1)[1]))))


def load(root, runs=synthetic.MINIATURE_RUNS):
    records = [read_run(run, root / "scores", root / "models") for run in runs]
    return gallery(open_sets(root / "prepared"), root / "predictions", records, scored_test_sets(records))


def test_extremes_median_and_wide():
    differences = {"a": -0.2, "b": 0.3, "c": 0.0, "d": 0.1, "e": -0.1}
    chosen = pick(differences, {"d", "e"}, ("X", "Y"))
    assert chosen == [
        ("a", "Y at its best against X"),
        ("b", "Y at its worst against X"),
        ("c", "median"),
        ("d", "wide DOF, median"),
    ]


def test_a_photograph_is_shown_once_and_ties_go_by_id():
    assert pick({"b": 0.1, "a": 0.1}, set(), ("X", "X")) == [("a", "lowest MAE of X"), ("b", "highest MAE of X")]


def test_the_choice_follows_the_difference_of_the_pair(experiment):
    runs = {run: read_run(run, experiment / "scores", experiment / "models") for run in ("dffnet", "d_dffnet")}
    before, after = (runs[run].per_image["CTCUG"] for run in ("dffnet", "d_dffnet"))
    difference = {image: after[image]["mae"] - before[image]["mae"] for image in before}
    examples = load(experiment)["CTCUG"]
    assert examples[0].id == min(difference, key=difference.get)
    assert examples[1].id == max(difference, key=difference.get)


def test_pictures_are_the_label_and_the_maps(experiment):
    example = load(experiment)["EBD"][0]
    prepared = PreparedSet.load(experiment / "prepared/ebd")
    index = prepared.ids.index(example.id)
    panels = {panel.name: panel for panel in example.panels}
    assert np.array_equal(pixels(panels["Label"].source), np.array(prepared.labels[index]) * 255)
    with MapArchive(experiment / "predictions/d_dffnet/ebd.zip") as maps:
        assert np.array_equal(pixels(panels["D-DFFNet"].source), maps[example.id])
    photograph = np.array(prepared.images[index]).astype(float)
    assert np.abs(pixels(panels["Photograph"].source) - photograph).mean() < 6  # JPEG


def test_scores_beneath_are_the_images_own(experiment):
    example = load(experiment)["DUT-TE"][1]
    scores = read_run("pdnet", experiment / "scores", experiment / "models").per_image["DUT-TE"][example.id]
    panel = next(panel for panel in example.panels if panel.name == "PDNet")
    assert (panel.mae, panel.iou) == (scores["mae"], scores["iou"])


def test_wide_photographs_are_shown_and_subsets_are_not(experiment):
    found = load(experiment)
    assert "EBD(1305)" not in found
    assert any(example.why == "wide DOF, median" for example in found["EBD"])
    assert sum(len(examples) for examples in found.values()) <= LIMIT


def test_large_pictures_are_made_smaller(tmp_path):
    synthetic.write_experiment(tmp_path, runs=["hifst"], sets={"dut": {"DUT-TE": 2}}, size=400)
    example = load(tmp_path, ["hifst"])["DUT-TE"][0]
    assert [pixels(panel.source).shape[:2] for panel in example.panels] == [(320, 320)] * 3


def test_no_more_than_the_limit(tmp_path):
    sets = {f"set{i}": {f"TEST-{i}": 3} for i in range(9)}
    synthetic.write_experiment(tmp_path, runs=["hifst"], sets=sets, size=16)
    assert [len(examples) for examples in load(tmp_path, ["hifst"]).values()] == [3] * 8
    assert LIMIT == 24


def test_a_set_without_maps_still_shows_photograph_and_label(experiment, tmp_path):
    records = [read_run("dffnet", experiment / "scores", experiment / "models")]
    found = gallery(open_sets(experiment / "prepared"), tmp_path, records, ["CTCUG"])
    assert [panel.name for panel in found["CTCUG"][0].panels] == ["Photograph", "Label"]


def test_at_most_six_runs_the_best_known_first():
    scored = {"EBD": {"a": {"mae": 0.1}}}
    runs = {run: RunRecord(run, per_image=scored) for run in ("hifst", "x", "y", "z", "pdnet", "d_dffnet", "dffnet")}
    assert shown_runs(runs) == ["dffnet", "d_dffnet", "pdnet", "hifst", "x", "y"]
