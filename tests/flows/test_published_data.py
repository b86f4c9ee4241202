"""The DAG on published data, from nothing, on real DVC: a local server answers for its addresses; gaps are told."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from ruamel.yaml import YAML

from components.acquire.sources import CHECKPOINTS, MIDAS
from components.models.published import to_published
from components.models.registry import build_model
from tests.data import published
from tests.data.webserver import Server, serving
from tests.flows.test_reproduction import Checkout

SMALL = {"channels": [16, 32, 64, 128]}
CHECKPOINT = "published_d_dffnet_cuhk1"
UNLUCKY = "published_dffnet_cuhk1"


def weights(path: Path, name: str, **options: object) -> Path:
    """A published file of weights of a small model."""
    torch.manual_seed(1)
    model = build_model(name, "resnet10t", backbone_kwargs=dict(SMALL), **options)
    torch.save(to_published(name, model.state_dict()), path)
    return path


def paper_like(params: dict) -> dict:
    """The smoke preset as the paper's: published data and weights, a run on DUT, the authors' checkpoints."""
    params["download"] |= {"source": "archives", "without": [UNLUCKY]}
    params["depth_teacher"] |= {"source": "midas_v21"}
    first = params["stage1_runs"]["dffnet"]
    params["stage1_runs"]["dffnet_dut"] = first | {"train": "CUHK-TR-1 & DUT-TR"}
    params["stage2_runs"]["d_dffnet_dut"] = {"training": "stage2", "teacher": "dffnet_dut", "loss": "bce&el"}
    run = {"model": "dffnet", "backbone": "resnet10t", "backbone_options": SMALL}
    params["published"] = {CHECKPOINT: run | {"beside": "d_dffnet"}, UNLUCKY: run | {"beside": "dffnet"}}
    params["cached_sets"] = ["cuhk", "dut"]
    params["baselines"] = {}
    models = ["dffnet", "dffnet_dut", "d_dffnet", "d_dffnet_dut", CHECKPOINT, UNLUCKY]
    return params | {"predicted": models, "evaluated": models, "stage1_depth_runs": {}}


def checkout_of(folder: Path, server: Server) -> Checkout:
    """A checkout with paper-like params, whose network is the server."""
    checkout = Checkout(folder)
    yaml, path = YAML(), folder / "params.yaml"
    params = paper_like(yaml.load(path.read_text()))
    with path.open("w") as file:
        yaml.dump(params, file)
    checkout.environment |= server.environment | {"DBDFLOW_MLFLOW": "off"}
    return checkout


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    folder = tmp_path_factory.mktemp("published")
    (folder / "server").mkdir()
    with serving(folder / "server") as server:
        for address, archive in published.publish(folder / "authors").items():
            server.serve(address, archive)
        server.serve(MIDAS.addresses[0], weights(folder / "midas.pt", "midas", width=32))
        server.serve(CHECKPOINTS[CHECKPOINT].addresses[0], weights(folder / "dffnet.pth", "dffnet"))
        checkout = checkout_of(folder / "checkout", server)
        checkout.reproduce()
        yield checkout


def read(checkout: Checkout, path: str) -> dict:
    return json.loads((checkout.folder / path).read_text())


def test_what_can_be_made_is_made(reproduced: Checkout) -> None:
    for run in ("dffnet", "d_dffnet", CHECKPOINT):
        scores = read(reproduced, f"data/scores/{run}/summary.json")
        assert {name: each["images"] for name, each in scores.items()} == {
            "CUHK-TE-1": 3,
            "CUHK-TE-2": 2,
            "DUT-TE": 3,
            "EBD": 4,
        }
    card = read(reproduced, "data/weights/depth_teacher/card.json")
    assert card["weights"]["file"] == "midas_v21.pt"
    ledger = YAML(typ="safe").load((reproduced.folder / "data/archives/sources.yaml").read_text())
    assert ledger["sha256"][MIDAS.addresses[0]] == card["weights"]["sha256"]
    assert "its sha256 starts with" in reproduced.said
    assert len(ledger["sha256"]) == 7


def test_what_is_lacking_is_told_with_its_reason_up_to_the_report(reproduced: Checkout) -> None:
    assert "no public link is known" in read(reproduced, "data/prepared/ctcug/not_available.json")["reason"]
    for run in ("dffnet_dut", "d_dffnet_dut"):
        for kind in ("models", "predictions", "scores"):
            gap = read(reproduced, f"data/{kind}/{run}/not_available.json")
            assert gap["what"] == "training on DUT-TR"
    assert (
        read(reproduced, f"data/scores/{UNLUCKY}/not_available.json")["reason"]
        == f"{UNLUCKY} is among `download.without`"
    )
    page = (reproduced.folder / "data/report/index.html").read_text()
    for told in ("training on DUT-TR", "no public link is known", f"{UNLUCKY} is among"):
        assert told in page
    assert "images of this experiment are rendered" not in page


def test_a_second_reproduction_runs_nothing(reproduced: Checkout) -> None:
    done = reproduced.dvc("repro")
    assert "Running stage" not in done.stdout, done.stdout


def test_what_is_imported_later_reruns_what_depends_on_it(reproduced: Checkout, tmp_path: Path) -> None:
    published.dut(tmp_path / "bundle", "train_data/1204source", "train_data/1204gt", ["1", "2", "3", "4"])
    command = [
        shutil.which("dbdflow", path=reproduced.environment["PATH"]) or "",
        "import",
        "dut",
        str(tmp_path / "bundle"),
    ]
    subprocess.run([*command, "--partial"], cwd=reproduced.folder, env=reproduced.environment, check=True)
    done = reproduced.dvc("repro", "--dry", "train_stage1@dffnet_dut")
    assert re.findall(r"Running stage '(.+?)'", done.stdout) == ["download@dut"]
    done = reproduced.dvc("repro", "evaluate@dffnet_dut")
    assert done.returncode == 0, done.stderr[-3000:]
    assert read(reproduced, "data/scores/dffnet_dut/summary.json")["DUT-TE"]["images"] == 3
    assert read(reproduced, "data/models/dffnet_dut/card.json")["train"] == "CUHK-TR-1 & DUT-TR"
