"""`dbdflow sweep`: values of parameters, every combination of them, shared stages run once."""

import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from components.common.errors import InputError
from components.common.yaml_files import parse_yaml

if TYPE_CHECKING:
    from pipelines.running.reproduction import Summary
    from pipelines.running.sweep import Sweep

MOST = 1000
"""Values and combinations of one sweep."""


@click.command("sweep")
@click.argument("axes", nargs=-1, required=True, metavar="KEY=VALUES...")
@click.option("--only", multiple=True, metavar="STAGE", help="Make these stages and what they depend on.")
@click.option("--jobs", type=click.IntRange(1), help="Stages at once; by default as many as cores.")
@click.option("--dry", is_flag=True, help="Say how many stages would run, and how often they are shared.")
def command(*, axes: tuple[str, ...], only: tuple[str, ...], jobs: int | None, dry: bool) -> None:
    """Reproduce every combination of values, e.g. `dbdflow sweep stage2.beta=1,3,5 seed=0..4`.

    Every combination ends as a DVC experiment; what several have in common runs once. The table has mean and spread
    over `seed`, and how far the other values differ from the first. The workspace stays as it is.
    """
    from pipelines.harness import flow
    from pipelines.repo.revisions import repository
    from pipelines.running.sweep import Sweep

    values = read_axes(axes)
    sweep = Sweep(repository(), values, only, click.echo)
    if dry:
        click.echo("\n".join(sweep.plan_lines()))
        return
    summary = in_prefect(api, values, only, jobs) if (api := flow.reachable()) else plainly(sweep, jobs)
    if sweep.is_done():
        click.echo((sweep.folder / "table.md").read_text(encoding="utf-8"))
        click.echo(f"tables in {sweep.folder}; `dvc exp show` lists the {len(sweep.points)} experiments")
    sys.exit(summary.code)


def plainly(sweep: "Sweep", jobs: int | None) -> "Summary":
    """Run without Prefect, until a signal."""
    from pipelines.system.stopping import Stop, by_signals

    stop = Stop()
    with by_signals(stop):
        summary = sweep.run(jobs, stop)
    click.echo("\n".join(summary.lines()))
    return summary


def in_prefect(api: str, axes: dict[str, list[Any]], only: Sequence[str], jobs: int | None) -> "Summary":
    """Run as a flow run of this process."""
    from pipelines.harness import flow

    flow.prepare(api)
    from pipelines.flows.reproduce import from_console
    from pipelines.flows.sweep import sweep

    return from_console(lambda: sweep(axes, list(only), jobs, return_state=True))


def read_axes(words: Sequence[str]) -> dict[str, list[Any]]:
    """`key=1,3,5` and `key=0..4` as the values of each key.

    Raises:
        InputError: a word that is no axis, a key that is there twice, a value that is there twice.
    """
    axes: dict[str, list[Any]] = {}
    for word in words:
        key, sign, text = word.partition("=")
        first, dots, last = text.partition("..")
        if not sign or not key or not text:
            raise InputError(f"{word}: expected key=value,value or key=first..last, e.g. stage2.beta=1,3,5 seed=0..4")
        try:
            values = range(int(first), int(last) + 1) if dots else parse_yaml(f"[{text}]", word)
        except ValueError as error:
            raise InputError(f"{word}: {text!r} is neither whole numbers first..last nor YAML values") from error
        if values[MOST:]:
            raise InputError(f"{word}: expected at most {MOST} values; sweep a part of them")
        if key in axes or not values or any(value in values[:place] for place, value in enumerate(values)):
            found = ", ".join(map(str, values)) or "none"
            raise InputError(f"{word}: expected each key once, with values that differ; found {found}")
        axes[key] = list(values)
    if (points := math.prod(map(len, axes.values()))) > MOST:
        raise InputError(f"{points} combinations, expected at most {MOST}; sweep a part of them")
    return axes
