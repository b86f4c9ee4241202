"""`dbdflow reproduce`: the DAG in parallel, as a Prefect flow run when a server answers, plainly when none does."""

import sys
from typing import Any

import click

from components.common.errors import InputError
from components.common.yaml_files import parse_yaml


@click.command("reproduce")
@click.argument("stages", nargs=-1, metavar="[STAGE...]")
@click.option("--only", multiple=True, metavar="STAGE", help="Make these stages and what they depend on.")
@click.option("--jobs", type=click.IntRange(1), help="Stages at once; by default as many as cores.")
@click.option("--preset", metavar="NAME", help="Params of presets/NAME.yaml: an experiment.")
@click.option("--set", "values", multiple=True, metavar="KEY=VALUE", help="Change params.yaml: an experiment.")
@click.option("--dry", is_flag=True, help="Say what would run, why, and how long it took last time.")
def command(
    *,
    stages: tuple[str, ...],
    only: tuple[str, ...],
    jobs: int | None,
    preset: str | None,
    values: tuple[str, ...],
    dry: bool,
) -> None:
    """Run every stage that is out of date, side by side where none needs the other.

    STAGE is a name of dvc.yaml (train_stage1@dffnet) or what stands before its @. With --preset or --set the workspace
    stays as it is, and the result is a DVC experiment.
    """
    from pipelines.harness import flow
    from pipelines.repo import recovery
    from pipelines.repo.revisions import repository
    from pipelines.running import experiments
    from pipelines.running.reproduction import look
    from pipelines.system.stopping import Stop, by_signals

    root = repository()
    request = experiments.Request(preset, dict(map(parsed, values)), (*only, *stages), jobs)
    if dry:
        click.echo("\n".join(experiments.plan(request)))
        return
    api = flow.reachable()
    if api and not request.experiment:
        recovery.repair(root, click.echo)
    if api and (request.experiment or look(root, request.only).to_do()):
        flow.prepare(api)
        from pipelines.flows.reproduce import from_console, reproduce

        asked = (preset, dict(request.values), list(request.only), jobs)
        sys.exit(from_console(lambda: reproduce(*asked, return_state=True)).code)
    stop = Stop()
    with by_signals(stop):
        summary = experiments.run(request, stop=stop)
    click.echo("\n".join(summary.lines()))
    sys.exit(summary.code)


def parsed(word: str) -> tuple[str, Any]:
    """`key=value`, the value as YAML 1.2 reads it.

    Raises:
        InputError: no `=`, or no YAML behind it.
    """
    key, sign, text = word.partition("=")
    if not sign or not key:
        raise InputError(f"--set {word}: expected key=value, e.g. stage1.epochs=3")
    return key, parse_yaml(text, f"--set {word}")
