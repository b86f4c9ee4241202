"""A page of real photographs that lacks some, with the authors' weights and published maps beside ours."""

import csv
import io
import json

import pytest

from components.report.page import build_report
from tests.report import synthetic
from tests.report.reader import read


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    root = tmp_path_factory.mktemp("every_case")
    runs = synthetic.write_every_case(root)
    build_report(**synthetic.arguments(root, name="paper", runs=runs))
    return root


@pytest.fixture(scope="module")
def page(built):
    return read((built / "report/index.html").read_text(encoding="utf-8"))


def other_name(built, tmp_path):
    runs = synthetic.write_every_case(tmp_path)
    build_report(**synthetic.arguments(tmp_path, name="mine", runs=runs))
    return read((tmp_path / "report/index.html").read_text(encoding="utf-8"))


def whose(page, row):
    return [line[0] if i else line[1] for i, line in enumerate(page.rows["I"][row])]


def test_there_is_no_banner(built, page):
    assert "comparable with" not in "".join(page.text)
    assert "NOT" not in (built / "report/tables.md").read_text(encoding="utf-8")


def test_a_row_has_a_line_for_each_that_is_there(page):
    assert whose(page, "3") == ["paper", "ours", "diff.", "images", "published maps", "diff."]
    assert whose(page, "6") == ["paper", "published maps", "diff.", "images"]
    assert whose(page, "11") == ["paper", "ours", "diff.", "images", "authors’ weights", "diff.", "images"]
    assert whose(page, "13")[-2:] == ["published maps", "diff."]
    assert whose(page, "1") == ["paper"]


def test_published_maps_are_held_to_the_papers_values(page):
    lines = page.rows["I"]["3"]
    assert lines[4][1:4] == ["0.223", "0.803", "0.762"]
    assert lines[5][1:4] == ["0.000✓", "0.000✓", "+0.019✗"]
    assert lines[4][4:] == ["–"] * 12


