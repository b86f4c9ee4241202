"""What the courier shows of a stage in Prefect: a real server, a real stage, a real courier."""

import base64
import io
import json
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image
from pipelines.tracking.executions import ASSIGNED
from pipelines.tracking.parcels import Parcel
from pipelines.tracking.showing import WIDTH, FlowRun, Showing, artifacts, picture

from tests.flows.conftest import Checkout, Wire, ask, until

TOY = (sys.executable, "-m", "pipelines.stages.toy", "--run", "first")
NOBODY = "00000000-0000-0000-0000-000000000000"


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
    address = f"http://127.0.0.1:5999/#/experiments/{run.experiment_id}/runs/{run.run_id}"
    assert found["toy-first-mlflow"]["data"] == f"[toy@first in MLflow]({address})"
    kept = json.loads((checkout.root / ".dbdflow/executions.js").read_text().removeprefix(ASSIGNED).rstrip(";\n"))
    execution = kept[tags["dvc.deps_hash"]]  # what the report's page shows of it
    assert (execution["stage"], execution["mlflow"]) == ("toy@first", address)
    flow = tags["prefect.flow_run_id"]
    assert execution["prefect"] == f"{prefect_api.removesuffix('/api')}/runs/flow-run/{flow}"
    assert execution["seconds"] == pytest.approx((run.end_time - run.start_time) / 1000, abs=0.06)


def pixels(address: str) -> np.ndarray:
    kind, _, content = address.partition(",")
    assert kind == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))


def test_a_courier_killed_in_the_middle_shows_nothing_twice(checkout: Checkout, prefect_api: str) -> None:
    checkout.write("hold", "")
    with checkout.start(*TOY, PREFECT_API_URL=prefect_api) as stage:
        until(lambda: any('"flow_run": {' in path.read_text() for path in checkout.journal.glob("*.state")))
        checkout.lose_courier()
        (checkout.root / "hold").unlink()
        stage.communicate(timeout=60)
    assert stage.returncode == 0
    assert shown(prefect_api, checkout)["toy-first-progress"]["data"] == 100.0


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


PROGRESS = {"event": "progress", "done": 1, "total": 2, "message": "1/2"}


def stage_at(api: str, tmp_path: Path) -> tuple[Parcel, list[dict[str, Any]]]:
    parcel = Parcel(tmp_path / "toy.jsonl", {"name": "toy"})
    return parcel, [{"event": "tags", "values": {"prefect.flow_run_id": NOBODY, "prefect.api": api}}, PROGRESS]


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
def test_whatever_answers_holds_up_no_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, reply: bytes
) -> None:
    monkeypatch.setattr("pipelines.tracking.showing.TIMEOUT", 0.5)
    parcel, events = stage_at(answering(reply), tmp_path)
    showing, begun = Showing(), time.monotonic()
    for _ in range(5):
        showing.show(parcel, events, "run")
    assert time.monotonic() - begun < 1.0, "a silent server is asked once"
    showing.show(parcel, [{"event": "end"}], "run")
    assert showing.again()
    monkeypatch.setattr("time.monotonic", Mock(return_value=begun + 100))
    assert not showing.again(), "it is not tried for ever"
    assert len(caplog.messages) == 1


def test_what_a_server_missed_comes_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefect_api: str) -> None:
    flow = ask(f"{prefect_api}/flows/", {"name": "missed"})["id"]
    run = ask(f"{prefect_api}/flow_runs/", {"flow_id": flow})["id"]
    parcel = Parcel(tmp_path / "toy.jsonl", {"name": "toy"})
    parcel.flow_run = {"api": f"{prefect_api}/", "id": run}
    showing, table = Showing(), {"event": "table", "name": "scores", "rows": [{"MAE": 0.5}], "description": ""}
    with monkeypatch.context() as gone:
        gone.setattr(FlowRun, "_ask", Mock(side_effect=ConnectionRefusedError))
        showing.show(parcel, [table, PROGRESS], "run")
        showing.show(parcel, [PROGRESS | {"done": 2}, {"event": "end"}], "run")
    until(lambda: not showing.again())
    found = ask(f"{prefect_api}/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run]}}})
    assert {each["key"]: each["data"] for each in found} == {"toy-scores": '[{"MAE": 0.5}]', "toy-progress": 100.0}


def test_a_journal_from_before_this_has_nothing_to_show(tmp_path: Path) -> None:
    (tmp_path / "toy.state").write_text('{"run": "f00", "offset": 3}')
    parcel = Parcel(tmp_path / "toy.jsonl", {"name": "toy"})
    Showing().show(parcel, [{"event": "tags", "values": {"prefect.flow_run_id": NOBODY}}, PROGRESS], "f00")
    assert (parcel.run, parcel.offset, parcel.flow_run) == ("f00", 3, None)


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
