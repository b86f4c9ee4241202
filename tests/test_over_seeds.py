"""Statistics over seeds, by hand."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from components.report.over_seeds import Sample, interval_of_mean, lines, tables


def sample(folder: Path, beta: float, seed: int, images: dict[str, float]) -> Sample:
    """A point with one run whose images of EBD have these MAE; F-beta is 1 - MAE, there is no IoU."""
    scores = folder / f"{beta}-{seed}"
    (scores / "run").mkdir(parents=True)
    mae = sum(images.values()) / len(images)
    summary = {"EBD": {"mae": mae, "f_beta": 1 - mae, "iou": None}}
    (scores / "run/summary.json").write_text(json.dumps(summary))
    rows = [f"EBD,{name},{value},0.5" for name, value in images.items()]
    (scores / "run/per_image.csv").write_text("\n".join(["test_set,id,mae,iou", *rows]))
    return Sample({"beta": beta, "seed": seed}, scores)


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    return [
        sample(tmp_path, 1, 0, {"a": 0.1, "b": 0.3}),
        sample(tmp_path, 1, 1, {"a": 0.2, "b": 0.4}),
        sample(tmp_path, 5, 0, {"a": 0.1, "b": 0.2}),
        sample(tmp_path, 5, 1, {"a": 0.2, "b": 0.2}),
    ]


def test_mean_spread_and_change_by_hand(samples: list[Sample]) -> None:
    found = lines(samples)
    assert [(setting, metric) for _, setting, _, metric in found.index] == [
        *((0, "mae"), (0, "f_beta"), (1, "mae"), (1, "f_beta"))
    ]
    first, f_beta, second, _ = (line for _, line in found.iterrows())
    assert (first["seeds"], first["mean"]) == (2, pytest.approx(0.25))
    assert first["std"] == pytest.approx(0.1 / 2**0.5)  # of two values: their distance / sqrt 2
    assert first[["change", "change_std", "low", "high"]].isna().all()
    assert f_beta["mean"] == pytest.approx(0.75)
    assert second["mean"] == pytest.approx(0.175)
    assert second["change"] == pytest.approx((-0.05 - 0.1) / 2)  # seed by seed
    assert second["change_std"] == pytest.approx(0.05 / 2**0.5)
    assert (second["low"], second["high"]) == pytest.approx((-0.2, 0.0))  # image b of seed 1; image a of both


def test_a_seed_without_the_score_leaves_the_line_out(samples: list[Sample]) -> None:
    (samples[3].scores / "run/summary.json").write_text(json.dumps({"EBD": {"mae": 0.2}}))
    found = [(setting, metric) for _, setting, _, metric in lines(samples).index]
    assert found == [(0, "mae"), (0, "f_beta"), (1, "mae")]


def test_the_interval_of_the_mean() -> None:
    assert interval_of_mean(np.full((3, 7), 0.25)) == pytest.approx((0.25, 0.25))
    random = np.random.default_rng(1)
    images = random.normal(0.5, 1.0, 400)
    low, high = interval_of_mean(images[None])  # one seed: the images alone
    half = 1.96 * images.std() / 400**0.5
    assert (low, high) == pytest.approx((images.mean() - half, images.mean() + half), abs=0.01)
    seeds = random.normal(0.5, 1.0, 50)
    low, high = interval_of_mean(np.repeat(seeds[:, None], 400, axis=1))  # images that do not differ: the seeds alone
    half = 1.96 * seeds.std() / 50**0.5
    assert (low, high) == pytest.approx((seeds.mean() - half, seeds.mean() + half), abs=0.03)


def test_the_files(samples: list[Sample], tmp_path: Path) -> None:
    text = tables(samples, tmp_path, "Sweep beta=1,5 seed=0,1").read_text()
    assert "| run | MAE | beta=1 | 0.250 ± 0.071 |" in text
    assert "| run | MAE | beta=5 | -0.075 ± 0.035 [-0.200, +0.000] |" in text
    assert "| run | Fβ | beta=5 | +0.075 ± 0.035 |" in text
    rows = list(csv.DictReader((tmp_path / "table.csv").read_text().splitlines()))
    assert [row["beta"] for row in rows] == ["1", "1", "5", "5"]
    assert float(rows[2]["mean"]) == pytest.approx(0.175, abs=1e-12)
    assert (rows[0]["change"], rows[3]["low"], rows[0]["seeds"]) == ("", "", "2")


def test_one_point_has_no_spread_and_no_changes(samples: list[Sample], tmp_path: Path) -> None:
    text = tables(samples[:1], tmp_path, "Sweep").read_text()
    assert text.endswith("| run | MAE | beta=1 | 0.200 |\n")
    assert "Changes" not in text


def test_runs_and_test_sets_that_a_setting_lacks_are_dashes(samples: list[Sample], tmp_path: Path) -> None:
    scores = {"ZOO": {"mae": 0.5}, "CTCUG": {"mae": 0.25}}
    (samples[0].scores / "aaa").mkdir()
    (samples[0].scores / "aaa/summary.json").write_text(json.dumps(scores))
    lines_of = tables(samples[:1], tmp_path, "Sweep").read_text().splitlines()
    assert lines_of[6] == "| run | metric | setting | CTCUG | ZOO | EBD |"
    assert lines_of[8] == "| aaa | MAE | beta=1 | 0.250 | 0.500 | – |"
