"""Published maps scored by hand, and what is left of a method that cannot be scored."""

import json

import numpy as np
import pytest
from PIL import Image

from components.common.availability import Gap
from components.report.records import RunRecord, read_run
from components.scoring.external_maps import FoundMaps
from components.scoring.external_methods import find_methods
from components.scoring.external_scores import found_or_gap, scored_or_gap, write_external
from tests.external import data


def results(root, **changed):
    """Results and methods of everything under `root`."""
    options = {"iou_size": 2, "iou": "pooled", "seen": lambda: None} | changed
    methods = find_methods(root / "external", ["cenet"])
    found = [found_or_gap(each, name, root / "prepared") for each in methods for name in each.folders]
    return methods, [scored_or_gap(each, **options) if isinstance(each, FoundMaps) else each for each in found]


def written(root):
    methods, scored = results(root)
    write_external(root / "out", methods, scored)
    return {each.id: json.loads((root / "out" / each.id / "method.json").read_text()) for each in methods}


def test_scores_by_hand(tmp_path):
    data.prepared(tmp_path / "prepared")
    data.method(tmp_path / "external")
    done = []
    _, (result,) = results(tmp_path, seen=lambda: done.append(1))
    (scores,) = result.scores
    assert (scores.name, scores.ids, len(done)) == ("CTCUG", ["ctcug000", "ctcug001"], 2)
    assert [each.mae for each in scores.counts] == pytest.approx(list(data.MAE.values()))
    assert scores.scores["iou"] == pytest.approx(data.IOU_POOLED)
    assert scores.scores["images"] == 2


def test_the_declared_polarity_is_used(tmp_path):
    data.prepared(tmp_path / "prepared")
    data.method(tmp_path / "external", white="out_of_focus")
    _, (result,) = results(tmp_path)
    assert [each.mae for each in result.scores[0].counts] == pytest.approx([1 - mae for mae in data.MAE.values()])


@pytest.mark.parametrize(("resize", "mae"), [("nearest", 0.0), ("bilinear", (64 / 255 + 64 / 255) / 4)])
def test_maps_are_resized_as_declared(tmp_path, resize, mae):
    data.prepared(tmp_path / "prepared")
    data.method(tmp_path / "external", resize=resize)
    small = np.array([[255, 0], [255, 0]], dtype=np.uint8)
    Image.fromarray(small).save(tmp_path / "external/mine/CTCUG/a.png")
    _, (result,) = results(tmp_path)
    assert result.scores[0].counts[0].mae == pytest.approx(mae, abs=1e-3)  # bilinear: 255, 191, 64, 0
    assert result.resized == 1


def test_the_maps_of_ebd_are_those_of_its_shallow_part_too(tmp_path):
    data.prepared(tmp_path / "prepared", name="ebd", test_set="EBD", part="EBD(1305)")
    data.method(tmp_path / "external", test_set="EBD")
    _, (result,) = results(tmp_path)
    whole, part = result.scores
    assert (whole.name, whole.ids, part.name, part.ids) == ("EBD", ["ebd000", "ebd001"], "EBD(1305)", ["ebd000"])
    assert part.scores["mae"] == 0
    # at 2 x 2 every other column is left, and there b is right too
    assert whole.scores["iou"] == 1.0
    _, (full,) = results(tmp_path, iou_size=None)
    assert full.scores[0].scores["iou"] == pytest.approx(data.IOU_POOLED)


def test_a_map_that_is_damaged_inside_is_the_reason_and_the_others_go_on(tmp_path):
    data.prepared(tmp_path / "prepared")
    data.prepared(tmp_path / "prepared", name="ebd", test_set="EBD", part="EBD(1305)")
    data.method(tmp_path / "external")
    data.method(tmp_path / "external", folder="other", test_set="EBD")
    noise = np.random.default_rng(0).integers(0, 256, (2, 4), dtype=np.uint8)
    path = tmp_path / "external/mine/CTCUG/b.png"
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:-30])
    facts = written(tmp_path)
    gap = facts["mine"]["test_sets"]["CTCUG"]["gap"]
    assert gap["what"] == "Some method on CTCUG"
    assert gap["reason"].startswith(f"{path}: not a readable image")
    assert gap["remedy"] == "get the file again, or take it away"
    assert sorted(each.name for each in (tmp_path / "out/mine").iterdir()) == ["method.json"]
    assert facts["other"]["test_sets"] == {
        "EBD": {"images": 2, "published_images": 1605, "resized": 0, "surplus": 0},
        "EBD(1305)": {"images": 1, "published_images": 1305, "resized": 0, "surplus": 0},
    }


def test_a_method_is_read_as_a_run_is(tmp_path):
    data.prepared(tmp_path / "prepared")
    data.method(tmp_path / "external")
    facts = written(tmp_path)["mine"]
    assert {key: facts[key] for key in ("method", "row", "white", "resize", "source")} == {
        "method": "Some method",
        "row": "cenet",
        "white": "in_focus",
        "resize": "none",
        "source": "its authors' page",
    }
    record = read_run("mine", tmp_path / "out", tmp_path / "models")
    assert record.value("CTCUG", "MAE") == pytest.approx(sum(data.MAE.values()) / 2)
    assert record.per_image["CTCUG"].loc["ctcug001", "mae"] == pytest.approx(data.MAE["b"])
    assert record.curves["CTCUG"].shape == (256, 2)
    assert json.loads((tmp_path / "out/index.json").read_text()) == {"methods": ["mine"]}


def test_no_methods_leave_an_empty_index(tmp_path):
    write_external(tmp_path / "out", [], [])
    assert [each.name for each in (tmp_path / "out").iterdir()] == ["index.json"]
    assert json.loads((tmp_path / "out/index.json").read_text()) == {"methods": []}
    assert read_run("mine", tmp_path / "out", tmp_path) == RunRecord("mine")


def test_why_a_set_is_missing_is_the_sets_own_reason(tmp_path):
    from components.common.availability import mark

    gap = Gap("CTCUG", "no public link is known", "ask its authors")
    mark(tmp_path / "prepared/ctcug", gap)
    data.method(tmp_path / "external")
    stated = written(tmp_path)["mine"]["test_sets"]["CTCUG"]["gap"]
    assert Gap(**stated) == gap
