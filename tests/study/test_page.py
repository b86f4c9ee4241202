"""The page's figures, and the files from which anybody can write it again."""

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from components.common.errors import InputError
from components.study.design import design
from components.study.page import BEGIN, END, write_page
from components.study.results import PHOTOGRAPHS, RUNS, VERDICTS, read_results, read_verdicts, write_results
from tests.study.results_of import results

BEGINS, ENDS = BEGIN.format("quick"), END.format("quick")
BETTER = results(dffnet=(0.05, 0.0502, 0.0498), d_dffnet=(0.044, 0.0442, 0.0438), beta_0=(0.05,))


def page(folder: Path) -> Path:
    path = folder / "study.md"
    path.write_text(f"before\n{BEGINS}\nwhat was\n{ENDS}\nafter\n")
    return path


def test_the_figures_stand_between_the_marks_and_nothing_else_moves(tmp_path: Path) -> None:
    path = page(tmp_path)
    found = {each.claim.name: each for each in write_page(path, design(), BETTER, scale="quick", seeds=5)}
    text = path.read_text()
    assert text.startswith(f"before\n{BEGINS}\n")
    assert text.endswith(f"\n{ENDS}\nafter\n")
    assert "what was\n" not in text
    assert "**7 of 65 runs** (what was run is reported as what it is)" in text
    (line,) = (line for line in text.splitlines() if line.startswith("| C1 | depth"))
    gain = found["C1"].gain
    assert gain is not None
    assert f"| 3 of 5 | {gain.mean:+.4f} ({gain.interval[0]:+.4f} to {gain.interval[1]:+.4f}) | 0.003 |" in line
    assert line.endswith(f"| **{found['C1'].word}** |")
    assert "| C7b | a second stage without any teacher gives as much | 1 of 5 |  |  | **cannot be told** |" in text
    (detail,) = (line for line in text.splitlines() if line.startswith("| C1 | 40 | 0.0015 |"))
    these = f"{gain.on_these[0]:+.4f} to {gain.on_these[1]:+.4f}"
    assert f"| {gain.detectable:.4f}, {gain.detectable_ever:.4f} | {these} | {gain.effect:+.2f} |" in detail
    (texture,) = (line for line in text.splitlines() if line.startswith("| C9 | 40 |"))
    assert texture.endswith(" |  |  |"), "F-beta and IoU are of whole maps"
    assert "| PDNet | 0 | | | | |" in text


def test_writing_it_again_changes_nothing(tmp_path: Path) -> None:
    path = page(tmp_path)
    write_page(path, design(), BETTER, scale="quick", seeds=5)
    before = path.read_bytes(), (tmp_path / "study_quick.svg").read_bytes()
    write_page(path, design(), BETTER, scale="quick", seeds=5)
    assert (path.read_bytes(), (tmp_path / "study_quick.svg").read_bytes()) == before


def test_the_plot_names_every_claim_with_its_verdict(tmp_path: Path) -> None:
    found = write_page(page(tmp_path), design(), BETTER, scale="quick", seeds=5)
    text = [each for each in ElementTree.parse(tmp_path / "study_quick.svg").iter() if each.tag.endswith("text")]
    texts = {"".join(each.itertext()).strip() for each in text}
    assert {f"{each.claim.name}  {each.claim.says}" for each in found} <= texts
    assert {each.word for each in found} == {"holds", "does not hold", "cannot be told", "not run"} & texts


def test_a_page_without_its_marks_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "study.md"
    path.write_text("text of somebody\n")
    with pytest.raises(InputError, match=r"study\.md: no line <!-- quick: begin -->"):
        write_page(path, design(), BETTER, scale="quick", seeds=5)
    assert path.read_text() == "text of somebody\n"


def test_results_come_back_as_they_were_written(tmp_path: Path) -> None:
    given = results(dffnet=(0.05, 0.06), d_dffnet=(0.04,))
    given.runs["dffnet", 1]["mae_textured"][3] = np.nan
    write_results(tmp_path, given, list(given.runs))
    first = (tmp_path / PHOTOGRAPHS).read_bytes()
    found = read_results(tmp_path)
    assert list(found.photographs) == list(given.photographs)
    assert found.facts == given.facts
    for run, scores in given.runs.items():
        for name, values in scores.items():
            np.testing.assert_allclose(found.runs[run][name], values, atol=5e-7)
    write_results(tmp_path, found, list(found.runs))
    assert (tmp_path / PHOTOGRAPHS).read_bytes() == first


def test_two_seeds_have_no_interval(tmp_path: Path) -> None:
    found = results(dffnet=(0.05, 0.0502), d_dffnet=(0.044, 0.0442))
    (first, *_) = write_page(path := page(tmp_path), design(), found, scale="quick", seeds=5)
    assert first.gain is not None
    assert f"| 2 of 5 | {first.gain.mean:+.4f} | 0.003 | **cannot be told** |" in path.read_text()
    assert "| C1 | 40 |" not in path.read_text()


HEAD = b"row,seed,mae,f_beta,iou,minutes,values,depth_teacher,commit,machine\n"


def mended(path: Path, old: bytes, new: bytes) -> None:
    text = path.read_bytes()
    assert old in text
    path.write_bytes(text.replace(old, new, 1))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "no gzip": lambda folder: (folder / PHOTOGRAPHS).write_bytes(b"no gzip"),
    "cut gzip": lambda folder: (folder / PHOTOGRAPHS).write_bytes((folder / PHOTOGRAPHS).read_bytes()[:-9]),
    "one file lacks": lambda folder: (folder / RUNS).unlink(),
    "no seed": lambda folder: mended(folder / RUNS, b"dffnet,1,", b"dffnet,one,"),
    "other runs": lambda folder: (folder / RUNS).write_bytes(HEAD),
    "other header": lambda folder: mended(folder / RUNS, b"minutes", b"hours"),
    "a merge's mark": lambda folder: mended(folder / RUNS, HEAD, HEAD + b"<<<<<<< HEAD\n"),
    "no number": lambda folder: mended(folder / RUNS, b",9.5,", b",abc,"),
    "a mean by hand": lambda folder: mended(folder / RUNS, b"dffnet,1,0.", b"dffnet,1,1."),
    "cut in its last cell": lambda folder: (folder / RUNS).write_bytes((folder / RUNS).read_bytes()[:-2]),
    "not UTF-8": lambda folder: mended(folder / RUNS, b"a machine", b"a m\xff\0chine"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damaged_results_are_one_line(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    write_results(tmp_path, BETTER, list(BETTER.runs))
    damage(tmp_path)
    with pytest.raises(InputError, match=r"photographs\.csv\.gz or runs\.csv is damaged \(") as told:
        read_results(tmp_path)
    assert str(told.value).endswith(f"); `git checkout {tmp_path}` brings them back")
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 220 + 2 * len(str(tmp_path))


@pytest.mark.parametrize("text", ["<<<<<<< HEAD\n", "claim,gain\nC1,0.1\n", "claim,verdict\nC1,holds\nC2\n", "\0\n"])
def test_damaged_verdicts_are_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "quick").mkdir()
    (tmp_path / "quick" / VERDICTS).write_text("claim,verdict\nC1,holds\n")
    assert read_verdicts(tmp_path) == {"C1 (quick)": "holds"}
    (tmp_path / "quick" / VERDICTS).write_text(text)
    with pytest.raises(
        InputError, match=r"quick/verdicts\.csv: damaged \(.*\); `dbdflow study --page` writes it anew$"
    ):
        read_verdicts(tmp_path)
