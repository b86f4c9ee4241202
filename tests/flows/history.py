"""A small repository with a real history of git and DVC, its outputs laid out as the project's are."""

import os
import subprocess
import sys
from pathlib import Path

from tests.flows.conftest import PROJECT

MAKE = """
import json
import sys
from pathlib import Path

import yaml

kind, run = sys.argv[1:]
rate = yaml.safe_load(Path("params.yaml").read_text())["rates"][run] if kind == "train" else None
out = Path("data", {"train": "models", "predict": "predictions", "evaluate": "scores"}[kind], run)
out.mkdir(parents=True)
if kind == "train":
    (out / "history.csv").write_text(f"epoch,loss\\n1,{rate}\\n2,{rate / 2}\\n")
    (out / "card.json").write_text("{}")
if kind == "predict":
    loss = float((Path("data/models", run) / "history.csv").read_text().split(",")[2].split()[0])
    import numpy as np

    from components.maps.files import write_maps

    names = {"a": loss, "b": loss / 2}
    write_maps(out / "cuhk.zip", [(name, np.full((4, 5), 0.375 * each)) for name, each in names.items()])
if kind == "evaluate":
    loss = float((Path("data/models", run) / "history.csv").read_text().split(",")[2].split()[0])
    scores = {"mae": loss, "iou": 0.5, "f_beta": 0.7, "images": 2}
    (out / "summary.json").write_text(json.dumps({"CUHK-TE-1": scores}))
    points = [f"CUHK-TE-1,{i},{1 - loss / 10},{1 - i / 4}" for i in range(5)]
    (out / "curves.csv").write_text("\\n".join(["test_set,threshold,precision,recall", *points]) + "\\n")
"""

DVC_YAML = """
stages:
  train:
    foreach: [first, second]
    do:
      cmd: python make.py train ${item}
      deps: [lib/train.py]
      params: ["rates.${item}"]
      outs: ["data/models/${item}"]
  predict:
    foreach: [first, second]
    do:
      cmd: python make.py predict ${item}
      deps: ["data/models/${item}"]
      outs: ["data/predictions/${item}"]
  evaluate:
    foreach: [first, second]
    do:
      cmd: python make.py evaluate ${item}
      deps: [lib/score, "data/models/${item}", "data/predictions/${item}"]
      outs: ["data/scores/${item}"]
  report:
    cmd: mkdir -p data/report && cat data/scores/*/summary.json > data/report/index.html
    deps: [data/scores]
    outs: [data/report]
"""

FILES = {
    "make.py": MAKE,
    "dvc.yaml": DVC_YAML,
    "params.yaml": "name: toy\nevaluated: [first, second]\nrates: {first: 1.0, second: 0.5}\n",
    "lib/train.py": "1\n",
    "lib/score/one.py": "1\n2\n",
    "README.md": "toy\n",
    ".gitignore": ".dbdflow\n__pycache__\n",
    ".dvc/config": "[core]\n    analytics = false\n    check_update = false\n",
    ".dvc/.gitignore": "/config.local\n/tmp\n/cache\n",
    "pipelines/running/resources.yaml": "{train: {cores: 0}}\n",
    "benchmarks/seeds.json": '{"name": "toy", "commit": "c0ffee", "seeds": [0, 1], '
    '"spread": {"first": {"CUHK-TE-1": {"mae": 0.1, "iou": 0.2}}}}\n',
    "costs.json": '{"train@first": {"seconds": 3600, "device": "GPU Z"}, "report": {"seconds": 5, "device": "CPU"}}\n',
}


class History:
    """The repository; `commits` by their messages."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.commits: dict[str, str] = {}
        for path, text in FILES.items():
            self.write(path, text)
        self.call("git", "init", "--quiet", "--initial-branch", "main")
        self.call("git", "config", "user.email", "toy@example.invalid")
        self.call("git", "config", "user.name", "toy")
        self.commit("unreproduced")

    def write(self, path: str, text: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def replace(self, path: str, old: str, new: str) -> None:
        text = (self.root / path).read_text()
        assert old in text
        self.write(path, text.replace(old, new))

    def call(self, *command: str) -> str:
        own = {"PYTHONPATH": str(PROJECT), "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
        environment = {name: value for name, value in os.environ.items() if not name.startswith("DVC_")}
        done = subprocess.run(
            command, cwd=self.root, env=environment | own, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def commit(self, message: str) -> str:
        self.call("git", "add", "--all")
        self.call("git", "commit", "--quiet", "--message", message)
        self.commits[message] = self.call("git", "rev-parse", "HEAD").strip()
        return self.commits[message]

    def reproduce(self) -> None:
        self.call("dvc", "repro", "--quiet")

    def cached(self, path: str, name: str) -> Path:
        """Where DVC's cache has a file of an output of the workspace."""
        import hashlib

        digest = hashlib.md5((self.root / path / name).read_bytes()).hexdigest()
        return self.root / ".dvc/cache/files/md5" / digest[:2] / digest[2:]
