"""The study's runs in a real store of MLflow."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from pipelines.tracking.client import Store
from pipelines.tracking.study import TAG, log_study
from tests.study.results_of import results

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload``")  # of MLflow's own library


@pytest.fixture(autouse=True)
def _store(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mlflow").mkdir()
    shutil.copy(empty_database, tmp_path / "mlflow" / "mlflow.db")
    monkeypatch.setattr("pipelines.system.environment.state", lambda: tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def test_every_run_is_logged_once_and_compared(tmp_path: Path) -> None:
    found = results(dffnet=(0.05, 0.06), d_dffnet=(0.04,))
    first, second = log_study(found, "quick"), log_study(found, "quick")
    assert first == second
    store = Store()
    runs = {each.data.tags[TAG].rpartition("-")[0]: each for each in store.find("dbdflow.kind", "study")}
    assert sorted(runs) == ["d_dffnet-1-quick-abc1234", "dffnet-1-quick-abc1234", "dffnet-2-quick-abc1234"]
    one = runs["dffnet-2-quick-abc1234"]
    assert one.data.params == {"row": "dffnet", "seed": "2", "scale": "quick", "machine": "a machine"}
    assert one.data.metrics["CUHK-TE-1.mae"] == pytest.approx(found.runs["dffnet", 2]["mae"].mean())
    assert one.data.metrics["minutes"] == 9.5
    assert one.info.status == "FINISHED"
    assert {each.info.run_id for each in runs.values()} == set(re.findall(r"%22([0-9a-f]{32})%22", first))
    assert first.endswith("below MLflow's address, once `dbdflow up` serves it")
    found.runs["dffnet", 2]["mae"][0] += 0.01
    found.runs["dffnet", 2]["mae_textured"][:3] = np.nan  # photographs without texture
    other = log_study(found, "quick")
    assert len(store.find("dbdflow.kind", "study")) == 4, "other figures are another run"
    assert {*re.findall("%22([0-9a-f]{32})%22", other)} ^ {*re.findall("%22([0-9a-f]{32})%22", first)} == {
        one.info.run_id,
        *re.findall("%22([0-9a-f]{32})%22", other)[1:2],
    }
    (tmp_path / "mlflow_url").write_text("http://127.0.0.1:5000")
    assert log_study(found, "quick").startswith("http://127.0.0.1:5000/#/compare-runs?runs=%5B%22")
