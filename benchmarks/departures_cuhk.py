"""What two departures of ours cost on CUHK-TE-1: bfloat16 in training, and one cached view instead of fresh jitter.

    make departures STUDY=FOLDER      # where `dbdflow study` has run DFFNet and D-DFFNet; 20 minutes, two cores

At the study's quick scale, beside its own runs of the same seeds, from the same teachers and initial weights: DFFNet in
bfloat16; D-DFFNet whose teachers were cached and saw one view of each photograph. Writes benchmarks/DEPARTURES.md.
Interrupted, the same command goes on after the last whole epoch.
"""

import argparse
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas
import torch
from origin import ROOT, commit
from use_guided import interval

from components.models.run_files import WEIGHTS, EpochRecord, write_run
from components.models.runtime import Device, set_up
from components.params import Params
from components.report.paired import difference
from components.study import training
from components.study.design import SCORES, Places, Row, design
from components.train import experiment, teachers
from components.train.training import fit
from pipelines.running.study_plan import places, preset

OUT = Path(__file__).parent / "DEPARTURES.md"
KEPT = ROOT / ".dbdflow" / "departures"
ROWS = {
    "bfloat16": Row("bfloat16", "DFFNet, trained in bfloat16", "dffnet", changes={"runtime.precision": "bfloat16"}),
    "one_view": Row(
        "one_view",
        "D-DFFNet, one cached view",
        "d_dffnet",
        first="dffnet",
        changes={"teacher.mode": "cached", "teacher.cache_gb": 0.1},
    ),
}
BESIDE = {"bfloat16": "dffnet", "one_view": "d_dffnet"}
"""The study's row that differs from each by the departure alone."""


def folder_of(where: Places, name: str, seed: int) -> Path:
    """Of a run of the study."""
    row = design().row(name)
    return where.run(row, seed, row.params(preset("quick"), seed))


def distilled(row: Row, params: Params, out: Path, where: Places, device: Device) -> Iterator[EpochRecord]:
    """D-DFFNet from cached teachers, as the stages make it."""
    second = params.stage2_runs[row.run]
    first = params.stage1_runs[second.teacher]
    student = experiment.new_model(params, "stage2", first, device, where.inbox)
    data = experiment.training_set(first.train, where.prepared, device)
    defocus = folder_of(where, row.first, params.seed) / "model" / WEIGHTS
    depth, cache = where.depth_teacher / WEIGHTS, out / "cache"
    for _ in teachers.cache_depth_teacher(params, data, weights=depth, cache=cache / "cuhk", device=device):
        pass
    for _ in teachers.cache_defocus_teacher(params, data, weights=defocus, cache=cache / "d", device=device, most=1):
        pass
    both = {
        "defocus": teachers.defocus_teacher_of(params, data, weights=defocus, cache=cache / "d", device=device),
        "depth": teachers.depth_teacher_of(
            params, data, weights=depth, cache=cache, names=teachers.LEVELS, device=device
        ),
    }
    assert {teacher.views for teacher in both.values()} == {1}
    objective = experiment.stage2_objective(params, second, student, both)
    course = experiment.course_of(params, "stage2", second, views=1)
    records = []
    for record in fit(student, objective, data, course, device=device, checkpoint=out / training.CHECKPOINT):
        records.append(record)
        yield record
    write_run(out / "model", student, records, {"run": row.name, "seed": params.seed, "params": params.model_dump()})


def run(study: Path, name: str, seed: int) -> None:
    """Train and score one, in a process of its own on one thread."""
    row, values = ROWS[name], preset("quick")
    params, where = row.params(values, seed), places(study, values)
    device, out = set_up(**params.runtime.model_dump()), KEPT / f"{name}-{seed}"
    out.mkdir(parents=True, exist_ok=True)
    if not (out / "model").exists():
        facts = {"commit": commit()}
        for record in (
            distilled(row, params, out, where, device)
            if row.first
            else training.train_run(row, params, defocus=None, out=out, places=where, device=device, facts=facts)
        ):
            print(f"{name}-{seed}: epoch {record.epoch}/{record.epochs}", file=sys.stderr, flush=True)
    training.score_run(row, params, out=out, places=where, device=device)


def scores(folder: Path) -> pandas.DataFrame:
    """Of the photographs of CUHK-TE-1, by their names."""
    return pandas.read_csv(folder / SCORES / "per_image.csv", index_col="id")


def table(study: Path, seeds: list[int]) -> Iterator[str]:
    """A row a departure and seed, and one over the seeds."""
    where = places(study, preset("quick"))
    yield "| | seed | MAE of the study's run | with the departure | difference, photograph by photograph |"
    yield "|---|---|---|---|---|"
    for name, row in ROWS.items():
        pairs = [(scores(folder_of(where, BESIDE[name], seed)), scores(KEPT / f"{name}-{seed}")) for seed in seeds]
        mean = tuple(sum(pair[side][["mae"]] for pair in pairs) / len(pairs) for side in (0, 1))
        for seed, (before, after) in [*zip(seeds, pairs, strict=True), ("all", mean)]:
            found = difference(before, after, "mae")
            assert found is not None
            yield f"| {row.title} | {seed} | {before.mae.mean():.4f} | {after.mae.mean():.4f} | {interval(found)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("study", type=Path, help="the study's folder: .dbdflow/study of a checkout that has run it")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--run", nargs=2, metavar=("ROW", "SEED"), help="one run alone")
    asked = parser.parse_args()
    if asked.run:
        run(asked.study, asked.run[0], int(asked.run[1]))
        return
    waiting = [(name, str(seed)) for name in ROWS for seed in asked.seeds]
    waiting = [each for each in waiting if not (KEPT / "-".join(each) / SCORES).exists()]
    command = [sys.executable, __file__, str(asked.study.resolve()), "--run"]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda each: subprocess.run([*command, *each], cwd=ROOT, check=True), waiting))
    head = (
        f"{time.strftime('%Y-%m-%d')}, commit {commit()}, `make departures`, {platform.machine()}, one thread a run, "
        f"torch {torch.__version__}; DFFNet and D-DFFNet on MobileNetV2 at 160 x 160, 8 epochs (the quick scale of "
        "docs/study.md): not the paper's size."
    )
    text = ["# What two departures cost on CUHK-TE-1", "", head, "", *table(asked.study, asked.seeds)]
    OUT.write_text("\n".join(text) + "\n", encoding="utf-8")
    print("\n".join(text))


if __name__ == "__main__":
    main()
