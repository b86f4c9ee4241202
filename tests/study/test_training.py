"""A run of the study, small: shared draws, the shuffled teacher, going on where it stopped, and its scores."""

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from ruamel.yaml import YAML

from components.models.run_files import WEIGHTS
from components.prepare.build import prepare_set
from components.study.design import Places, design
from components.study.results import read_runs
from components.study.training import score_run, train_depth_teacher, train_run, turned
from components.train import experiment
from tests.test_training import CPU

pytestmark = pytest.mark.usefixtures("one_thread")
ROOT = Path(__file__).parent.parent.parent
STEMS = {"CUHK-TE-1": ("0026", "0027"), "CUHK-TR-1-VAL": ("0002",), "CUHK-TR-1-FIT": ("0001", "0003", "0006", "0007")}
DESIGN = design()
FACTS = {"depth_teacher": "0123456789abcdef", "commit": "abc", "machine": "m"}


@pytest.fixture(scope="module")
def preset() -> dict[str, Any]:
    """The study's, with a narrow network, 32 pixels and two epochs of two steps."""
    values: dict[str, Any] = YAML(typ="safe", pure=True).load((ROOT / "presets/study.yaml").read_text())
    narrow = {"backbone": "resnet10t", "backbone_options": {"channels": [8, 16, 32, 64]}, "pretrained": False}
    values["depth_teacher"] |= narrow | {"width": 8, "epochs": 1, "batch_size": 2}
    for runs in (values["stage1_runs"], values["stage1_depth_runs"]):
        for run in runs.values():
            run.update(narrow)
    for stage in ("stage1", "stage2"):
        values[stage] |= {"epochs": 2, "batch_size": 2}
    return values | {"image_size": 32}


@pytest.fixture(scope="module")
def places(preset: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Places:
    """Seven photographs with labels and depth, and a depth teacher."""
    folder = tmp_path_factory.mktemp("study")
    random = np.random.default_rng(0)
    for part in ("image", "gt", "depth"):
        (folder / "raw" / part).mkdir(parents=True)
    for stem in [f"out_of_focus{number}" for numbers in STEMS.values() for number in numbers]:
        Image.fromarray(random.integers(0, 255, (40, 50, 3), np.uint8)).save(folder / f"raw/image/{stem}.jpg")
        mask = np.zeros((40, 50), np.uint8)
        mask[:, random.integers(10, 40) :] = 255
        Image.fromarray(mask).save(folder / f"raw/gt/{stem}.png")
        Image.fromarray(random.integers(0, 255, (40, 50), np.uint8)).save(folder / f"raw/depth/{stem}.png")
    prepare_set("cuhk", folder / "raw", folder / "prepared/cuhk", image_size=32, partial=True)
    where = Places(
        "no inputs",
        folder / "prepared",
        folder / "none",
        folder / "depth_teacher",
        folder / "runs",
        folder / "probe.json",
    )
    list(train_depth_teacher(DESIGN.rows["dffnet"].params(preset, 1), where, CPU))
    return where


def trained(name: str, preset: dict[str, Any], places: Places, seed: int = 1, epochs: int = 2) -> Path:
    """The folder of a run, trained (or interrupted after so many epochs)."""
    row = DESIGN.rows[name]
    params = row.params(preset, seed)
    out, defocus = places.run(row, seed, params), None
    if row.first:
        first = DESIGN.rows[row.first]
        defocus = places.run(first, seed, first.params(preset, seed)) / "model"
        if not defocus.exists():
            trained(row.first, preset, places, seed)
    if (out / "model").exists():
        return out
    going = train_run(row, params, defocus=defocus, out=out, places=places, device=CPU, facts=FACTS)
    for _, _ in zip(range(epochs), going, strict=False):
        pass
    if epochs == 2:
        list(going)
    return out


def weights(folder: Path) -> bytes:
    return (folder / "model" / WEIGHTS).read_bytes()


def test_what_a_teacher_says_of_the_photograph_before() -> None:
    class Model:
        def encode(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return (images.mean((2, 3)),)

    images = torch.arange(3.0)[:, None, None, None].expand(3, 3, 4, 4)
    assert turned(Model())(images)["level0"][:, 0].tolist() == [2.0, 0.0, 1.0]  # type: ignore[arg-type]


def test_an_interrupted_run_ends_as_one_that_was_not(preset: dict[str, Any], places: Places) -> None:
    whole = weights(trained("d_dffnet", preset, places))
    elsewhere = replace(places, runs=places.runs.with_name("again"))
    assert not (trained("d_dffnet", preset, elsewhere, epochs=1) / "model").exists()
    assert weights(trained("d_dffnet", preset, elsewhere)) == whole


def test_controls_differ_from_what_they_control(preset: dict[str, Any], places: Places) -> None:
    """In what they are about: another teacher's features, no weight of them, another seed of the second stage."""
    made = {name: weights(trained(name, preset, places)) for name in ("dffnet", "d_dffnet", "shuffled", "beta_0")}
    assert len(set(made.values())) == len(made)


def test_rows_of_a_stage_share_their_draws(preset: dict[str, Any]) -> None:
    """Initial weights where layers are alike, and the order of photographs; another seed has others."""
    rows = [("dffnet", 1), ("bce", 1), ("dffnet", 2)]
    params = [DESIGN.rows[name].params(preset, seed) for name, seed in rows]
    models = [experiment.new_model(each, "stage1", each.stage1_runs["dffnet"], CPU, Path("none")) for each in params]
    courses = [experiment.course_of(each, "stage1", each.stage1_runs["dffnet"], views=0) for each in params]
    assert torch.equal(models[0].head.weight, models[1].head.weight)
    assert not torch.equal(models[0].head.weight, models[2].head.weight)
    assert courses[0].seed == courses[1].seed != courses[2].seed  # type: ignore[attr-defined]


def test_every_kind_of_row_trains_and_is_scored_on_its_split(preset: dict[str, Any], places: Places) -> None:
    folders = {}
    for name in ("dffnet", "rdffnet", "published"):
        row = DESIGN.rows[name]
        folders[name, 1] = out = trained(name, preset, places)
        score_run(row, row.params(preset, 1), out=out, places=places, device=CPU)
        (out / "time.json").write_text('{"seconds": [60.0, 30.0]}')
        card = (out / "model/card.json").read_text()
        (out / "model/card.json").write_text(
            card.replace('"seed": 1,', '"seed": 1, "commit": "abc", "machine": "m",', 1)
        )
    with (folders["dffnet", 1] / "scores/per_image.csv").open() as file:
        assert [line["id"] for line in csv.DictReader(file)] == [f"out_of_focus{each}" for each in STEMS["CUHK-TE-1"]]
    values = folders["dffnet", 1].name.removeprefix("dffnet-1-")
    found = read_runs(folders | {("pdnet", 1): places.runs / "absent"})
    assert set(found.runs) == set(folders)
    assert found.facts["dffnet", 1] == {"minutes": "1.5", "values": values, **FACTS, "depth_teacher": "01234567"}
    assert 0 < found.runs["rdffnet", 1]["mae"].mean() < 1
