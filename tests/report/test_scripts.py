"""The gallery's order by hand, in Node where it is there: what the page does with the data, without a page."""

import json
import shutil
import subprocess

import pytest

from components.report.rendering import HERE

NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(NODE is None, reason="no Node")

DATA = {
    "methods": [{"run": "dffnet", "name": "DFFNet"}, {"run": "d_dffnet", "name": "D-DFFNet"}],
    "metrics": [{"key": "mae", "name": "MAE", "better": "lower"}, {"key": "iou", "name": "IoU", "better": "higher"}],
    "photographs": {
        "id": ["a", "b", "c", "d"],
        "sets": [[0], [0, 1], [1], [1]],
        "dof": [0, 1, 2, 1],
        "focus": [0, 500, 505, 1000],
    },
    "scores": {
        "dffnet": {"mae": [300, 100, 200, None], "iou": [5, 6, 7, 8]},
        "d_dffnet": {"mae": [100, 100, 250, 900], "iou": [9, 6, 5, 8]},
    },
}
QUESTION = {"key": "k", "first": "dffnet", "second": "d_dffnet", "metric": "iou", "view": "slider", "dof": "wide"}
CASES = [
    ({}, "abcd"),  # d_dffnet - dffnet: -200, 0, 50, none
    ({"descending": True}, "cbad"),  # what has no value stays last
    ({"by": "first"}, "bcad"),
    ({"by": "second"}, "abcd"),  # equal ones as they lie
    ({"by": "second", "metric": "iou", "descending": True}, "adbc"),
    ({"set": "1"}, "bcd"),
    ({"dof": "1"}, "bd"),
    ({"dof": "2", "set": "0"}, ""),
    ({"low": 50, "high": 50.4}, "b"),
    ({"low": 50}, "bcd"),
    ({"metric": "nothing"}, "abcd"),
]


def test_order():
    """One process for all cases: each starts Node."""
    script = (HERE / "scripts/gallery_order.js").read_text()
    asked = f"""
    const data = {json.dumps(DATA)};
    const names = (state) => ordered(data, state).map((index) => data.photographs.id[index]).join("");
    const cases = {json.dumps([change for change, _ in CASES])};
    const start = startState(data);
    const asked = answering(data, {json.dumps(QUESTION)});
    console.log(JSON.stringify({{
      orders: cases.map((change) => names({{ ...start, ...change }})),
      start: [start.first, start.second, [...start.methods]],
      asked: [asked.metric, asked.descending, asked.dof, asked.view, names(asked)],
    }}));
    """
    done = subprocess.run([NODE, "-e", script + asked], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["orders"] == [order for _, order in CASES]
    assert found["start"] == ["dffnet", "d_dffnet", ["dffnet", "d_dffnet"]]
    assert found["asked"] == ["iou", True, "1", "slider", "bd"]  # the largest gain first; both have none
