"""What bfloat16 and more views in the teacher's cache change on the miniature: writes benchmarks/VARIANTS.md.

`python benchmarks/variants.py --seeds 0 1 2` trains DFFNet and D-DFFNet in a clone of this checkout for every variant
and seed. The images are rendered: nothing here is comparable with the paper's numbers.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from origin import ROOT, commit
from parallel import clone
from ruamel.yaml import YAML
from seeds import METRICS, Scores, chosen_seeds, spread

from pipelines.running.experiments import put

OUT = ROOT / "benchmarks" / "VARIANTS.md"
RUNS = ("dffnet", "d_dffnet")
VARIANTS: dict[str, dict[str, Any]] = {
    "2 views (as shipped)": {},
    "1 view": {"teacher.cache_gb": 0.001},
    "14 views: no jitter repeats": {"teacher.cache_gb": 10.0},
    "online teachers": {"teacher.mode": "online"},
    "bfloat16": {"runtime.precision": "bfloat16"},
}
BASE = next(iter(VARIANTS))


def run(checkout: Path, changes: dict[str, Any], seed: int) -> tuple[Scores, float, int]:
    """Scores of the runs, seconds, and bytes of the depth teacher's cache."""
    yaml, path = YAML(), checkout / "params.yaml"
    params = yaml.load((ROOT / "presets" / "miniature.yaml").read_text())
    for key, value in (changes | {"seed": seed}).items():
        put(params, key, value)
    with path.open("w") as file:
        yaml.dump(params, file)
    begun = time.monotonic()
    stages = [f"evaluate@{name}" for name in RUNS]
    subprocess.run([sys.executable, "-m", "dvc", "repro", *stages], cwd=checkout, check=True, stdout=sys.stderr)
    took = time.monotonic() - begun
    scores = {name: json.loads((checkout / "data/scores" / name / "summary.json").read_text()) for name in RUNS}
    held = sum(each.stat().st_size for each in (checkout / "data/teacher_cache").rglob("*.npy"))
    return scores, took, held


def note(found: dict[str, list[tuple[Scores, float, int]]], seeds: list[int], commit: str) -> str:
    """The note, in Markdown."""
    tests = list(found[BASE][0][0]["dffnet"])
    lines = [
        "# Variants of the miniature: precision, and views of the teacher's cache",
        "",
        f"{time.strftime('%Y-%m-%d')}, commit {commit}, {platform.machine()}, {len(os.sched_getaffinity(0))} cores, "
        f"`python benchmarks/variants.py --seeds {' '.join(map(str, seeds))}`. Rendered images: **not comparable with "
        "the paper's numbers.** Mean ± standard deviation over seeds. DFFNet has no teacher: only bfloat16 changes it.",
        "",
        "| variant | run | metric | " + " | ".join(tests) + " |",
        "|---|---|---|" + "---|" * len(tests),
    ]
    for variant, name, metric in product(found, RUNS, METRICS):
        if name == "dffnet" and "teacher" in " ".join(VARIANTS[variant]):
            continue
        cells = [spread([scores[name][test][metric] for scores, _, _ in found[variant]]) for test in tests]
        lines.append(f"| {variant} | {name} | {metric} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "Change against the variant as shipped, as a multiple of the standard deviation over its seeds; within 2: "
        "within the spread.",
        "",
        "| variant | run | metric | " + " | ".join(tests) + " | largest |",
        "|---|---|---|" + "---|" * (len(tests) + 1),
    ]
    for variant, name, metric in product(list(found)[1:], RUNS, METRICS):
        if name == "dffnet" and "teacher" in " ".join(VARIANTS[variant]):
            continue
        changes = []
        for test in tests:
            before, after = (
                np.array([scores[name][test][metric] for scores, _, _ in found[v]]) for v in (BASE, variant)
            )
            changes.append((after.mean() - before.mean()) / before.std(ddof=1))
        largest = max(changes, key=abs)
        cells = " | ".join(f"{each:+.1f}" for each in changes)
        lines.append(f"| {variant} | {name} | {metric} | {cells} | {largest:+.1f} |")
    lines += ["", "| variant | depth teacher's cache |", "|---|---|"]
    lines += [f"| {variant} | {results[0][2] / 2**20:.0f} MiB |" for variant, results in found.items()]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Train every variant and write the note."""
    seeds, version = chosen_seeds(__doc__ or ""), commit()
    found: dict[str, list[tuple[Scores, float, int]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        checkout = clone(Path(folder) / "dbdflow")
        for variant, changes in VARIANTS.items():
            for seed in seeds:
                found.setdefault(variant, []).append(run(checkout, changes, seed))
                print(f"{variant}, seed {seed}: {found[variant][-1][1]:.0f} s", flush=True)
    OUT.write_text(note(found, seeds, version), encoding="utf-8")
    print(OUT)


if __name__ == "__main__":
    main()
