"""What `best` and `champion` go by: hand-computed means and intervals, and what is left out of them."""

import hashlib
import shutil
from pathlib import Path

import pytest

from components.common.storage import write_json
from components.report.provenance import File, StageFacts
from pipelines.stages.ranking import judged, mean_mae, ranked, scored_on
from pipelines.tracking.client import Store
from pipelines.tracking.registry import Challenge, registered_name
from tests.flows.conftest import execution

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
    found = list(ranked({"ours": SUMMARY, "authors": SUMMARY, "hifst": SUMMARY}, tmp_path, tmp_path, "c0"))
    weights = hashlib.sha256(b"weights").hexdigest()
    assert found == [{"name": "ours", "train": "CUHK-TR-1", "weights": weights, "mae": 0.5, "challenge": None}]


@pytest.mark.parametrize(("train", "errors"), [("CUHK-TR-1 & DUT-TR", {"7": 0.25, "8": 0.5}), ("CUHK-TR-2", None)])
def test_who_trained_on_its_photographs_is_no_challenger(
    tmp_path: Path, train: str, errors: dict[str, float] | None
) -> None:
    write_json(tmp_path / "ours/card.json", {"train": train})
    (tmp_path / "ours/model.safetensors").write_bytes(b"weights")
    rows = "CUHK-TE-1,7,0.25,0.5\nEBD,9,1,0\nCUHK-TE-1,8,0.5,0.5\n"
    (tmp_path / "ours/per_image.csv").write_text(f"test_set,id,mae,iou\n{rows}")
    (found,) = ranked({"ours": SUMMARY}, tmp_path, tmp_path, "c0")
    assert found["challenge"] == (errors and Challenge(errors, "c0", judged))


def photographs(*errors: float) -> dict[str, float]:
    return {str(number): error for number, error in enumerate(errors)}


def test_the_judge_asks_whether_the_paired_interval_lies_below_zero() -> None:
    before = photographs(0.5, 0.25, 0.75, 0.5)
    assert judged(before, photographs(0.25, 0.0, 0.5, 0.25)) == (
        True,
        "MAE on CUHK-TE-1 -0.2500 (-0.2500 to -0.2500) over 4 photographs",  # every draw has this mean
    )
    assert judged(before, photographs(0.75, 0.5, 1.0, 0.75))[0] is False
    won, figures = judged(before, photographs(0.0, 0.5, 0.25, 0.5))  # -0.5, +0.25, -0.5, 0: better on average alone
    assert won is False
    assert figures.startswith("MAE on CUHK-TE-1 -0.1875 (-0.5000 to +0.")
    assert judged(before, {"other": 0.0}) == (False, "no photograph in common")


def test_the_champion_is_left_for_what_is_better_beyond_chance_alone(
    empty_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.chdir(tmp_path)
    store, split = Store(), {"experiment": "toy", "train": "CUHK-TR-1"}
    run, _ = store.begin(execution("one"))
    name = registered_name(**split)

    def challenge(weights: str, contest: str, *errors: float) -> tuple[str, str]:
        """The champion's version, and what is said of this one, after its scores."""
        path = tmp_path / f"{weights}.safetensors"
        path.write_text(weights)
        store.registry.log(run, name=weights, path=path, **split)
        facts = {"name": weights, "weights": hashlib.sha256(weights.encode()).hexdigest(), "mae": 0.5, **split}
        asked = Challenge(photographs(*errors), contest, judged)
        store.registry.score(test_data="all", challenge=asked, **facts)
        tags = store.client.get_model_version(name, store.registry._version(name, facts["weights"]).version).tags
        champion = store.client.get_model_version_by_alias(name, "champion")
        return champion.tags["dbdflow.model"], tags.get("dbdflow.champion", "")

    first = "became champion: the first that was scored on CUHK-TE-1"
    assert challenge("a", "c0", 0.5, 0.25, 0.75, 0.5) == ("a", first)
    assert challenge("a", "c0", 0.5, 0.25, 0.75, 0.5) == ("a", first), "against itself nothing is decided"
    champion, said = challenge("b", "c0", 0.0, 0.5, 0.25, 0.5)
    assert champion == "a"
    assert said.startswith("did not become champion: MAE on CUHK-TE-1 -0.1875 (-0.5000 to +0.")
    assert said.endswith(" over 4 photographs against version 1")
    assert challenge("c", "c1", 0.0, 0.0, 0.0, 0.0) == (
        "a",
        "did not become champion: version 1 was scored on other data; move the alias by hand to end its reign",
    )
    assert challenge("d", "c0", 0.25, 0.0, 0.5, 0.25) == (
        "d",
        "became champion: MAE on CUHK-TE-1 -0.2500 (-0.2500 to -0.2500) over 4 photographs against version 1",
    )
    champion, said = challenge("a", "c0", 0.5, 0.25, 0.75, 0.5)
    assert champion == "d", "what is worse does not come back"
    assert said.endswith("MAE on CUHK-TE-1 +0.2500 (+0.2500 to +0.2500) over 4 photographs against version 4")


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
