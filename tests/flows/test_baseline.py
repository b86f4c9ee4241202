"""Stage `baseline` as `dvc.yaml` starts it: side by side, killed with -9, wrong methods."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from components.common.yaml_files import dump_yaml, read_yaml
from components.maps.files import write_maps
from tests.report.synthetic import write_prepared

COUNT = 6
METHOD = """
import time
from pathlib import Path

def fit(photographs):
    Path("fits").open("a").write("x")
    return {"shift": photographs[0][0][:1, :1, 0] * 0.0}

def slow(image, learned):
    with Path("calls").open("a") as calls:
        calls.write(f"{image[0, 0, 0]}\\n")
    time.sleep(0.1)
    return (image[..., 0] / 255 + learned["shift"][0, 0]).clip(0, 1)

def picky(image):
    return image[..., 0] / (255 if image[0, 0, 0] != 3 else 1)
"""


@pytest.fixture
def checkout(tmp_path: Path, root: Path) -> Path:
    """Photographs of two sets, one of them to learn from too, and a stranger's methods."""
    params = read_yaml(root / "presets/smoke.yaml")
    mine = {"code": "mine.py", "train": "none"}
    params["baselines"] = {
        "slow": mine | {"function": "mine:slow", "train": "CUHK-TR-1"},
        "picky": mine | {"function": "mine:picky"},
    }
    params["evaluated"] = ["slow"]
    (tmp_path / "params.yaml").write_text(dump_yaml(params))
    (tmp_path / "mine.py").write_text(METHOD)
    for name, splits in (("cuhk", ["CUHK-TE-1", "CUHK-TR-1"]), ("dut", ["DUT-TE"])):
        images = np.zeros((COUNT, 6, 7, 3), np.uint8) + np.arange(COUNT, dtype=np.uint8)[:, None, None, None]
        images += np.uint8(COUNT * (name == "dut"))
        labels = np.ones((COUNT, 6, 7), np.uint8)
        write_prepared(
            tmp_path / "prepared" / name, name=name, images=images, labels=labels, splits=[splits] * COUNT,
            dof=[""] * COUNT, found={"notes": []},
        )  # fmt: skip
        (tmp_path / "raw" / name).mkdir(parents=True)
        for number, image in enumerate(images):
            Image.fromarray(image).save(tmp_path / "raw" / name / f"{number}.jpg", quality=100)
    return tmp_path


def start(folder: Path, root: Path, method: str, workers: int = 2, out: str = "out") -> "subprocess.Popen[str]":
    options = ["--method", method, "--raw", "raw", "--prepared", "prepared", "--out", out]
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("DVC_", "PREFECT_"))}
    environment |= {"PYTHONPATH": str(root), "DBDFLOW_MLFLOW": "off", "DBDFLOW_CORES": str(workers)}
    command = [sys.executable, "-m", "pipelines.stages.baseline", *options]
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_killed_with_9_it_goes_on_and_ends_with_the_same_bytes(checkout: Path, root: Path) -> None:
    process = start(checkout, root, "slow")
    deadline = time.monotonic() + 120
    while len(done := list(checkout.glob(".dbdflow/scratch/*/*/[0-9a-z]*.npy"))) < 3:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not psutil.wait_procs(children, timeout=10)[1], "a process outlives the one that started it"
    begun = len((checkout / "calls").read_text().split())
    again = start(checkout, root, "slow")
    errors = again.communicate(timeout=120)[1]
    assert again.returncode == 0, errors
    assert f"{2 * COUNT}/{2 * COUNT} images" in errors
    calls = (checkout / "calls").read_text().split()
    assert len(set(calls)) == 2 * COUNT
    assert len(calls) - 2 * COUNT <= begun - len(done), "what was done is done again"
    assert (checkout / "fits").read_text() == "x"
    assert not list(checkout.glob(".dbdflow/scratch/*"))
    assert {path.name for path in (checkout / "out").iterdir()} == {"cuhk.zip", "dut.zip", "fitted.npz"}
    for name, first in (("cuhk", 0), ("dut", COUNT)):
        shown = [(f"{name}{number:03d}", np.full((6, 7), (first + number) / 255)) for number in range(COUNT)]
        write_maps(checkout / "straight.zip", shown)
        assert (checkout / "out" / f"{name}.zip").read_bytes() == (checkout / "straight.zip").read_bytes()


def test_a_wrong_map_is_one_message_and_leaves_nothing(checkout: Path, root: Path) -> None:
    shutil.rmtree(checkout / "prepared/dut")
    process = start(checkout, root, "picky")
    errors = process.communicate(timeout=120)[1]
    assert process.returncode == 2
    assert "error: baselines.picky (mine:picky): of raw/cuhk/3.jpg it returned values from 3 to 3" in errors
    assert "Traceback" not in errors
    assert not (checkout / "out").exists()
