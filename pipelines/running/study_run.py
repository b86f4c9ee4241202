"""A process of the study: one thing made, on one thread, so that its figures do not depend on how many run at once.

`python -m pipelines.running.study_run FOLDER SCALE data|depth_teacher|probe|ROW-SEED`, as `running.study` starts it.
"""

import logging
import platform
import shutil
import sys
import time
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import torch

from components.acquire.download import fetch_set
from components.acquire.obtain import Inbox
from components.common.errors import InputError
from components.common.storage import file_hash, read_json, write_json
from components.models.run_files import WEIGHTS, EpochRecord
from components.models.runtime import Device, set_up
from components.params import Params, parse_params
from components.prepare.build import prepare_set
from components.study import training
from components.study.design import Places, Row, design
from pipelines.repo.revisions import git_commit
from pipelines.running.study import BAD_INPUT
from pipelines.running.study_plan import INBOX, PRESET, TIME, places, preset
from pipelines.system.progress import Progress

PROBED = 6
"""Steps that a probe takes; the first two are not counted."""


def make_data(params: Params, where: Places) -> None:
    """The prepared photographs of CUHK, as the stages `download` and `prepare` make them."""
    progress = Progress("data")
    raw, prepared = where.prepared.with_name("raw") / "cuhk", where.prepared / "cuhk"
    if not raw.exists():
        fetch_set("cuhk", raw, Inbox(INBOX, params.download.without, progress.show))
    size, partial = params.image_size, params.prepare.partial
    told = lambda done, total: progress.show(done, total, "photographs")  # noqa: E731
    prepare_set("cuhk", raw, prepared, image_size=size, partial=partial, progress=told)
    shutil.rmtree(raw.parent)


def make_depth_teacher(params: Params, where: Places, device: Device) -> None:
    """The depth teacher of all rows."""
    for record in training.train_depth_teacher(params, where, device):
        show("depth_teacher", record)


def probe(params: Params, where: Places, device: Device) -> None:
    """How long a step of DFFNet takes."""
    steps = training.first_batches(params, where, device, PROBED)
    times = [time.process_time() for _ in steps]
    seconds = median(after - before for before, after in pairwise(times[1:]))
    write_json(where.probe, {"seconds_a_step": seconds})


def make_run(values: dict[str, Any], row: Row, seed: int, *, where: Places, device: Device) -> None:
    """Train and score a run."""
    params = row.params(values, seed)
    out, defocus = where.run(row, seed, params), None
    if row.first:
        first = design().row(row.first)
        defocus = where.run(first, seed, first.params(values, seed)) / "model"
    if not (out / "model").exists():
        commit, _ = git_commit()
        teacher = file_hash(where.depth_teacher / WEIGHTS)
        facts = {"commit": (commit or "unknown")[:7], "machine": machine(), "depth_teacher": teacher}
        spent: list[float] = read_json(out / TIME)["seconds"] if (out / TIME).exists() else []
        begun = time.process_time()
        for record in training.train_run(
            row, params, defocus=defocus, out=out, places=where, device=device, facts=facts
        ):
            if record.epoch > len(spent):  # not of an interrupted process, which has them already
                write_json(out / TIME, {"seconds": (spent := [*spent, time.process_time() - begun])})
            show(f"{row.name}-{seed}", record)
            begun = time.process_time()
    training.score_run(row, params, out=out, places=where, device=device)


def machine() -> str:
    """What the page says of where a run was made."""
    return f"{platform.machine()}, one thread a run, Python {platform.python_version()}, torch {torch.__version__}"


def show(name: str, record: EpochRecord) -> None:
    """A line an epoch, which `pipelines.running.study` reads."""
    print(f"{name}: epoch {record.epoch}/{record.epochs}, loss {record.values['loss']:.4f}", flush=True)


def main(folder: Path, scale: str, what: str) -> None:
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    values = preset(scale)
    params, where = parse_params(values, str(PRESET)), places(folder, values)
    device = set_up(**params.runtime.model_dump())
    if what == "data":
        make_data(params, where)
    elif what == "depth_teacher":
        make_depth_teacher(params, where, device)
    elif what == "probe":
        probe(params, where, device)
    else:
        name, _, seed = what.rpartition("-")
        make_run(values, design().row(name), int(seed), where=where, device=device)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), *sys.argv[2:])
    except InputError as error:
        print(error, file=sys.stderr)
        sys.exit(BAD_INPUT)
