"""What bfloat16 and more views in the teacher's cache change on the miniature: writes benchmarks/VARIANTS.md.

`python benchmarks/variants.py --seeds 0 1 2` trains DFFNet and D-DFFNet in a clone of this checkout for every variant
and seed. The images are rendered: nothing here is comparable with the paper's numbers.
"""

import argparse
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
from ruamel.yaml import YAML
from seeds import METRICS, ROOT, Scores, spread

OUT = ROOT / "benchmarks" / "VARIANTS.md"
RUNS = ("dffnet", "d_dffnet")
VARIANTS: dict[str, dict[str, Any]] = {
    "1 view (as shipped)": {},
    "2 views": {"teacher.views": 2},
    "4 views": {"teacher.views": 4},
    "14 views: no jitter repeats": {"teacher.views": 14},
    "online teachers": {"teacher.mode": "online"},
    "bfloat16": {"runtime.precision": "bfloat16"},
}
BASE = next(iter(VARIANTS))


def run(clone: Path, changes: dict[str, Any], seed: int) -> tuple[Scores, float, int]:
    """Scores of the runs, seconds, and bytes of the depth teacher's cache."""
    yaml, path = YAML(), clone / "params.yaml"
    params = yaml.load((ROOT / "presets" / "miniature.yaml").read_text())
    for key, value in (changes | {"seed": seed}).items():
        *sections, name = key.split(".")
        section = params
        for each in sections:
            section = section[each]
        section[name] = value
    with path.open("w") as file:
        yaml.dump(params, file)
    begun = time.monotonic()
    stages = [f"evaluate@{name}" for name in RUNS]
    subprocess.run([sys.executable, "-m", "dvc", "repro", *stages], cwd=clone, check=True, stdout=sys.stderr)
    took = time.monotonic() - begun
    scores = {name: json.loads((clone / "data/scores" / name / "summary.json").read_text()) for name in RUNS}
    held = sum(each.stat().st_size for each in (clone / "data/teacher_cache").rglob("*.npy"))
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
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    seeds = parser.parse_args().seeds
    if len(seeds) < 2:
        parser.error("--seeds: at least two are needed for a spread")
    commit = subprocess.run(
        ["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True, check=True
    ).stdout.strip()
    found: dict[str, list[tuple[Scores, float, int]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "dbdflow"
        subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
        for variant, changes in VARIANTS.items():
            for seed in seeds:
                found.setdefault(variant, []).append(run(clone, changes, seed))
                print(f"{variant}, seed {seed}: {found[variant][-1][1]:.0f} s", flush=True)
    OUT.write_text(note(found, seeds, commit), encoding="utf-8")
    print(OUT)


if __name__ == "__main__":
    main()
