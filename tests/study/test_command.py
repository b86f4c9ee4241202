"""`dbdflow study --page` and what is said at the end of a study, in a checkout of its own."""

import csv
import json
import shutil
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from components.scoring.evaluation import PER_IMAGE
from components.study.design import design
from components.study.results import read_results
from pipelines.cli import main
from pipelines.commands.study import KEPT, told
from pipelines.running.study import Study
from pipelines.running.study_plan import INBOX
from pipelines.system.stopping import Stop

ROOT = Path(__file__).parent.parent.parent
QUICK = KEPT / "quick"
PHOTOGRAPHS = ("out_of_focus0026", "out_of_focus0027", "out_of_focus0028")


@pytest.fixture(autouse=True)
def _checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".dvc").mkdir()
    for name in ("presets", "docs"):
        (tmp_path / name).mkdir()
        shutil.copy(ROOT / name / ("study.yaml" if name == "presets" else "study.md"), tmp_path / name)
    ledger = "imported: {cuhk: abc}\nbackbones: {mobilenetv2_100: def}\nsha256: {}\n"
    for name in ("cuhk/depth", "backbones"):
        (tmp_path / INBOX / name).mkdir(parents=True)
    (tmp_path / INBOX / "backbones/mobilenetv2_100.safetensors").touch()
    (tmp_path / INBOX / "sources.yaml").write_text(ledger)
    monkeypatch.chdir(tmp_path)


def study(rows: str = "dffnet", seeds: int = 1, folder: str = ".dbdflow/study") -> Study:
    wanted = [each for each in design().order(list(range(1, seeds + 1))) if each[0].name in rows.split(",")]
    return Study(Path(folder), "quick", wanted, 1, print)


