"""HiFST's published maps of CUHK-TE-1, from files to Table I, on labels without their photographs."""

import csv
import json
import shutil

import pytest

from components.prepare.build import prepare_set
from tests.report.reader import read
from tests.stages import stage

YAML = "method: HiFST\nrow: hifst\nwhite: in_focus\nresize: none\nsource: the authors' page\n"


def run_stage(module, folder, **options):
    """A stage that succeeds."""
    done = stage(module, folder, **options)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def checkout(shared, root, tmp_path_factory):
    """A folder with the paper's parameters in which the maps are scored and the report is made."""
    folder = tmp_path_factory.mktemp("hifst")
    shutil.copyfile(root / "presets/paper.yaml", folder / "params.yaml")
    shutil.copytree(shared / "real/hifst_cuhk_te1/gt", folder / "raw/cuhk/gt")
    prepare_set("cuhk", folder / "raw/cuhk", folder / "prepared/cuhk", image_size=320, partial=True)
    shutil.copytree(shared / "real/hifst_cuhk_te1/maps", folder / "external/hifst/CUHK-TE-1")
    (folder / "external/hifst/method.yaml").write_text(YAML)
    run_stage("external", folder, external="external", prepared="prepared", out="scores/external")
    paths = {name: name for name in ("prepared", "predictions", "scores", "models")}
    run_stage("report", folder, **paths, teacher="teacher", summary="summary", out="report")
    return folder


def test_the_scores_are_those_of_the_paper(checkout):
    summary = json.loads((checkout / "scores/external/hifst/summary.json").read_text())
    assert list(summary) == ["CUHK-TE-1"]
    scores = summary["CUHK-TE-1"]
    assert (round(scores["mae"], 4), round(scores["f_beta"], 4), scores["images"]) == (0.2228, 0.8030, 100)
    facts = json.loads((checkout / "scores/external/hifst/method.json").read_text())
    expected = {"images": 100, "published_images": 100, "resized": 0, "surplus": 0}
    assert facts["test_sets"] == {"CUHK-TE-1": expected}


def test_table_i_shows_them_and_finds_them_reproduced(checkout):
    page = read((checkout / "report/index.html").read_text(encoding="utf-8"))
    paper, maps, difference = (line[-15:] for line in page.rows["I"]["3"])
    assert paper[:2] == ["0.223", "0.803"]
    assert maps[:3] == ["0.223", "0.803", "0.762"]
    assert difference[:2] == ["0.000✓", "0.000✓"]  # IoU: the paper's 0.743 follows from no rule of its code
    assert page.rows["I"]["3"][1][0] == "published maps"
    assert maps[3:] == ["–"] * 12


def test_the_csv_has_them_in_full(checkout):
    with (checkout / "report/tables.csv").open(newline="", encoding="utf-8") as file:
        lines = [line for line in csv.DictReader(file) if line["table"] == "I" and line["source"] == "published_maps"]
    scored = {
        line["metric"]: float(line["value"]) for line in lines if line["run"] == "external/hifst" and line["value"]
    }
    assert scored == pytest.approx({"MAE": 0.2228, "F_beta": 0.8030, "IoU": 0.762}, abs=5e-4)
