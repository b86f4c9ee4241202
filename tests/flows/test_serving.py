"""A logged model is MLflow's own: loaded and served by it, its maps are the detector's."""

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from components.models.run_files import write_run
from dbdflow import Detector
from pipelines.tracking.client import Store
from tests.flows.conftest import answers, execution, free_port, until
from tests.models.tiny import build_tiny

MODEL = "models:/dbdflow.toy.CUHK-TR-1/1"
PHOTOS = np.random.default_rng(0).integers(0, 256, (2, 40, 56, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def expected(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[np.ndarray]:
    """The detector's own maps; the run is registered in the store of the environment."""
    folder = tmp_path_factory.mktemp("serving")
    shutil.copy(empty_database, folder / "mlflow.db")
    card = {"run": "mine", "train": "CUHK-TR-1", "model": "dffnet", "params": {"image_size": 64}}
    write_run(folder / "mine", build_tiny("dffnet"), [], card)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        patch.chdir(folder)
        store = Store()
        run, _ = store.begin(execution("one"))
        store.registry.log(
            run, name="mine", path=folder / "mine/model.safetensors", experiment="toy", train="CUHK-TR-1"
        )
        shutil.move(folder / "mine", folder / "moved")
        yield np.stack(list(Detector.load(folder / "moved").maps(PHOTOS)))


def test_a_registered_run_is_loaded_by_mlflow(expected: np.ndarray) -> None:
    with warnings.catch_warnings(action="ignore"):  # its libraries', while they are imported
        import mlflow.pyfunc
    model = mlflow.pyfunc.load_model(MODEL)
    found = model.predict(PHOTOS)
    assert (found.shape, found.dtype) == ((2, 40, 56), np.float32)
    np.testing.assert_array_equal(found, expected)
    assert model.predict(PHOTOS[:0]).shape == (0, 40, 56)
    with pytest.raises(Exception, match="does not match expected shape"):
        model.predict(PHOTOS[..., 0])


def test_mlflow_serves_it(expected: np.ndarray, tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", MODEL, "--port", str(port)]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(
            [*command, "--env-manager", "local", "--workers", "1"], stdout=log, stderr=log, start_new_session=True
        )
    try:
        until(lambda: server.poll() is not None or answers(f"http://127.0.0.1:{port}/ping"), 120)
        asked = urllib.request.Request(
            f"http://127.0.0.1:{port}/invocations",
            json.dumps({"inputs": PHOTOS.tolist()}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(asked, timeout=60) as answer:
            found = np.array(json.load(answer)["predictions"], np.float32)
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
    np.testing.assert_array_equal(found, expected)
