"""The page as people get it: values, bold, reasons, banner, nothing loaded, the same bytes every time."""

import csv
import io
import json
import re

import pytest

from components.common.errors import InputError
from components.report.departures import departures_table
from components.report.page import build_report
from components.report.rendering import short_commit
from components.report.tables_text import show
from tests.report import synthetic
from tests.report.reader import read


@pytest.fixture(scope="module")
def html(experiment):
    return (experiment / "report/index.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(html):
    return read(html)


def build(root, out, **changes):
    build_report(**{**synthetic.arguments(root), "out": out, **changes})
    return (out / "index.html").read_text(encoding="utf-8")


def summary(root, run):
    return json.loads((root / "scores" / run / "summary.json").read_text())


def scores_of(line):
    return [cell for cell in line if re.fullmatch(r"–|\d\.\d{3}", cell)]


def test_ours_equal_the_inputs(experiment, page):
    expected = summary(experiment, "d_dffnet")
    order = ["CUHK-TE-1", "DUT-TE", "CTCUG", "EBD", "EBD(1305)"]
    keys = ("mae", "f_beta", "f_beta_published", "iou")
    shown = [show(expected[test_set][key]) for test_set in order for key in keys if key != "f_beta"]
    assert scores_of(page.rows["I"]["13"][1]) == shown
    assert scores_of(page.rows["V"]["2"][1]) == shown
    assert scores_of(page.rows["VI"]["4"][1]) == shown[:12]
    every = {line[0]: scores_of(line) for line in page.rows["runs"][""]}
    assert every["D-DFFNetd_dffnet"] == [show(expected[test_set][key]) for test_set in order for key in keys]


def test_the_papers_value_and_the_difference_stand_beside_ours(page):
    paper, ours, difference = (line[-15:] for line in page.rows["I"]["11"])
    assert paper[:3] == ["0.039", "0.971", "0.947"]
    for theirs, mine, signed in zip(paper, ours, difference, strict=True):
        assert float(signed.replace("−", "-")) == pytest.approx(float(mine) - float(theirs), abs=1e-9)


def test_best_of_ours_is_bold_and_nothing_else(page):
    filled = {row: lines for row, lines in page.rows["I"].items() if len(lines) == 3}
    for place in range(15):
        column = {row: float(lines[1][-15 + place]) for row, lines in filled.items()}
        best = (min if place % 3 == 0 else max)(column.values())
        for row, lines in filled.items():
            is_bold = ("I", row, 1, len(lines[1]) - 15 + place) in page.bold
            assert is_bold == (column[row] == best)
    assert all(line == 1 for table, _, line, _ in page.bold if table != "runs")


def test_rows_without_a_run_say_why(page):
    assert page.rows["I"]["1"][0][0] == "DBDF [1]not run: not in this parameter file"
    needs = "not run: needs maps in data/external/cenet (data/external/README.md)"
    assert page.rows["I"]["6"][0][0] == f"CENet [6]{needs}"
    assert page.rows["IV"]["3"][0][0] == "DFFNetnot run: not in this parameter file"
    assert len(page.rows["IV"]["3"]) == 1


def test_loss_columns_of_the_ablations(page):
    assert page.rows["IV"]["7"][0][1:3] == ["bce&el", "bce&el"]
    assert page.rows["IV"]["1"][0][1:3] == ["bce&el", "-"]


def test_the_miniature_says_so_and_judges_nothing(experiment, page):
    assert "NOT comparable" in "".join(page.text)
    assert not any("✓" in cell or "✗" in cell for rows in page.rows["I"].values() for line in rows for cell in line)
    assert "NOT comparable" in (experiment / "report/tables.md").read_text(encoding="utf-8")


def test_the_miniature_is_a_check_of_the_machinery_and_leads_with_nothing(experiment, html):
    assert "<h2>A check of the machinery: Tables I to VI</h2>" in html
    assert 'id="measured"' not in html
    assert not (experiment / "report/measured.csv").exists()


def test_rendered_photographs_are_never_judged_whatever_the_name(experiment, tmp_path):
    page = read(build(experiment, tmp_path / "paper", name="paper"))
    assert "NOT comparable" in "".join(page.text)
    assert not any("✓" in cell or "✗" in cell for rows in page.rows["I"].values() for line in rows for cell in line)


def test_nothing_is_loaded_from_anywhere(html, page):
    assert "http://" not in html
    assert "https://" not in html
    assert "url(" not in html
    assert "@import" not in html
    allowed = re.compile(r"#[\w-]+|tables\.(csv|md|tex)|\.\./executions\.js")
    assert [each for each in page.loads if not allowed.fullmatch(each[2])] == []
    assert "default-src 'none'" in html


def test_links_within_the_page_arrive(page):
    targets = [value[1:] for _, name, value in page.loads if name == "href" and value.startswith("#")]
    assert len(targets) == 10
    assert set(targets) <= set(page.ids)


def test_the_same_inputs_give_the_same_bytes(experiment, tmp_path):
    build(experiment, tmp_path / "again")
    for name in ("index.html", "tables.csv", "tables.md", "tables.tex", "gallery/ebd/8.jpg"):
        assert (tmp_path / "again" / name).read_bytes() == (experiment / "report" / name).read_bytes()


def test_csv_and_markdown_agree_with_the_page(experiment, page):
    lines = list(csv.DictReader(io.StringIO((experiment / "report/tables.csv").read_text(encoding="utf-8"))))
    markdown = (experiment / "report/tables.md").read_text(encoding="utf-8").split("## ")
    for table in ("I", "II", "III", "IV", "V", "VI"):
        of_table = [line for line in lines if line["table"] == table]
        in_markdown = next(part for part in markdown if part.startswith(f"Table {table}. ")).splitlines()
        body = [line for line in in_markdown if line.startswith("|")][2:]  # one line a row: nothing beside ours
        for row, groups in page.rows[table].items():
            cells = [line for line in of_table if line["row"] == row]
            assert [show(float(c["paper"]) if c["paper"] else None) for c in cells] == groups[0][-len(cells) :]
            if len(groups) == 3:
                assert [show(float(c["value"]) if c["value"] else None) for c in cells] == groups[1][-len(cells) :]
                differences = re.findall(r"\(([^ )]+)\)", body[int(row) - 1])[-len(cells) :]
                assert differences == groups[2][-len(cells) :]


def test_every_section_is_filled(html):
    assert html.count('class="empty"') == 1 + 5  # without JavaScript; runs of which dvc.lock has no stage
    assert 'id="missing"' not in html
    assert html.count('<svg class="chart"') == 5 + 5 + 3 + 6
    assert "resnet10t" in html
    assert '<code>0f343b0931126a20f133d67c2b018a3b.dir</code></td><td class="number">1,234,567</td>' in html
    assert "torch 2.15.0" in html
    assert "name: miniature" in html


def test_pairs_show_the_difference_of_the_means(experiment, page):
    before, after = (summary(experiment, run)["EBD"] for run in ("dffnet", "d_dffnet"))
    line = next(line for line in page.rows["dffnet d_dffnet"][""] if line[0] == "EBD")
    assert line[4] == f"{after['mae'] - before['mae']:+.4f}".replace("-", "−")
    assert line[10].startswith(f"{after['iou'] - before['iou']:+.3f}".replace("-", "−"))


@pytest.mark.parametrize("runs", [[], ["dffnet"], ["nothing_of_it"]])
def test_a_page_of_few_runs_or_none(experiment, tmp_path, runs):
    page = read(build(experiment, tmp_path / "few", runs=runs))
    filled = [row for row, lines in page.rows["I"].items() if len(lines) == 3]
    assert filled == (["11"] if runs == ["dffnet"] else [])


def test_a_page_without_any_folder(tmp_path):
    page = read(build(tmp_path / "nowhere", tmp_path / "out", provenance={}, departures={}))
    assert "No run has been scored yet." in page.text


def test_names_from_outside_are_escaped(experiment, tmp_path):
    provenance = {"params": "<script>alert(1)</script>", "note": "a & b"}
    html = build(experiment, tmp_path / "out", name="<i>", provenance=provenance, departures={"x<y": "<b>"})
    assert "alert(1)</script>" not in html
    assert "<i>" not in html
    assert "x&lt;y" in html


def test_a_damaged_file_is_named_and_the_old_report_stays(tmp_path):
    synthetic.write_experiment(tmp_path, runs=["hifst"], sets={"dut": {"DUT-TE": 2}})
    build(tmp_path, tmp_path / "report", runs=["hifst"])
    (tmp_path / "scores/hifst/per_image.csv").write_text("test_set,id\n")
    with pytest.raises(InputError, match=r"per_image\.csv: column 'mae' is missing; found test_set, id"):
        build(tmp_path, tmp_path / "report", runs=["hifst"])
    assert (tmp_path / "report/index.html").is_file()


@pytest.mark.parametrize(
    ("commit", "short"),
    [
        ("0123456789abcdef", "0123456789"),
        ("0123456789abcdef-dirty", "0123456789 with changes"),
        ("not a git checkout", "not a git checkout"),
    ],
)
def test_short_commit(commit, short):
    assert short_commit(commit) == short


def test_departures_of_this_run():
    rows = {row.point: row for row in departures_table({"flip": "vertical", "poly": "published_code", "my_point": 3})}
    assert rows["Flip of training images"].choice == "vertical"
    assert rows["Flip of training images"].code == "horizontal (p = 0.5)"
    assert rows["Poly learning rate"].choice == "as the published code"
    assert rows["Epochs"].choice == "not recorded"
    assert rows["my point"].choice == "3"
    given = departures_table([{"point": "p", "paper": "a", "code": "b", "choice": "c"}])
    assert [(row.point, row.paper, row.code, row.choice) for row in given] == [("p", "a", "b", "c")]


def test_cards_say_how_teachers_ran():
    cards = {"a": {"teachers": "online"}, "b": {}, "c": {"teachers": "cached, 4 views"}, "d": {"teachers": "online"}}
    rows = {row.point: row.choice for row in departures_table({"flip": "vertical"}, cards)}
    assert rows["Colour jitter in stage 2"] == "online: a, d; cached, 4 views: c"
    assert rows["Flip of training images"] == "vertical"


def test_every_departure_of_the_parameters_has_a_row():
    from dataclasses import fields

    from components.recipe import Resolved

    points = [each.name for each in fields(Resolved)]
    known = {row.point for row in departures_table({})}
    found = departures_table(dict.fromkeys(points, "x"))
    assert {row.point for row in found} == known
    assert sum(row.choice == "x" for row in found) == len(points)
