"""Stage `external` as `dvc.yaml` starts it."""

import json
import shutil

import pytest

from tests.external import data
from tests.stages import stage


@pytest.fixture
def checkout(root, tmp_path):
    """A folder with a params file, two prepared photographs of CTCUG, and a method's maps of them."""
    shutil.copyfile(root / "presets/smoke.yaml", tmp_path / "params.yaml")
    data.prepared(tmp_path / "prepared")
    data.method(tmp_path / "external")
    return tmp_path


def external(folder):
    """Run the stage; its process when it has ended."""
    return stage("external", folder, external="external", prepared="prepared", out="scores/external")


def test_what_can_be_scored_is_and_the_rest_is_said(checkout):
    data.method(checkout / "external", folder="half")
    (checkout / "external/half/CTCUG/a.png").unlink()
    done = external(checkout)
    assert done.returncode == 0, done.stderr
    assert "external: " in done.stderr  # how far it is
    assert "2/2 maps" in done.stderr
    summary = json.loads((checkout / "scores/external/mine/summary.json").read_text())
    assert summary["CTCUG"]["mae"] == pytest.approx(sum(data.MAE.values()) / 2)
    half = json.loads((checkout / "scores/external/half/method.json").read_text())
    assert half["test_sets"]["CTCUG"]["gap"]["reason"] == "external/half/CTCUG: 1 map (a) missing"
    assert not (checkout / "scores/external/half/summary.json").exists()


def test_a_wrong_file_is_one_message_and_the_old_scores_stay(checkout):
    (checkout / "scores/external").mkdir(parents=True)
    path = checkout / "external/mine/method.yaml"
    path.write_text(path.read_text().replace("cenet", "cnet"))
    done = external(checkout)
    assert done.returncode == 2
    assert (
        done.stderr.strip().splitlines()[-1].startswith("error: external/mine/method.yaml: `row` is 'cnet', expected")
    )
    assert "Traceback" not in done.stderr
    assert list((checkout / "scores").iterdir()) == [checkout / "scores/external"]
    assert list((checkout / "scores/external").iterdir()) == []


def test_nothing_to_score_leaves_an_index(checkout):
    shutil.rmtree(checkout / "external/mine")
    assert external(checkout).returncode == 0
    assert json.loads((checkout / "scores/external/index.json").read_text()) == {"methods": []}
