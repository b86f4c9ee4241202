"""What `best` goes by: hand-computed means, and what is left out of them."""

import hashlib
from pathlib import Path

import pytest

from components.common.storage import write_json
from components.report.provenance import File, StageFacts
from pipelines.stages.ranking import mean_mae, ranked, scored_on
from pipelines.tracking.registry import registered_name

MAES = {"CUHK-TE-1": 0.5, "CUHK-TE-2": 0.25, "DUT-TE": 0.125, "CTCUG": 1.0, "EBD": 0.375, "EBD(1305)": 0.0}
SUMMARY = {test_set: {"mae": mae, "iou": 0.1} for test_set, mae in MAES.items()}


@pytest.mark.parametrize(
    ("train", "mean"),
    [
        ("CUHK-TR-1", 0.5),  # (0.5 + 0.125 + 1 + 0.375) / 4: CUHK-TE-2 was trained on, EBD(1305) lies in EBD
        ("CUHK-TR-1 & DUT-TR", 0.5),
        ("CUHK-TR-2 & DUT-TR", 0.4375),  # (0.25 + 0.125 + 1 + 0.375) / 4
    ],
)
def test_the_mean_leaves_out_what_was_trained_on(train: str, mean: float) -> None:
    assert mean_mae(SUMMARY, train) == mean
    assert mean_mae({"EBD(1305)": {"mae": 0.5}}, train) is None


def test_only_what_was_trained_here_is_ranked(tmp_path: Path) -> None:
    for run, card in (("ours", {"train": "CUHK-TR-1"}), ("authors", {"published": True})):
        write_json(tmp_path / run / "card.json", card)
        (tmp_path / run / "model.safetensors").write_bytes(b"weights")
    found = list(ranked({"ours": SUMMARY, "authors": SUMMARY, "hifst": SUMMARY}, tmp_path))
    weights = hashlib.sha256(b"weights").hexdigest()
    assert found == [{"name": "ours", "train": "CUHK-TR-1", "weights": weights, "mae": 0.5}]


def prepared(md5: str) -> StageFacts:
    """A stage that wrote one file of this hash."""
    return StageFacts("prepare@ebd", "", "", (), (File("data/prepared/ebd", md5, 1),), 0, {})


def test_scores_compare_on_the_same_photographs_by_the_same_rule() -> None:
    trained = StageFacts("train_stage1@dffnet", "", "", (), (File("data/models/dffnet", "b", 1),), 0, {})
    found = scored_on([prepared("a")], "nearest")
    assert found == scored_on([prepared("a"), trained], "nearest")
    others = {scored_on([prepared("a")], "bilinear"), scored_on([prepared("c")], "nearest")}
    assert found not in others
    assert len(others) == 2


@pytest.mark.parametrize(
    ("experiment", "train", "name"),
    [
        ("paper", "CUHK-TR-2 & DUT-TR", "dbdflow.paper.CUHK-TR-2_DUT-TR"),
        ("Ann's / try: 2", "CUHK-TR-1", "dbdflow.Ann_s_try_2.CUHK-TR-1"),
    ],
)
def test_registered_names_are_mlflows(experiment: str, train: str, name: str) -> None:
    assert registered_name(experiment, train) == name
