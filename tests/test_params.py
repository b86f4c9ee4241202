"""The schema of params files: what is shipped is valid, and what is wrong is named."""

import io
import math
from copy import deepcopy
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from components.common.errors import InputError
from components.params import load_params, parse_params
from components.recipe import training_splits


@pytest.fixture(scope="module")
def shipped(root: Path) -> dict[str, Any]:
    return YAML(typ="safe", pure=True).load((root / "params.yaml").read_text())


def changed(values: dict[str, Any], key: str, value: object) -> dict[str, Any]:
    values = deepcopy(values)
    *path, last = key.split(".")
    section = values
    for name in path:
        section = section[name]
    section[last] = value
    return values


def test_what_ships_is_the_miniature(root: Path) -> None:
    assert (root / "params.yaml").read_bytes() == (root / "presets" / "miniature.yaml").read_bytes()


@pytest.mark.parametrize("preset", ["smoke", "miniature", "paper", "cuhk", "cuhk_small"])
def test_presets_are_complete_and_named(root: Path, preset: str) -> None:
    path = root / "presets" / f"{preset}.yaml"
    assert load_params(path).name == preset
    again = io.StringIO()
    YAML().dump(YAML().load(path.read_text()), again)  # as an experiment writes it
    assert YAML(typ="safe").load(again.getvalue())["name"] == preset  # DVC's reader, which takes less


