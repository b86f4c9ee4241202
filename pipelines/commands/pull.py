"""`dbdflow pull`: the outputs that `dvc.lock` records, from a DVC remote, into the workspace; nothing is run."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from pipelines.repo.outputs import Output, recorded
from pipelines.repo.remote import Exchange, Trouble, opened
from pipelines.repo.revisions import repository
from pipelines.system.progress import duration


@click.command("pull")
@click.argument("outputs", nargs=-1, metavar="[OUTPUT|STAGE...]")
@click.option("--remote", "-r", metavar="NAME", help="By default the default one (`dvc remote default`).")
@click.option("--force", is_flag=True, help="Replace outputs that differ and are nowhere else.")
def command(*, outputs: tuple[str, ...], remote: str | None, force: bool) -> None:
    """Fetch outputs from a DVC remote and put them in place; every object is held to its hash.

    Exit code 1: something in the remote is damaged or missing; it is named, and everything else is in place.
    """
    begun, root = time.monotonic(), repository()
    outs = recorded(root, outputs)
    with opened(root, remote, "pull") as (repo, exchange):
        troubles, fetched = exchange.fetch(outs)
        whole = put_in_place(repo, exchange, outs, force=force)
    click.echo(
        f"{whole} outputs in place, {fetched} objects fetched and checked, "
        f"in {duration(time.monotonic() - begun)}; nothing was run"
    )
    if troubles:
        click.echo("\n".join(told(troubles)), err=True)
        sys.exit(1)


def put_in_place(repo: Any, exchange: Exchange, outs: Sequence[Output], *, force: bool) -> int:  # noqa: ANN401
    """Check out the outputs that are whole in the cache, as far as dvc.yaml has them; how many."""
    known = {out.fs_path for out in repo.index.outs}
    whole = [path for out in exchange.whole(outs) if (path := str(Path(repo.root_dir, out.path))) in known]
    if whole:
        repo.checkout(whole, force=force)
    return len(whole)


def told(troubles: Sequence[Trouble]) -> list[str]:
    """What is the matter, and what to do."""
    stages = sorted({out.stage for trouble in troubles for out in trouble.outputs})
    return [
        *(f"error: {trouble.message}" for trouble in troubles),
        "Where they are whole, `dbdflow push --again` sends them anew; or make them here: "
        f"`dbdflow reproduce {' '.join(stages)}`",
    ]
