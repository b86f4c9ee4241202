"""A sweep of the miniature, killed once, against nine separate runs: writes benchmarks/SWEEP.md.

`dbdflow sweep stage2.beta=1,3,5 seed=0..2 --only evaluate@d_dffnet` in a clone of this checkout is killed with -9 at a
random moment and run again: every stage has to end once. Then each point is reproduced alone, in a clone with a cache
of its own: its scores have to be the sweep's, to the last bit.

    python benchmarks/sweep.py [--seed 0]
"""

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from itertools import product
from pathlib import Path

import torch
import yaml
from clock import machine
from origin import ROOT, commit
from parallel import clone, environment

OUT = ROOT / "benchmarks" / "SWEEP.md"
BETAS, SEEDS, TARGET = (1, 3, 5), (0, 1, 2), "evaluate@d_dffnet"
WORDS = ("dbdflow", "sweep", "stage2.beta=1,3,5", "seed=0..2", "--only", TARGET, "--jobs", "2")
ENDED = re.compile(r"^(.+): done after ", re.MULTILINE)
KILLED_WITHIN = (60.0, 240.0)  # seconds


def killed(folder: Path, log: Path, seconds: float) -> float:
    """Run the sweep and kill it with -9 after so long; seconds that it ran."""
    begun = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(WORDS, cwd=folder, env=environment(folder), stdout=output, stderr=output)
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
    return time.monotonic() - begun


def whole(folder: Path, log: Path) -> float:
    """Run the sweep to its end; seconds."""
    begun = time.monotonic()
    with log.open("wb") as output:
        subprocess.run(WORDS, cwd=folder, env=environment(folder), stdout=output, stderr=output, check=True)
    return time.monotonic() - begun


def kept_scores(folder: Path) -> dict[tuple[int, int], dict]:
    """(beta, seed) -> scores of the sweep's point, by what its params say."""
    found = {}
    for point in folder.glob(".dbdflow/sweeps/*/points/*"):
        params = yaml.safe_load((point / "dvc.lock").read_text())["stages"]["distill_stage2@d_dffnet"]["params"]
        values = params["params.yaml"]
        scores = json.loads((point / "scores/d_dffnet/summary.json").read_text())
        found[int(values["stage2"]["beta"]), values["seed"]] = scores
    return found


def alone(folder: Path, beta: int, seed: int) -> tuple[dict, float]:
    """Scores and seconds of one point in a clone of its own, with a cache of its own."""
    clone(folder)
    params = (folder / "params.yaml").read_text()
    for old, new in (("seed: 0", f"seed: {seed}"), ("beta: 3.0", f"beta: {beta}")):
        assert params.count(f"\n{old}\n") + params.count(f"\n  {old}\n") >= 1, old
        params = params.replace(old, new, 1)
    (folder / "params.yaml").write_text(params)
    begun = time.monotonic()
    command = ["dbdflow", "reproduce", "--only", TARGET, "--jobs", "2"]
    done = subprocess.run(command, cwd=folder, env=environment(folder), capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout[-3000:] + done.stderr[-3000:])
    return json.loads((folder / "data/scores/d_dffnet/summary.json").read_text()), time.monotonic() - begun


def main() -> None:
    """Sweep, kill, sweep on, compare, and write the note."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seed", type=int, default=0, help="of the moment of the kill")
    seed = parser.parse_args().seed
    version, after = commit(), random.Random(seed).uniform(*KILLED_WITHIN)
    with tempfile.TemporaryDirectory() as name:
        folder, logs = Path(name) / "sweep", [Path(name) / "killed.log", Path(name) / "whole.log"]
        clone(folder)
        seconds = [killed(folder, logs[0], after), whole(folder, logs[1])]
        ended = Counter(stage for log in logs for stage in ENDED.findall(log.read_text()))
        before = len(ENDED.findall(logs[0].read_text()))
        table = next(folder.glob(".dbdflow/sweeps/*/table.md")).read_text()
        swept, same, took = kept_scores(folder), {}, []
        for beta, number in product(BETAS, SEEDS):
            scores, spent = alone(Path(name) / "alone", beta, number)
            same[beta, number] = scores == swept[beta, number]
            took.append(spent)
            print(f"beta {beta}, seed {number}: {'same' if same[beta, number] else 'OTHER'} scores, {spent:.0f} s")
            shutil.rmtree(Path(name) / "alone")
    exact, often = sum(same.values()), {stage: count for stage, count in ended.items() if count > 1}
    lines = [
        "# A sweep of the miniature",
        "",
        f"{time.strftime('%Y-%m-%d')}, commit {version}, `python benchmarks/sweep.py --seed {seed}`, "
        f"{machine(torch.device('cpu'))}, load {os.getloadavg()[0]:.1f} at the end. `{' '.join(WORDS)}`. Rendered "
        "images: **not comparable with the paper's numbers.**",
        "",
        "| | |",
        "|---|---|",
        f"| killed with -9 after | {seconds[0]:.0f} s, {before} stages had ended |",
        f"| run again to the end | {seconds[1]:.0f} s |",
        f"| stages that ended, in both | {ended.total()}, {f'**again: {often}**' if often else 'each once'} |",
        f"| nine separate runs | {sum(took):.0f} s in all |",
        f"| points with their separate run's scores, to the last bit | {exact} of {len(same)} |",
        "",
        *(line.replace("# ", "### ", 1) if line.startswith("#") else line for line in table.splitlines()),
    ]
    OUT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(OUT)


if __name__ == "__main__":
    main()
