"""`dbdflow study`: the trainings behind docs/study.md, and its page."""

import sys
from pathlib import Path

import click

from components.common.cores import cores

FOLDER = Path(".dbdflow/study")


@click.command("study")
@click.option("--seeds", type=click.IntRange(1, 99), default=5, show_default=True, help="Of every row: 1, 2, ...")
@click.option("--rows", metavar="NAMES", help="Only these rows, and what they build on; comma-separated.")
@click.option("--jobs", type=click.IntRange(1), help="Trainings at once; by default as many as cores.")
@click.option("--folder", type=click.Path(path_type=Path), default=FOLDER, show_default=True)
@click.option("--choose", is_flag=True, help="The runs by which the learning rate was chosen, instead.")
def command(*, seeds: int, rows: str | None, jobs: int | None, folder: Path, choose: bool) -> None:
    """Train and score the rows of the study, in the order in which they are of use; docs/study.md says what for.

    Says how long that will take, then how far it is. Stopped or killed, the same command goes on. The figures are the
    same to the digit however many trainings run at once.
    """
    from components.study.design import design
    from pipelines.running.study import Study
    from pipelines.system.stopping import Stop, by_signals

    found = design()
    if choose:
        wanted = [(row, 0) for row in found.choices.values()]
    else:
        names = list(found.rows) if rows is None else rows.split(",")
        if unknown := [name for name in names if name not in found.rows]:
            raise click.UsageError(f"--rows: no row {unknown[0]!r}; rows: {', '.join(found.rows)}")
        wanted = [each for each in found.order(list(range(1, seeds + 1))) if each[0].name in names]
    stop = Stop()
    with by_signals(stop):
        code = Study(folder, jobs or cores(), click.echo, wanted).run(stop)
    if stop.is_set():
        click.echo(f"{stop.reason}; say the same again to go on")
    sys.exit(code)
