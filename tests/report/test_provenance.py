"""The stages that made a run, from entries of dvc.lock."""

from components.report.provenance import File, stage_facts, stages_of
from tests.report import synthetic


def test_facts_of_a_stage():
    facts = stage_facts(*synthetic.STAGES[1])
    assert (facts.name, facts.command, facts.code) == (
        "evaluate@d_dffnet",
        "python -m pipelines.stages.evaluate --run d_dffnet",
        1,
    )
    assert facts.reads == (File("data/predictions/d_dffnet", "22.dir", 6000),)
    assert facts.writes == (File("data/scores/d_dffnet", "33.dir", 7000),)
    assert facts.params == {"departures.iou": "pooled", "image_size": 64}


def test_stages_of_a_run_come_in_their_order_and_are_its_own():
    names = ["evaluate@d_x", "evaluate@x", "external", "predict@x", "prepare@cuhk", "train_stage1@x"]
    stages = [stage_facts(name, {"cmd": "c"}, "h") for name in names]
    found = {run: [each.name for each in stages_of(stages, run)] for run in ("x", "d_x", "external/maps", "y")}
    assert found == {
        "x": ["train_stage1@x", "predict@x", "evaluate@x"],
        "d_x": ["evaluate@d_x"],
        "external/maps": ["external"],
        "y": [],
    }
