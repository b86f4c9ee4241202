"""What a stage shows of itself in Prefect: a real server, a real stage."""

import base64
import io
import json
import socket
import sys
import threading
import time
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

from pipelines.harness.artifacts import PICTURES, WIDTH, Artifacts
from pipelines.repo.executions import ASSIGNED
from tests.flows.conftest import Checkout, Wire, ask, until

TOY = (sys.executable, "-m", "pipelines.stages.toy", "--run", "first")


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
    tracked = checkout.tracked().stages["toy@first"]
    run, tags = tracked.info, tracked.data.tags
    address = f"http://127.0.0.1:5999/#/experiments/{run.experiment_id}/runs/{run.run_id}?workflowType=machine_learning"
    assert found["toy-first-mlflow"]["data"] == f"[toy@first in MLflow]({address})"
    kept = json.loads((checkout.root / ".dbdflow/executions.js").read_text().removeprefix(ASSIGNED).rstrip(";\n"))
    execution = kept[tags["dvc.deps_hash"]]  # what the report's page shows of it
    assert (execution["stage"], execution["mlflow"]) == ("toy@first", address)
    flow = tags["prefect.flow_run_id"]
    assert execution["prefect"] == f"{prefect_api.removesuffix('/api')}/runs/flow-run/{flow}"
    assert execution["seconds"] == pytest.approx((run.end_time - run.start_time) / 1000, abs=1.0)


def pixels(address: str) -> np.ndarray:
    kind, _, content = address.partition(",")
    assert kind == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))


def test_a_server_that_has_gone_keeps_nothing_from_mlflow_and_costs_one_warning(checkout: Checkout, wire: Wire) -> None:
    checkout.write("hold", "")
    with checkout.start(*TOY, PREFECT_API_URL=wire.api) as stage:
        until(checkout.working)
        wire.cut()
        begun = time.monotonic()
        (checkout.root / "hold").unlink()
        _, errors = stage.communicate(timeout=60)
    assert time.monotonic() - begun < 15
    run = checkout.tracked().stages["toy@first"]
    assert (stage.returncode, run.info.status) == (0, "FINISHED")
    assert checkout.tracked().artifact("toy@first", "maps/one.png").exists()
    assert errors.count("Prefect shows no more of this stage") == 1


def answering(reply: bytes) -> str:
    """Address of a server that reads a request and answers in these bytes, or never."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        kept = []
        while True:
            kept.append(listener.accept()[0])
            kept[-1].recv(65536)
            if reply:
                kept[-1].sendall(reply)
                kept.pop().close()

    threading.Thread(target=serve, daemon=True).start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}/api"


@pytest.mark.parametrize(
    "reply",
    [
        b"hello\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[",
        b'HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{"detail": 1}',
        b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
        b"",
    ],
    ids=["no HTTP", "torn", "another API", "busy", "silent"],
)
def test_whatever_answers_is_asked_once(caplog: pytest.LogCaptureFixture, reply: bytes) -> None:
    from prefect.client.orchestration import SyncPrefectClient

    api = answering(reply)
    with SyncPrefectClient(api, httpx_settings={"timeout": 0.5}) as client:
        artifacts = Artifacts(client, "f00", api)
        begun = time.monotonic()
        for number in range(5):
            artifacts.table(f"toy {number}", [{"mae": 0.5}], "")
    assert time.monotonic() - begun < 3.0
    assert [message[:35] for message in caplog.messages] == ["Prefect shows no more of this stage"]


class Server:
    """In the place of Prefect's client: what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, Any]]] = []

    def request(self, method: str, path: str, *, json: dict[str, Any], **more: Any) -> Mock:
        self.asked.append((method, path, json))
        return Mock(json=lambda: {"id": "a1"})


def of_a_server() -> tuple[Server, Artifacts]:
    server = Server()
    return server, Artifacts(server, "f00", "http://127.0.0.1:4200/api/")  # type: ignore[arg-type]


def test_progress_is_said_now_and_then_and_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    server, artifacts = of_a_server()
    assert artifacts.page == "http://127.0.0.1:4200/runs/flow-run/f00"
    now = Mock(return_value=100.0)
    monkeypatch.setattr("pipelines.harness.artifacts.time.monotonic", now)
    for done, moment in ((1, 100.0), (2, 101.0), (6, 102.5), (7, 103.0), (8, 103.1)):
        now.return_value = moment
        artifacts.progress("train@a b progress", done, 8, f"{done}/8")
    assert [(method, json["data"], json["description"]) for method, _, json in server.asked] == [
        ("POST", 12.5, "1/8"), ("PATCH", 75.0, "6/8"), ("PATCH", 100.0, "8/8")
    ]  # fmt: skip
    assert server.asked[0][2] | {"data": 0, "description": ""} == {
        "key": "train-a-b-progress", "type": "progress", "flow_run_id": "f00", "data": 0, "description": ""
    }  # fmt: skip


def test_the_first_pictures_are_shown_and_made_smaller() -> None:
    server, artifacts = of_a_server()
    for number in range(PICTURES + 2):
        artifacts.picture(f"toy {number}", Image.fromarray(np.zeros((100, 1024, 3), np.uint8)), "")
    assert len(server.asked) == PICTURES
    assert {pixels(json["data"]).shape for _, _, json in server.asked} == {(50, WIDTH, 3)}


def test_without_a_server_there_is_nothing_to_show() -> None:
    artifacts = Artifacts()
    artifacts.table("toy", [], "")
    artifacts.picture("toy", Image.fromarray(np.zeros((2, 2), np.uint8)), "")
    assert (artifacts.client, artifacts.page) == (None, None)