def test_a_test_set_that_lacks_photographs_is_not_judged_and_says_so(page):
    lines = page.rows["I"]["11"]
    judged = {(place // 3, cell[-1] in "✓✗") for place, cell in enumerate(lines[2][1:])}
    assert judged == {(0, True), (1, False), (2, False), (3, True), (4, False)}  # CTCUG is not there
    assert lines[3][1:] == ["", "499 of 500", "", "", "6 of 1305"]
    assert page.rows["I"]["6"][3][1:] == ["99 of 100", "", "", "", ""]


def test_runs_that_are_not_there_give_their_reason(page):
    assert page.rows["II"]["4"][0][0] == "D-DFFNetnot run: midas_v21 is amongdownload.without"
    assert page.rows["IV"]["2"][0][0] == "PDNetnot run: midas_v21 is amongdownload.without"
    assert page.rows["I"]["4"][0][0] == "BTBNet [4]not run: no public link is known"


def test_each_cause_is_told_once_with_all_that_waits_for_it(page):
    rows = {line[0]: line[1:] for line in page.rows["missing"][""]}
    assert rows == {
        "CUHK blur detection data set (Shi et al., CVPR 2014), its 704 out-of-focus photographs": [
            synthetic.NOTES[0],
            "dbdflow statussays how to get it",
            "cuhk",
        ],
        "CTCUG (Tang et al., TPAMI 2020)": [
            "no public link is known",
            "ask its authors;dbdflow import ctcug X",
            "ctcug: CTCUG; external/btbnet on CTCUG",
        ],
        "MiDaS v2.1": ["midas_v21 is amongdownload.without", "take it out there", "run d_pdnet; run d_dffnet_dut"],
        "CENET on DUT-TE": [
            "data/external/cenet/DUT-TE: 2 maps (7, 9) missing",
            "add what is missing",
            "external/cenet on DUT-TE",
        ],
    }


def test_cells_of_a_set_that_is_not_there_say_why(built):
    html = (built / "report/index.html").read_text(encoding="utf-8")
    assert '<td class="number first" title="no public link is known">–</td>' in html


def test_what_is_done_to_maps_is_told(page):
    rows = {line[0]: line[1:] for line in page.rows["maps"][""]}
    assert rows["HIFSTexternal/hifst"] == ["in focus", "resized (nearest): 3 of CUHK-TE-1", "none", "page of hifst"]
    assert rows["CENETexternal/cenet"][1:3] == ["none", "1 of CUHK-TE-1"]
    assert "BTBNETexternal/btbnet" not in rows


def test_every_run_has_published_maps_too(page):
    rows = {line[0]: line[1:5] for line in page.rows["runs"][""]}
    assert rows["NEWESTexternal/newest"] == ["0.030", "0.980", "0.980", "0.960"]
    assert rows["images"][0] == "99 of 100"  # only where the runs of a column differ
    assert [line[0] for line in page.rows["runs"][""]].count("images") == 1
    text = "".join(page.text)
    assert "99 or 100 of 100 images" in text
    assert "499 of 500 images" in text


def test_what_is_met_is_counted_by_source(page):
    text = "".join(page.text)
    assert "Published maps: 5 of the paper’s 6 numbers that could be compared are met" in text
    assert "Authors’ weights: 0 of the paper’s 12 numbers" in text


def test_another_experiment_is_not_judged_but_published_maps_are(built, tmp_path):
    page = other_name(built, tmp_path)
    assert "need not be the paper’s" in "".join(page.text)
    assert not any(cell[-1] in "✓✗" for cell in page.rows["I"]["11"][2][1:])
    assert page.rows["I"]["3"][5][1] == "0.000✓"


def test_the_data_are_described(page):
    rows = {line[0]: line[1:] for line in page.rows["data"][""]}
    assert rows["Pairs of photograph and label"] == ["train 600 of 600; test 499 of 500"] * 2 + ["–"]
    assert rows["Width in pixels"][0] == "213 to 640, median 320"
    assert rows["Height in pixels"][0] == "320"
    assert {fact: rows[fact][0] for fact in list(rows)[1:2] + list(rows)[5:]} == {
        "Labels without a photograph, kept": "1: gt/7.png",
        "Most frequent size": "320×320, 700 of 1099",
        "White in the archive’s labels": "in focus",
        "Labels with grey pixels (10 to 90%)": "31 labels, at most 4.49% of one",
        "Fraction in focus": "mean 35.0%, 1.0% to 98.0%; wide DOF: mean 80.0%, 50.0% to 100.0%0123456789",
        "Labels all in focus": "5: gt/0.png, gt/1.png, gt/2.png and 2 more",
        "Labels without focus": "none",
        "Near-duplicates of training and test": "2: train-3 ~ test-4, train-5 ~ test-6",
        "Photographs of the same pixels": "1: a = b",
    }


def test_table_vii_stands_beside_what_is_prepared(page):
    assert page.rows["VII"]["EBD"] == [
        ["EBD", "paper", "1605", "1600x1024", "f/1.8&f/16", "300", "1305", "real"],
        ["ours", "9", "64x649 of them", "–", "33 in focus all over", "6", "real"],
    ]
    assert page.rows["VII"]["CTCUG"][0][0] == "CTCUGnot prepared: no public link is known"
    assert page.rows["VII"]["CUHK-TE"][0][0] == "CUHK-TECUHK-TE-1"


def test_every_source_is_in_the_csv(built):
    lines = csv.DictReader(io.StringIO((built / "report/tables.csv").read_text(encoding="utf-8")))
    values = {(line["table"], line["run"], line["source"]) for line in lines if line["value"]}
    assert {("I", "external/hifst", "published_maps"), ("I", "hifst", "ours")} <= values
    assert ("I", "published_dffnet_cuhk1", "authors_weights") in values
    assert ("runs", "published_dffnet_cuhk1", "authors_weights") in values


def test_a_folder_with_the_marker_alone_is_enough(built):
    assert [path.name for path in (built / "prepared/ctcug").iterdir()] == ["not_available.json"]
    assert json.loads((built / "models/d_pdnet/not_available.json").read_text())["what"] == "MiDaS v2.1"


def test_the_same_inputs_give_the_same_bytes(built, tmp_path):
    runs = synthetic.write_every_case(tmp_path)
    build_report(**synthetic.arguments(tmp_path, name="paper", runs=runs))
    for name in ("index.html", "tables.csv", "tables.md"):
        assert (tmp_path / "report" / name).read_bytes() == (built / "report" / name).read_bytes()


def test_real_photographs_lead_the_page(built, page):
    html = (built / "report/index.html").read_text(encoding="utf-8")
    assert html.index('id="measured"') < html.index('id="runs"') < html.index('id="tables"')
    assert "<h2>CUHK-TE-1, measured here</h2>" in html
    assert "<h3>DUT-TE: 499 of its 500 photographs</h3>" in html
    assert "check of the machinery" not in html
    assert "resnet10t" in page.rows["measured CUHK-TE-1"]["d_dffnet"][0]
    assert "0.036" in page.rows["measured CUHK-TE-1"]["d_dffnet"][0]
    assert page.rows["measured CUHK-TE-1"]["external/hifst"][0][2] == "0.223"


def test_pictures_of_the_lead_are_tiles_of_sheets_that_are_there(built, page):
    pictures = [value for tag, name, value in page.loads if (tag, name) == ("img", "src")]
    assert pictures
    assert all((built / "report" / each).is_file() for each in pictures)
