"""What the courier shows of a stage in Prefect: a real server, a real stage, a real courier."""

import base64
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.showing import WIDTH, artifacts, picture
from tests.flows.conftest import Checkout, until
from tests.flows.test_reproduce import ask
from tests.flows.test_stage import Wire

TOY = (sys.executable, "-m", "pipelines.toy", "--run", "first")


def shown(api: str, checkout: Checkout) -> dict[str, dict[str, Any]]:
    """Artifacts of the flow run that MLflow's run of the stage names."""
    run = checkout.tracked().stages["toy@first"].data.tags["prefect.flow_run_id"]
    found = ask(f"{api}/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run]}}})
    assert len({each["key"] for each in found}) == len(found)
    return {each["key"]: each for each in found}


def test_progress_pictures_and_tables_of_a_stage(checkout: Checkout, prefect_api: str) -> None:
    checkout.write(".dbdflow/mlflow_url", "http://127.0.0.1:5999")
    assert checkout.run(*TOY, PREFECT_API_URL=prefect_api).returncode == 0
    found = shown(prefect_api, checkout)
    assert set(found) == {
        "toy-first-progress", "toy-first-maps-one", "toy-first-scores", "toy-first-mlflow",
    }  # fmt: skip
    progress = found["toy-first-progress"]
    assert (progress["type"], progress["data"], progress["description"]) == ("progress", 100.0, "3/3 epoch 2")
    table = found["toy-first-scores"]
    assert (table["type"], json.loads(table["data"])) == ("table", [{"test set": "A", "mae": 0.5}])
    assert table["description"] == "blurred region positive"
    image = found["toy-first-maps-one"]
    assert image["type"] == "image"
    assert "white = in focus" in image["description"]
    assert np.array_equal(pixels(image["data"]), np.arange(12, dtype=np.uint8).reshape(3, 4))
    run = checkout.tracked().stages["toy@first"].info
    address = f"http://127.0.0.1:5999/#/experiments/{run.experiment_id}/runs/{run.run_id}"
    assert found["toy-first-mlflow"]["data"] == f"[toy@first in MLflow]({address})"


def pixels(address: str) -> np.ndarray:
    kind, _, content = address.partition(",")
    assert kind == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))


def test_a_courier_killed_in_the_middle_shows_nothing_twice(checkout: Checkout, prefect_api: str) -> None:
    checkout.write("hold", "")
    with checkout.start(*TOY, PREFECT_API_URL=prefect_api) as stage:
        until(lambda: any('"flow_run": {' in path.read_text() for path in checkout.journal.glob("*.state")))
        checkout.kill_courier()
        (checkout.root / "hold").unlink()
        stage.communicate(timeout=60)
    assert stage.returncode == 0
    assert shown(prefect_api, checkout)["toy-first-progress"]["data"] == 100.0


@pytest.fixture
def wire(prefect_api: str) -> Iterator[Wire]:
    made = Wire(prefect_api)
    made.start()
    yield made
    made.join(10)


def test_a_server_that_has_gone_keeps_nothing_from_mlflow(checkout: Checkout, wire: Wire) -> None:
    checkout.write("hold", "")
    with checkout.start(*TOY, PREFECT_API_URL=wire.api) as stage:
        until(lambda: any('"flow_run": {' in path.read_text() for path in checkout.journal.glob("*.state")))
        wire.cut()
        (checkout.root / "hold").unlink()
        stage.communicate(timeout=60)
    run = checkout.tracked().stages["toy@first"]
    assert (stage.returncode, run.info.status) == (0, "FINISHED")
    assert checkout.tracked().artifact("toy@first", "maps/one.png").exists()
    assert "not shown in Prefect" in (checkout.root / ".dbdflow/courier.log").read_text()


def test_the_last_word_of_progress_counts() -> None:
    events = [{"event": "progress", "done": done, "total": 8, "message": f"{done}/8"} for done in (1, 2, 6)]
    (found,) = artifacts("train@a b", events, Path())
    assert found == {"key": "train-a-b-progress", "type": "progress", "data": 75.0, "description": "6/8"}


def test_a_wide_picture_is_made_smaller(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((100, 1024, 3), np.uint8)).save(tmp_path / "wide.png")
    assert pixels(picture(tmp_path / "wide.png")).shape == (50, WIDTH, 3)


def test_without_a_flow_run_nothing_is_asked(checkout: Checkout) -> None:
    assert checkout.run(*TOY).returncode == 0
    assert checkout.tracked().stages["toy@first"].info.status == "FINISHED"
    assert "not shown" not in (checkout.root / ".dbdflow/courier.log").read_text()
