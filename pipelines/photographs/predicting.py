"""Blur maps of a person's photographs: `dbdflow predict`, and the flow `predict` for a deployment.

Photographs that have their files are not made again. Of a photograph that is named alone there is nothing but what
was asked for; of several there are a page and a table, and the ledger by which an interrupted run goes on.
"""

import hashlib
import json
import os
from collections.abc import Generator
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Literal

from components.common.cores import cores
from components.common.errors import InputError
from components.common.storage import file_hash, write_whole
from pipelines.photographs.making import Job, Made, make
from pipelines.photographs.plan import Plan
from pipelines.photographs.rows import Pen, Row, key, stat_of, writing
from pipelines.photographs.spreading import spread
from pipelines.running.detectors import find_detector, resolved
from pipelines.running.engine import scheduler

FORMAT = 1
"""Raised when the same photograph gets other maps by the same model: what was made before is then made again."""


def job_of(plan: Plan, model: str, bits: Literal[8, 16] = 8) -> Job:
    """What is to be made of each photograph by a model.

    Raises:
        InputError: nothing has its name.
    """
    found, fitted = resolved(model)
    file = found if isinstance(found, Path) else fitted
    what = [FORMAT, "" if isinstance(found, Path) else model, file_hash(file) if file else "", bits]
    return Job(plan.out, bits, plan.views, hashlib.sha256(json.dumps(what).encode()).hexdigest())


def resume(plan: Plan, job: Job) -> str:
    """Take over what was made before; what is to be said of it."""
    known = {path: row for path in plan.maps if (row := plan.ledger.rows.get(key(path)))}
    plan.rows = {path: row for path, row in known.items() if is_fresh(path, row, job)}
    others = sum(row.made_by != job.made_by for row in known.values())
    told = [f"{len(plan.rows)} of {len(plan.maps)} photographs have their files already"] if plan.rows else []
    if others:
        told.append(f"{others} maps in {plan.out} are by another model, or of other bits, and are made again")
    return "; ".join(told)


def is_fresh(photograph: Path, row: Row, job: Job) -> bool:
    """Whether what was made of a photograph is what the job would make, and is all there, as it was made."""
    try:
        wanted = {str(place.relative_to(job.out)): stat_of(place) for place in job.files(photograph).values()}
        return row.made_by == job.made_by and row.stat == stat_of(photograph) and wanted.items() <= row.files.items()
    except OSError:
        return False


def predict_maps(plan: Plan, job: Job, model: str, device: str) -> Generator[Path]:
    """Write the files of each photograph that waits for them; then, of several, page and table.

    Whoever may be interrupted closes it, so that what has not begun does not begin.

    Yields:
        Each photograph when it has its row, or its reason among those left out.

    Raises:
        InputError: no such model, a depth teacher's weights, no such device, no room, or the only photograph is bad.
    """
    made_ones = made_of(plan, job, model, device)
    with nullcontext() if plan.alone else writing(plan.out) as pen, closing(made_ones) as made:
        if any(key(path) in plan.ledger.rows for path in plan.waiting):
            take_away(plan)
        for photograph, row in made:
            if isinstance(row, Row):
                plan.rows[photograph] = row
                if pen:
                    pen.add(row)
            elif plan.alone:
                raise InputError(f"{photograph}: {row}")
            else:
                plan.left_out[photograph] = row
            yield photograph
        if pen:
            tell(plan, model, pen)


def made_of(plan: Plan, job: Job, model: str, device: str) -> Generator[Made]:
    """The photographs that wait, as they are made; several, where a scheduler is named, on its workers.

    Here, a network takes a photograph a core, which costs less than all cores on one after the other. A classical
    method takes one at a time: one may need gigabytes.
    """
    from components.baselines import CLASSICAL
    from pipelines.system.environment import THREADS

    if not plan.waiting:
        return (each for each in list[Made]())
    if scheduler() and not plan.alone:
        return spread(plan.waiting, job, model, device)
    workers = 1 if model in CLASSICAL else cores()
    os.environ.update(dict.fromkeys(THREADS, "1"))
    return make(find_detector(model, device), plan.waiting, job, workers)


def take_away(plan: Plan) -> None:
    """Remove page and table of maps that are about to change: what is left by a kill never tells of two kinds."""
    for place in plan.told:
        place.unlink(missing_ok=True)


def tell(plan: Plan, model: str, pen: Pen) -> None:
    """Write the page and the table of all that were named."""
    from pipelines.photographs.page import render_page
    from pipelines.photographs.table import encode_table

    page, table = plan.told
    rows = {path: plan.rows[path] for path in plan.done}
    for place, contents in (
        (page, render_page(rows, plan.left_out, page.parent).encode()),
        (table, encode_table(rows, plan.left_out, {"model": model})),
    ):
        pen.will_write(hashlib.sha256(contents).hexdigest())
        write_whole(place, contents)