def test_the_paper_preset_is_the_paper(root: Path) -> None:
    params = load_params(root / "presets" / "paper.yaml")
    assert (params.image_size, params.stage1.epochs, params.stage1.batch_size) == (320, 75, 6)
    assert (params.stage1.learning_rate, params.stage1.poly_power, params.stage1.lambda_edge) == (1e-4, 0.9, 0.5)
    assert (params.stage2.beta, params.stage2.beta_hold) == (3, 15)
    assert params.seed == 42
    for stage in (params.stage1, params.stage2):
        assert list(stage.augment.model_dump().values()) == [0.5, 0.1, 0.1, 0.1]
    assert (params.stage2.projector_learning_rate, params.stage2.projector_weight_decay) == (0.1, 5e-4)
    assert set(params.stage1_runs) == {
        "dffnet", "dffnet_dut", "dffnet_cuhk2_dut", "dffnet_bce", "pdnet", "dffnet_without_dffm", "dffnet_vgg16"
    }  # fmt: skip
    assert len(params.stage2_runs) == 8
    assert all(run.pretrained for run in params.first_runs.values())


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("stage1.lamda_edge", 1.0, "unknown key `stage1.lamda_edge`; the nearest valid key is `stage1.lambda_edge`"),
        ("stagee2", {}, "unknown key `stagee2`; the nearest valid key is `stage2`"),
        ("stage1_runs.dffnet.bakbone", "x", "nearest valid key is `stage1_runs.dffnet.backbone`"),
        ("stage1.epochs", "8", "`stage1.epochs` is '8' (str): Input should be a valid integer"),
        ("stage1.learning_rate", -1.0, "`stage1.learning_rate` is -1.0 (float): Input should be greater than 0"),
        ("departures.flip", "diagonal", "`departures.flip` is 'diagonal' (str): Input should be 'recipe', 'vertical'"),
        ("image_size", 100, "`image_size` is 100 (int): Input should be a multiple of 32"),
        ("stage2_runs.d_dffnet.teacher", "nobody", "stage2_runs.d_dffnet.teacher: 'nobody' is no stage-1 run"),
        ("stage1_runs.dffnet.model", "rdffnet", "stage1_runs.dffnet.model: rdffnet belongs in stage1_depth_runs"),
        ("predicted", ["dffnet", "dfnet"], "predicted: 'dfnet' is not among dffnet"),
        ("evaluated", ["hifts"], "evaluated: 'hifts' is not among"),
        ("baselines.lbp.function", "laplacian", "`baselines.lbp.function` is 'laplacian' (str): String should match"),
        (
            "baselines.lbp.function",
            "a.b:f",
            "baselines: code is 'components/baselines', where 'a.b:f' cannot lie; expe",
        ),
        ("baselines.lbp.cod", "a.py", "unknown key `baselines.lbp.cod`; the nearest valid key is `baselines.lbp.code`"),
        ("stage1.augment.contrast", 0.3, "stage1.augment: colour jitter (0.1, 0.3, 0.1), but stage2.augment has (0.1,"),
        (
            "seed",
            99999999999999999999,
            "`seed` is 99999999999999999999 (int): Input should be less than or equal to 429",
        ),
        ("seed", 2**32, "`seed` is 4294967296 (int): Input should be less than or equal to 4294967295"),
        ("stage1.learning_rate", math.inf, "`stage1.learning_rate` is inf (float): Input should be a finite number"),
        ("stage2.beta", math.nan, "`stage2.beta` is nan (float): Input should be a finite number"),
        (
            "departures.gradient_clip",
            math.inf,
            "`departures.gradient_clip` is inf (float): Input should be 'recipe', or be a finite number",
        ),
        ("cached_sets", ["cuhk", "cuhk"], "cached_sets: 'cuhk' stands there 2 times, expected once"),
        ("runtime.threads", 1025, "`runtime.threads` is 1025 (int): Input should be less than or equal to 1024"),
        ("image_size", 8192, "`image_size` is 8192 (int): Input should be less than or equal to 4096"),
        (
            "depth_teacher.backbone_options",
            {"a": math.nan},
            "`depth_teacher.backbone_options`: expected finite numbers",
        ),
        ("download.render.cuhk_test", 59, "`download.render`: cuhk_test is 59, expected at most half of cuhk, 116"),
        ("download.render.focus_near_m", 5.0, "`download.render`: focus_near_m is 5.0, expected at most focus_far_m"),
        ("name", "a\nb", "`name`: 'a\\nb' is no name; expected a line of 1 to 100 printable characters"),
        ("departures.teacher_batchnorm", "batch", "teacher.mode: cached features come from teachers in eval()"),
    ],
)
def test_what_is_wrong_is_named(shipped: dict[str, Any], key: str, value: object, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_params(changed(shipped, key, value), "params.yaml")
    assert message in str(caught.value)
    assert str(caught.value).startswith("params.yaml: ")


def test_a_missing_key_is_named(shipped: dict[str, Any]) -> None:
    values = deepcopy(shipped)
    del values["stage2"]["beta"]
    with pytest.raises(InputError, match=r"key `stage2\.beta` is missing"):
        parse_params(values, "params.yaml")


def test_a_missing_file_and_a_broken_one_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.yaml: no such file"):
        load_params(tmp_path / "absent.yaml")
    (tmp_path / "broken.yaml").write_text("a: [1")
    with pytest.raises(InputError, match=r"broken\.yaml: not valid YAML"):
        load_params(tmp_path / "broken.yaml")
    (tmp_path / "list.yaml").write_text("- 1")
    with pytest.raises(InputError, match="expected a mapping of sections, found list"):
        load_params(tmp_path / "list.yaml")


def test_a_recipe_decides_every_departure_and_a_named_choice_overrides_it(shipped: dict[str, Any]) -> None:
    paper = parse_params(shipped, "p").resolved
    published = parse_params(changed(shipped, "recipe", "published_code"), "p").resolved
    assert (paper.flip, paper.edge_reduction, paper.stage2_final_weight) == ("vertical", "mean", 1.0)
    assert (published.flip, published.edge_reduction, published.stage2_final_weight) == ("horizontal", "sum", 1.1)
    assert (paper.teacher_mode, paper.teacher_batchnorm) == ("by_device", "eval")
    assert (published.teacher_mode, published.teacher_batchnorm) == ("online", "batch")
    silent = ("gradient_clip", "upsample", "iou", "ebd_iou_size")
    assert [getattr(paper, point) for point in silent] == [0.5, "nearest", "pooled", "network"]
    differing = {point for point, value in asdict(paper).items() if getattr(published, point) != value}
    assert differing == set(asdict(paper)) - set(silent) - {"precision", "jitter"}
    assert (paper.precision, paper.jitter) == ("float32", "0.1, 0.1, 0.1, in shuffled order")
    chosen = parse_params(changed(shipped, "departures.gradient_clip", 0.0), "p").resolved
    assert chosen == replace(paper, gradient_clip=0.0)


def test_training_splits_are_read_as_set_and_split() -> None:
    assert training_splits("CUHK-TR-1") == [("cuhk", "CUHK-TR-1")]
    assert training_splits("CUHK-TR-2 & DUT-TR") == [("cuhk", "CUHK-TR-2"), ("dut", "DUT-TR")]


def test_cuhk_for_two_cores_is_a_part_of_cuhk(root: Path) -> None:
    """The same values; fewer runs; and teachers that are never cached, as only the paper's stage 2 reads a cache."""
    whole, part = (load_params(root / "presets" / f"{name}.yaml") for name in ("cuhk", "cuhk_small"))
    lists = {"name", "teacher", "stage1_runs", "stage1_depth_runs", "stage2_runs", "predicted", "evaluated"}
    assert part.model_dump(exclude=lists) == whole.model_dump(exclude=lists)
    for runs in ("stage1_runs", "stage2_runs"):
        assert getattr(part, runs).items() <= getattr(whole, runs).items()
    assert set(part.evaluated) < set(whole.evaluated)
    assert {run.training for run in whole.stage1_runs.values()} == {"stage1", "best1"}


@pytest.mark.parametrize(("training", "loss"), [("stage1", "bce&iou"), ("best1", "bce&el")])
def test_the_overlap_is_of_the_recipe_best_alone(root: Path, training: str, loss: str) -> None:
    values = YAML(typ="safe", pure=True).load((root / "presets" / "cuhk.yaml").read_text())
    values["stage1_runs"]["dffnet_best"] |= {"training": training, "loss": loss}
    with pytest.raises(InputError, match=rf"stage1_runs\.dffnet_best\.loss: '{loss}' with {training}; bce&iou is of"):
        parse_params(values, "x.yaml")
