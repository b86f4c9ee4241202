"""`dbdflow study`: the trainings behind docs/study.md, and its page."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from components.common.cores import cores
from components.common.errors import InputError

if TYPE_CHECKING:
    from components.study.design import Row
    from components.study.results import Results
    from pipelines.running.study import Study

FOLDER = Path(".dbdflow/study")
PAGE = Path("docs/study.md")
KEPT = Path("benchmarks/study")
TEST = "CUHK-TE-1"
NEVER_MIXED = "they are never mixed on one page: put right what differs, or move that folder away"


@click.command("study")
@click.option("--seeds", type=click.IntRange(1, 99), default=5, show_default=True, help="Of every row: 1, 2, ...")
@click.option("--scale", type=click.Choice(["quick", "full"]), default="quick", show_default=True)
@click.option("--rows", metavar="NAMES", help="Only these rows, and what they build on; comma-separated.")
@click.option("--missing", is_flag=True, help=f"Only runs that {KEPT} has not, and what they build on.")
@click.option("--jobs", type=click.IntRange(1), help="Trainings at once; by default as many as cores.")
@click.option("--folder", type=click.Path(path_type=Path), help=f"For all that is made; by default {FOLDER}.")
@click.option("--choose", is_flag=True, help="The runs by which the learning rate was chosen, instead.")
@click.option("--page", is_flag=True, help=f"Train nothing: add what has run to {KEPT}, and write {PAGE}.")
@click.option("--mlflow", is_flag=True, help=f"Train nothing: log what {KEPT} has to MLflow.")
def command(
    *,
    seeds: int,
    scale: str,
    rows: str | None,
    missing: bool,
    jobs: int | None,
    folder: Path | None,
    choose: bool,
    page: bool,
    mlflow: bool,
) -> None:
    """Train and score the rows of the study, in the order in which they are of use; docs/study.md says what for.

    Says how long that will take, then how far it is. Stopped or killed, the same command goes on. The figures are the
    same to the digit however many trainings run at once. Machines that share the runs each take some (--rows,
    --missing), add them (--page) and commit.
    """
    from components.study.design import design
    from pipelines.running.study import Study
    from pipelines.system.environment import checkout
    from pipelines.system.places import check_folder
    from pipelines.system.stopping import Stop, by_signals

    if missing and (page or mlflow):
        raise click.UsageError("--missing: chooses what to train, and --page and --mlflow train nothing")
    if folder and not folder.is_dir():
        if page:
            raise click.UsageError(f"--folder {folder}: no such folder; name one that a study has run in")
        check_folder(folder)
    folder = folder.absolute() if folder else FOLDER
    os.chdir(checkout())
    found = design()
    names = list(found.rows) if rows is None else [name.strip() for name in rows.split(",")]
    if unknown := [name for name in names if name not in found.rows]:
        raise click.UsageError(f"--rows: no row {unknown[0]!r}; rows: {', '.join(found.rows)}")
    wanted = [each for each in found.order(list(range(1, seeds + 1))) if each[0].name in names]
    choices = [(row, 0) for row in found.choices.values()]
    study = Study(folder, scale, choices if choose else wanted, jobs or cores(), click.echo)
    if page:
        report(study, seeds)
    if mlflow:
        compare_in_mlflow(scale)
    if page or mlflow:
        return
    study.check()
    if missing and (kept := kept_results(study)):
        study.rows = [(row, seed) for row, seed in study.rows if (row.name, seed) not in kept.runs]
        if not study.rows:
            click.echo(f"{KEPT / scale} has them all")
            return
    stop = Stop()
    with by_signals(stop):
        code = study.run(stop)
    for line in told(study):
        click.echo(line)
    if stop.is_set():
        click.echo(f"{stop.reason}; say the same again to go on")
    sys.exit(code)


def told(study: "Study") -> Iterator[str]:
    """What came out: of a choice the scores, else whether runs have the figures that `benchmarks/study` has of them."""
    from components.common.storage import read_json
    from components.study.design import SCORES
    from components.study.results import compared, read_results, read_runs

    for row, seed in study.rows:
        summary = study.out(row, seed) / SCORES / "summary.json"
        if row.test != TEST and summary.exists():
            yield f"{row.title}: MAE {read_json(summary)[row.test]['mae']:.4f} on {row.test}"
    kept = KEPT / study.scale
    if kept.exists() and (done := study.done()):
        same, others = compared(read_results(kept), read_runs(done))
        yield f"runs with the figures that {kept} has of them, to the digit: {len(same)}"
        yield from (f"{row}-{seed}: other figures than {kept} has" for row, seed in others)
    if study.done():
        yield "`dbdflow study --page` writes up what has run"


def every_run(results: "Results") -> "list[tuple[Row, int]]":
    """Every row with every seed that some run has, in the order in which they run."""
    from components.study.design import design

    return design().order(sorted({seed for _, seed in results.runs}))


def kept_results(study: "Study") -> "Results | None":
    """What `benchmarks/study` has of the study's scale, with which its runs may stand on one page.

    Raises:
        InputError: it has runs that were made with other values or inputs.
    """
    from components.study.results import read_results, values_of
    from pipelines.running.study_plan import INBOX

    folder = KEPT / study.scale
    if not folder.exists():
        return None
    kept = read_results(folder)
    now = {(row.name, seed): values_of(study.out(row, seed)) for row, seed in every_run(kept)}
    if others := [run for run in kept.runs if now.get(run) != kept.facts[run]["values"]]:
        raise InputError(
            f"{folder}: {len(others)} of its {len(kept.runs)} runs were made with other photographs, depth maps or "
            f"weights of the encoder than {INBOX} has, or other values than presets/study.yaml and claims.yaml have, "
            f"the first is {'-'.join(map(str, others[0]))}; {NEVER_MIXED}"
        )
    return kept


def added(study: "Study", found: "Results") -> "Results":
    """What has run in the study's folder, and what `benchmarks/study` has besides.

    Raises:
        InputError: the two cannot stand on one page.
    """
    from components.study.results import compared, joined

    kept, folder = kept_results(study), KEPT / study.scale
    if kept is None:
        return found
    here, there = ({each["depth_teacher"] for each in some.facts.values()} for some in (found, kept))
    if kept.photographs != found.photographs:
        why = f"scores of {len(kept.photographs)} photographs, {study.folder} of {len(found.photographs)}"
    elif here != there:
        why = f"runs with depth teacher {', '.join(sorted(there))}, {study.folder} with {', '.join(sorted(here))}"
    elif others := compared(kept, found)[1]:
        why = f"other figures of {len(others)} runs than {study.folder}, the first is {'-'.join(map(str, others[0]))}"
    else:
        return joined(kept, found)
    raise InputError(f"{folder}: {why}; {NEVER_MIXED}")


def report(study: "Study", seeds: int) -> None:
    """Add all that has run in the folder to what `benchmarks/study` has, and write that up.

    Raises:
        InputError: the two cannot stand on one page.
    """
    from components.common.storage import write_whole
    from components.study.design import design
    from components.study.page import write_page
    from components.study.results import VERDICTS, read_results, read_runs, write_results
    from components.study.verdicts import verdicts_table

    folder = KEPT / study.scale
    if done := study.done():
        found = added(study, read_runs(done))
        write_results(folder, found, [(row.name, seed) for row, seed in every_run(found)])
    else:
        click.echo(f"{study.folder}: no run of the study is done there; written from {folder} alone")
    results = read_results(folder)
    most = max([seeds, *(seed for _, seed in results.runs)])
    answers = write_page(PAGE, design(), results, scale=study.scale, seeds=most)
    write_whole(folder / VERDICTS, verdicts_table(answers))
    for answer in answers:
        seeds_of = f"{(count := len(answer.seeds))} seed{'' if count == 1 else 's'}"
        click.echo(f"{answer.claim.name}: {answer.word} ({answer.claim.says}; {seeds_of})")
    click.echo(f"{PAGE} and {folder} are written")


def compare_in_mlflow(scale: str) -> None:
    """Log the results, and say where they are compared."""
    from components.study.results import read_results
    from pipelines.tracking.study import log_study

    click.echo(f"compared in MLflow: {log_study(read_results(KEPT / scale), scale)}")