def ran(made: Study, mae: float, depth_teacher: str = "0123456789abcdef") -> None:
    """Lay down the runs of a study as if they had run."""
    card = {"commit": "abc1234", "machine": "here", "depth_teacher": depth_teacher}
    for row, seed in made.rows:
        out = made.out(row, seed)
        (out / "scores").mkdir(parents=True)
        (out / "model").mkdir()
        (out / "model/card.json").write_text(json.dumps(card))
        (out / "time.json").write_text('{"seconds": [60, 60]}')
        with (out / "scores/per_image.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, PER_IMAGE)
            writer.writeheader()
            for i, photograph in enumerate(PHOTOGRAPHS):
                numbers = dict.fromkeys(PER_IMAGE[2:], mae + 0.01 * i + 0.001 * seed)
                writer.writerow({"test_set": "CUHK-TE-1", "id": photograph, **numbers})


def call(*words: str) -> Result:
    return CliRunner().invoke(main, ["study", *words])


def test_the_page_tells_of_all_that_has_run_whatever_is_asked_for() -> None:
    ran(study("dffnet,d_dffnet", seeds=3), 0.05)
    done = call("--page", "--rows", "pdnet", "--seeds", "2")
    assert done.exit_code == 0, done.output
    assert "C1: does not hold (depth distillation lowers MAE; 3 seeds)" in done.output
    assert "**6 of 39 runs**" in Path("docs/study.md").read_text()
    found = read_results(QUICK)
    assert sorted(found.runs) == [(row, seed) for row in ("d_dffnet", "dffnet") for seed in (1, 2, 3)]
    assert found.runs["dffnet", 2]["mae"] == pytest.approx([0.052, 0.062, 0.072])
    assert (
        (QUICK / "verdicts.csv")
        .read_text()
        .startswith("claim,verdict,seeds,gain,low,high\nC1,does not hold,3,0.000000,")
    )


def test_a_stranger_writes_the_page_from_what_is_kept() -> None:
    ran(study("dffnet,d_dffnet", seeds=3), 0.05)
    call("--page")
    page = Path("docs/study.md").read_bytes(), Path("docs/study_quick.svg").read_bytes()
    shutil.rmtree(".dbdflow")
    shutil.copy(ROOT / "docs/study.md", "docs")
    Path("docs/study_quick.svg").unlink()
    assert call("--page").exit_code == 0
    assert (Path("docs/study.md").read_bytes(), Path("docs/study_quick.svg").read_bytes()) == page


def test_what_ran_elsewhere_is_added(tmp_path: Path) -> None:
    """Two folders, one after the other, leave what one folder with all of it leaves."""
    ran(study("dffnet,d_dffnet", seeds=3), 0.05)
    call("--page")
    both = (QUICK / "photographs.csv.gz").read_bytes(), (QUICK / "runs.csv").read_bytes()
    shutil.rmtree(QUICK)
    ran(study("d_dffnet", seeds=3, folder="mine"), 0.05)
    assert call("--page", "--folder", "mine").exit_code == 0
    assert len(read_results(QUICK).runs) == 3
    ran(study("dffnet", seeds=3, folder="yours"), 0.05)
    assert call("--page", "--folder", "yours").exit_code == 0
    assert ((QUICK / "photographs.csv.gz").read_bytes(), (QUICK / "runs.csv").read_bytes()) == both


def test_other_figures_of_a_run_are_never_mixed() -> None:
    """What builds on the run, and what is compared with it, would be of the other."""
    ran(study("dffnet", seeds=2), 0.05)
    call("--page")
    before = (QUICK / "photographs.csv.gz").read_bytes()
    ran(study("dffnet", folder="mine"), 0.06)
    done = call("--page", "--folder", "mine")
    assert done.exit_code == 2
    assert "benchmarks/study/quick: other figures of 1 runs than " in done.output
    assert "/mine, the first is dffnet-1; they are never mixed on one page" in done.output
    assert (QUICK / "photographs.csv.gz").read_bytes() == before


def test_runs_with_another_depth_teacher_are_never_mixed() -> None:
    ran(study("dffnet"), 0.05)
    call("--page")
    ran(study("pdnet", folder="mine"), 0.05, depth_teacher="9" * 64)
    done = call("--page", "--folder", "mine")
    assert done.exit_code == 2
    assert "benchmarks/study/quick: runs with depth teacher 01234567, " in done.output
    assert "/mine with 99999999; they are never mixed on one page" in done.output


@pytest.mark.parametrize("words", [("--page",), ("--missing",)])
@pytest.mark.parametrize(
    ("file", "old", "new"),
    [("presets/study.yaml", "lambda_edge: 0.5", "lambda_edge: 0.4"), ("data/archives/sources.yaml", "abc", "abd")],
)
def test_runs_with_other_values_or_inputs_are_never_mixed(
    words: tuple[str, ...], file: str, old: str, new: str
) -> None:
    ran(study("dffnet,pdnet", seeds=2), 0.05)
    call("--page")
    Path(file).write_text(Path(file).read_text().replace(old, new))
    ran(study("d_dffnet"), 0.05)
    before = (QUICK / "runs.csv").read_bytes()
    done = call(*words)
    assert done.exit_code == 2
    assert "benchmarks/study/quick: 4 of its 4 runs were made with other photographs, depth maps or " in done.output
    assert "the first is dffnet-1; they are never mixed" in done.output
    assert (QUICK / "runs.csv").read_bytes() == before


def test_runs_scored_on_other_photographs_are_never_mixed(monkeypatch: pytest.MonkeyPatch) -> None:
    ran(study("dffnet"), 0.05)
    call("--page")
    monkeypatch.setattr(sys.modules[__name__], "PHOTOGRAPHS", PHOTOGRAPHS[:2])
    ran(study("pdnet", folder="mine"), 0.05)
    done = call("--page", "--folder", "mine")
    assert done.exit_code == 2
    assert "benchmarks/study/quick: scores of 3 photographs, " in done.output
    assert "/mine of 2; they are never mixed on one page" in done.output


def test_only_what_is_missing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    ran(study("dffnet,d_dffnet", seeds=3), 0.05)
    call("--page")
    begun: list[list[str]] = []

    def run(self: Study, _stop: Stop) -> int:
        begun.append([task.name for task in self.tasks()[2:]])
        return 0

    monkeypatch.setattr(Study, "run", run)
    call("--missing", "--rows", "dffnet, d_dffnet,beta_0", "--seeds", "2", "--folder", "mine")
    call("--missing", "--rows", "dffnet", "--seeds", "4", "--folder", "mine")
    assert begun == [["dffnet-1", "beta_0-1", "dffnet-2", "beta_0-2"], ["dffnet-4"]]
    done = call("--missing", "--rows", "dffnet", "--seeds", "3", "--folder", "mine")
    assert done.output == "benchmarks/study/quick has them all\n"
    assert len(begun) == 2


def test_a_run_made_again_is_held_against_what_is_kept() -> None:
    ran(study("dffnet", seeds=2), 0.05)
    call("--page")
    ran(same := study(folder="mine"), 0.05)
    assert "runs with the figures that benchmarks/study/quick has of them, to the digit: 1" in list(told(same))
    ran(other := study(folder="other"), 0.050001)
    assert "dffnet-1: other figures than benchmarks/study/quick has" in list(told(other))


def test_the_choice_is_told() -> None:
    rows = design().choices
    chosen = Study(Path("mine"), "quick", [(row, 0) for row in rows.values()], 1, print)
    scores = chosen.out(rows["rate_1e-3"], 0) / "scores"
    scores.mkdir(parents=True)
    (scores / "summary.json").write_text('{"CUHK-TR-1-VAL": {"mae": 0.12345}}')
    assert next(told(chosen)) == "learning rate 1e-3: MAE 0.1235 on CUHK-TR-1-VAL"


def test_nothing_to_write_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path / "docs")  # anywhere in the checkout
    done = call("--page")
    assert done.exit_code == 2
    assert "benchmarks/study/quick: no results of the study" in done.output
