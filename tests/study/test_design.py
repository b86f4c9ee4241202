"""What `claims.yaml` says: rows that the preset has, the paper's own numbers, an order whose every prefix is of use."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from components.params import Stage2, load_params
from components.scoring.paper_tables import paper_tables
from components.study.design import changed, design
from components.train.schedules import distillation_weight

ROOT = Path(__file__).parent.parent.parent
PRESET = YAML(typ="safe", pure=True).load((ROOT / "presets/study.yaml").read_text())
DESIGN = design()
MAE = ("CUHK-TE-1", "MAE")


def beta(stage2: Stage2) -> list[float]:
    """Of every epoch."""
    beta, hold, epochs = stage2.beta, stage2.beta_hold, stage2.epochs
    return [
        distillation_weight(epoch, epochs=epochs, beta=beta, hold=hold, rule="paper") for epoch in range(1, epochs + 1)
    ]


def test_gains_are_the_papers() -> None:
    rows = [row for table in paper_tables() for row in table.rows if MAE in row.values and row.train == "CUHK-TR-1"]
    printed = {row.run: row.values[MAE] for row in rows}
    claims = [each for each in DESIGN.claims if each.paper is not None]
    assert [each.name for each in claims] == ["C1", "C2", "C3", "C4", "C5", "C6"]
    for claim in claims:
        first, second = (printed[DESIGN.rows[row].run] for row in (claim.first, claim.second))
        assert first is not None
        assert second is not None
        assert claim.paper == pytest.approx(first - second, abs=1e-9), claim.name


def test_the_page_states_every_claim_and_its_gain() -> None:
    text = (ROOT / "docs/study.md").read_text(encoding="utf-8")
    for claim in DESIGN.claims:
        (line,) = (
            each for each in text.partition("## The test")[0].splitlines() if each.startswith(f"| {claim.name} |")
        )
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert cells[2:4] == [DESIGN.rows[claim.first].title, DESIGN.rows[claim.second].title]
        assert cells[5] == ("" if claim.paper is None else f"{claim.paper:.3f}")
        assert cells[6] == claim.test.replace("_", " ").replace("within seed", "within the seed")


def test_every_row_is_a_run_of_the_preset_with_its_changes() -> None:
    for row in (*DESIGN.rows.values(), *DESIGN.choices.values()):
        params = row.params(PRESET, 3)
        assert params.seed == 3
        second = params.stage2_runs.get(row.run)
        assert (second is None) == (not row.first), row.name
        if second:
            assert DESIGN.rows[row.first].run == second.teacher
            assert DESIGN.rows[row.first].changes.get("recipe") == row.changes.get("recipe")
        else:
            assert row.run in params.first_runs
    assert {row.test for row in DESIGN.rows.values()} == {"CUHK-TE-1"}
    assert {row.test for row in DESIGN.choices.values()} == {"CUHK-TR-1-VAL"}
    assert {row.params(PRESET, 0).first_runs[row.run].train for row in DESIGN.choices.values()} == {"CUHK-TR-1-FIT"}


def test_constant_beta_spends_as_much_as_the_schedule() -> None:
    schedule = beta(load_params(ROOT / "presets/study.yaml").stage2)
    constant = beta(DESIGN.rows["constant_beta"].params(PRESET, 1).stage2)
    assert len(set(constant)) == 1
    assert sum(constant) == pytest.approx(sum(schedule))


def test_every_prefix_of_the_order_can_be_compared() -> None:
    order = [(row.name, seed) for row, seed in DESIGN.order([1, 2])]
    assert order[:5] == [("dffnet", 1), ("d_dffnet", 1), ("beta_0", 1), ("shuffled", 1), ("dffnet", 2)]
    assert len(order) == len(set(order)) == 2 * len(DESIGN.rows) == 26
    for place, (name, seed) in enumerate(order):
        first = DESIGN.rows[name].first
        assert not first or (first, seed) in order[:place]


def test_the_full_scale_is_the_papers() -> None:
    paper = load_params(ROOT / "presets/paper.yaml")
    full = DESIGN.rows["d_dffnet"].params(changed(PRESET, DESIGN.scales["full"]), paper.seed)
    assert (full.image_size, full.stage1, full.stage2) == (paper.image_size, paper.stage1, paper.stage2)


def test_the_quick_scale_differs_from_it_in_size_epochs_and_learning_rate_alone() -> None:
    quick, full = (DESIGN.rows["dffnet"].params(changed(PRESET, DESIGN.scales[each]), 1) for each in ("quick", "full"))
    for one, other in ((quick.stage1, full.stage1), (quick.stage2, full.stage2)):
        mine, theirs = one.model_dump(), other.model_dump()
        differing = {key for key in mine if mine[key] != theirs[key]}
        assert differing <= {"epochs", "learning_rate", "beta_hold"}
    assert quick.departures == full.departures
