"""From a rehearsal to the published counts: the numbers that the projection is made of, by hand."""

from pathlib import Path

import pytest

from benchmarks import projection
from benchmarks.archives import Counts
from benchmarks.rehearsal import COUNTS, stage_of
from components.params import load_params


@pytest.fixture(scope="module")
def params(root: Path):
    return load_params(root / "presets/paper.yaml")


def test_steps_an_epoch() -> None:
    """604 photographs of CUHK-TR-1, as many of CUHK-TR-2, 600 of DUT; batches of six, a smaller last one is dropped."""
    published = [projection.steps_an_epoch(split, Counts(), 6) for split in ("CUHK-TR-1", "CUHK-TR-2 & DUT-TR")]
    assert published == [100, 200]
    rehearsed = ("CUHK-TR-1", "CUHK-TR-1 & DUT-TR", "CUHK-TR-2 & DUT-TR")
    assert [projection.steps_an_epoch(split, COUNTS, 6) for split in rehearsed] == [2, 2, 2]


def test_trainings_of_the_preset(params) -> None:
    runs = projection.trainings(params, Counts(), 75)
    assert len(runs) == 16
    assert runs["dffnet"] == ("train_stage1@dffnet", 7500, 0.12)
    assert runs["dffnet_dut"][:2] == ("train_stage1@dffnet_dut", 15000)
    assert runs["rdffnet"] == ("train_stage1_depth@rdffnet", 7500, pytest.approx(0.16))
    assert runs["d_dffnet_cuhk2_dut"] == ("distill_stage2@d_dffnet_cuhk2_dut", 15000, pytest.approx(0.20))


def test_every_stage_counts(params) -> None:
    """8 of four sets, the depth teacher, 2 caches, 16 trainings, 6 checkpoints, 3 methods, 22 and 25, 2 of all."""
    assert projection.all_stages(params) == 8 + 1 + 2 + 16 + 6 + 3 + 22 + 25 + 2 == 85


def test_disk_grows_with_the_photographs_where_it_holds_photographs(params) -> None:
    disk = {"raw/ebd": 4_000, "models": 1_000, "teacher_cache": 500, "archives": 10, ".dvc/cache": 5_500, ".dbdflow": 7}
    measured = projection.Measured("x", 1.0, 1.0, 1.0, dict.fromkeys(["train_stage1@a", "published@b"], 1.0), {}, disk)
    found = {name: there for name, _, there in projection.projected_disk(measured, COUNTS, params)}
    assert found["raw/ebd"] == 4_000 / 4 * 1605
    assert (found["teacher_cache"], found[".dbdflow"]) == (0, 7)
    assert found["models"] == 1_000 / 2 * (16 + 6), "two have run"
    assert found[".dvc/cache"] == pytest.approx(5_500 * (found["raw/ebd"] + 11_000) / 5_500)


def test_time_on_a_gpu_of_trainings_and_maps(params) -> None:
    measured = projection.Measured("x", 1.0, 1.0, 1.0, {"train_stage1@dffnet": 30.0, "report": 5.0}, {}, {})
    found = {what: seconds for what, seconds, _ in projection.projected_time(measured, params, checkpoint=2.0)}
    assert found["16 trainings: steps"] == pytest.approx(67_500 * 0.12 + 7_500 * 0.16 + 75_000 * 0.20)
    assert found["trainings: all else"] == 16 * 30.0, "one has run"
    assert found["trainings: checkpoints"] == 16 * 75 * 2.0
    assert found["maps: forward passes"] == pytest.approx(22 * 2455 * 0.12 / 3 / 6)


def test_a_stage_is_told_by_its_command() -> None:
    assert stage_of(["python", "-m", "pipelines.stages.prepare", "--set", "dut", "--raw", "x"]) == "prepare@dut"
    depth = ["python", "-m", "pipelines.stages.train_stage1", "--run", "rdffnet", "--prepared", "x", "--teacher", "y"]
    assert stage_of(depth) == "train_stage1_depth@rdffnet"
    assert stage_of(["python", "-m", "pipelines.stages.report", "--out", "x"]) == "report"
    assert stage_of(["python", "-m", "dvc", "repro"]) == ""
