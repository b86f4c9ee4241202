"""The report's numbers as plain files, and whether dvc.yaml names them for DVC's own comparisons."""

import csv
import json
from pathlib import Path

from ruamel.yaml import YAML

DVC_YAML = Path(__file__).parents[2] / "dvc.yaml"


def test_they_are_the_stages_own_numbers(experiment):
    found = json.loads((experiment / "report/metrics.json").read_text())
    assert list(found) == sorted(found)
    assert found["d_dffnet"] == json.loads((experiment / "scores/d_dffnet/summary.json").read_text())
    with (experiment / "scores/d_dffnet/curves.csv").open() as file:
        own = [row for row in csv.DictReader(file) if row["test_set"] == "EBD(1305)"]
    with (experiment / "report/precision_recall/EBD(1305)/d_dffnet.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 256
    for name in ("threshold", "recall", "precision"):
        assert [float(row[name]) for row in rows] == [float(row[name]) for row in own]


def test_dvc_finds_them_with_their_columns(experiment):
    dvc = YAML(typ="safe", pure=True).load(DVC_YAML.read_text())
    assert dvc["metrics"] == ["data/report/metrics.json"]
    assert len(dvc["plots"]) == 2
    for plot in dvc["plots"]:
        ((folder, axes),) = plot.items()
        files = list((experiment / folder.removeprefix("data/")).rglob("*"))
        files = [path for path in files if path.is_file()]
        assert len(files) > 3
        for path in files:
            assert set(axes.values()) <= set(path.read_text().partition("\n")[0].split(","))
