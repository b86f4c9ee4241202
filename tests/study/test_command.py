"""`dbdflow study --page` and what is said at the end of a study, in a checkout of its own."""

import csv
import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from components.scoring.evaluation import PER_IMAGE
from components.study.design import design
from components.study.results import read_results
from pipelines.cli import main
from pipelines.commands.study import KEPT, told
from pipelines.running.study import Study

ROOT = Path(__file__).parent.parent.parent
QUICK = KEPT / "quick"
PHOTOGRAPHS = ("out_of_focus0026", "out_of_focus0027", "out_of_focus0028")


@pytest.fixture(autouse=True)
def _checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".dvc").mkdir()
    for name in ("presets", "docs"):
        (tmp_path / name).mkdir()
        shutil.copy(ROOT / name / ("study.yaml" if name == "presets" else "study.md"), tmp_path / name)
    monkeypatch.chdir(tmp_path)


def study(rows: str = "dffnet", seeds: int = 1, folder: str = ".dbdflow/study") -> Study:
    wanted = [each for each in design().order(list(range(1, seeds + 1))) if each[0].name in rows.split(",")]
    return Study(Path(folder), "quick", wanted, 1, print)


def ran(made: Study, mae: float) -> None:
    """Lay down the runs of a study as if they had run."""
    for row, seed in made.rows:
        out = made.out(row, seed)
        (out / "scores").mkdir(parents=True)
        (out / "model").mkdir()
        (out / "model/card.json").write_text(json.dumps({"commit": "abc1234", "machine": "here"}))
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


def test_results_of_others_are_not_lost(tmp_path: Path) -> None:
    ran(study("dffnet,d_dffnet", seeds=3), 0.05)
    call("--page")
    before = (QUICK / "photographs.csv.gz").read_bytes()
    ran(study(folder="mine"), 0.05)
    done = call("--page", "--folder", "mine")
    assert done.exit_code == 2
    assert (
        f"benchmarks/study/quick: has 5 runs that {tmp_path}/mine has not, the first is d_dffnet-1; they would be lost"
        in done.output
    )
    assert (QUICK / "photographs.csv.gz").read_bytes() == before


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
