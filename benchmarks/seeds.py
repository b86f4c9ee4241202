"""What distillation and the DOF-edge loss change on the miniature, over several seeds.

`python benchmarks/seeds.py --seeds 0 1 2` works in a clone of this checkout, so that its data and params stay as they
are, and writes benchmarks/SEEDS.md and benchmarks/seeds.json. The images are rendered: nothing here is comparable with
the paper's numbers.
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

import numpy as np
from origin import ROOT, commit
from parallel import clone, environment
from ruamel.yaml import YAML

from components.common.storage import write_json

OUT = ROOT / "benchmarks" / "SEEDS.md"
SPREAD = ROOT / "benchmarks" / "seeds.json"
"""The standard deviations alone, for `dbdflow ci comment` and `dbdflow diff` (pipelines/changes/compare.py)."""
ABLATION = {
    "stage1_runs": {"dffnet_bce": ("dffnet", {"loss": "bce"})},
    "stage2_runs": {
        "d_dffnet_bce_bce": ("d_dffnet", {"teacher": "dffnet_bce", "loss": "bce"}),
        "d_dffnet_bce_el": ("d_dffnet", {"teacher": "dffnet_bce", "loss": "bce&el"}),
    },
}
PAIRS = (
    ("distillation", "dffnet", "d_dffnet"),
    ("distillation, BCE alone", "dffnet_bce", "d_dffnet_bce_bce"),
    ("distillation, PDNet", "pdnet", "d_pdnet"),
    ("DOF-edge loss, stage 1", "dffnet_bce", "dffnet"),
    ("DOF-edge loss, stage 2", "d_dffnet_bce_bce", "d_dffnet_bce_el"),
    ("depth as an output (R-DFFNet)", "dffnet", "rdffnet"),
)
CLASSICAL = ("gradient", "dbdf", "lbp", "hifst")
METRICS = ("mae", "f_beta", "iou")
Scores = dict[str, dict[str, dict[str, float]]]


def with_ablation(params: dict, seed: int) -> dict:
    """The params with the runs of the ablation added, and another seed."""
    for section, runs in ABLATION.items():
        for name, (like, changes) in runs.items():
            params[section][name] = {**params[section][like], **changes}
            for listed in ("predicted", "evaluated"):
                if name not in params[listed]:
                    params[listed].append(name)
    params["seed"] = seed
    return params


def run_seed(clone: Path, seed: int) -> Scores:
    """Reproduce the clone with one seed; the scores of every run."""
    yaml = YAML()
    path = clone / "params.yaml"
    params = with_ablation(yaml.load(path.read_text()), seed)
    with path.open("w") as file:
        yaml.dump(params, file)
    command = [sys.executable, "-m", "pipelines.cli", "reproduce", "evaluate"]
    subprocess.run(command, cwd=clone, env=environment(clone), check=True, stdout=sys.stderr)
    return {
        name: json.loads((clone / "data/scores" / name / "summary.json").read_text()) for name in params["evaluated"]
    }


def spread(values: list[float]) -> str:
    """Mean and standard deviation over seeds."""
    return f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}"


def chosen_seeds(description: str) -> list[int]:
    """The command line's `--seeds`, enough of them for a spread."""
    parser = argparse.ArgumentParser(description=description.partition("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    seeds: list[int] = parser.parse_args().seeds
    if len(seeds) < 2:
        parser.error("--seeds: at least two are needed for a spread")
    return seeds


def spreads(results: list[Scores], seeds: list[int], commit: str) -> dict:
    """Run -> test set -> metric -> standard deviation over seeds, and what it was measured on."""
    found = {
        name: {
            test: {
                metric: float(np.std([scores[name][test][metric] for scores in results], ddof=1))
                for metric in (*METRICS, "f_beta_max")
            }
            for test in tests
        }
        for name, tests in results[0].items()
    }
    return {"name": "miniature", "commit": commit, "seeds": seeds, "spread": found}


def note(results: list[Scores], seeds: list[int], commit: str) -> str:
    """The note, in Markdown."""
    tests = list(next(iter(results[0].values())))
    lines = [
        "# Seeds: what distillation and the DOF-edge loss change on the miniature",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, commit {commit}, {platform.machine()} with 2 CPU cores, "
        f"`python benchmarks/seeds.py --seeds {' '.join(map(str, seeds))}`. Rendered images: **not comparable with the "
        "paper's numbers.** Mean ± standard deviation over seeds (weights, order, augmentation; the same images).",
        "",
        "## Scores",
        "",
        "| run | metric | " + " | ".join(tests) + " |",
        "|---|---|" + "---|" * len(tests),
    ]
    for name, metric in product(results[0], METRICS):
        cells = [spread([scores[name][test][metric] for scores in results]) for test in tests]
        lines.append(f"| {name} | {metric} | " + " | ".join(cells) + " |")
    lines += against(results, tests)
    lines += [
        "",
        "## Changes",
        "",
        "Second run less first, seed by seed; MAE: negative is better. Bold: further from 0 than twice its standard "
        "error over the seeds: with few seeds and this many cells some are bold by chance.",
        "",
        "| change | from → to | metric | " + " | ".join(tests) + " |",
        "|---|---|---|" + "---|" * len(tests),
    ]
    for (title, before, after), metric in product(PAIRS, METRICS):
        cells = []
        for test in tests:
            changes = [scores[after][test][metric] - scores[before][test][metric] for scores in results]
            error = np.std(changes, ddof=1) / len(changes) ** 0.5
            text = f"{np.mean(changes):+.3f} ± {np.std(changes, ddof=1):.3f}"
            cells.append(f"**{text}**" if abs(np.mean(changes)) > 2 * error else text)
        lines.append(f"| {title} | {before} → {after} | {metric} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def against(results: list[Scores], tests: list[str]) -> list[str]:
    """What was learnt: MAE beside that of calling everything blurred, and of the classical methods."""
    lines = [
        "",
        "## Learnt",
        "",
        "Largest MAE over the seeds, as a share of that of *all blurred* (the bar is 0.6), and less the MAE of the "
        f"best of {', '.join(CLASSICAL)} (the bar is below 0).",
        "",
        "| run | | " + " | ".join(tests) + " |",
        "|---|---|" + "---|" * len(tests),
    ]
    for name in ("dffnet", "d_dffnet"):
        worst = {test: max(scores[name][test]["mae"] for scores in results) for test in tests}
        shares = [f"{worst[test] / results[0]['all_blurred'][test]['mae']:.2f}" for test in tests]
        lines.append(f"| {name} | of all blurred | " + " | ".join(shares) + " |")
        best = {test: min(results[0][each][test]["mae"] for each in CLASSICAL) for test in tests}
        gains = [f"{worst[test] - best[test]:+.3f}" for test in tests]
        lines.append(f"| {name} | less the best classical | " + " | ".join(gains) + " |")
    return lines


def main() -> None:
    """Reproduce every seed and write the note."""
    seeds, version = chosen_seeds(__doc__ or ""), commit()
    with tempfile.TemporaryDirectory() as folder:
        checkout = clone(Path(folder) / "dbdflow")
        results = [run_seed(checkout, seed) for seed in seeds]
    OUT.write_text(note(results, seeds, version))
    write_json(SPREAD, spreads(results, seeds, version))
    print(OUT, SPREAD)


if __name__ == "__main__":
    main()
