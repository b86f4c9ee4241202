"""`dbdflow pull`: the outputs that `dvc.lock` records, from a DVC remote, into the workspace; nothing is run."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from pipelines.repo.outputs import Output, recorded
from pipelines.repo.remote import opened
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
        lacking, fetched = exchange.fetch(outs)
        whole = put_in_place(repo, exchange.whole(outs), force=force)
    click.echo(
        f"{len(whole)} outputs in place, {fetched} objects fetched and checked, "
        f"in {duration(time.monotonic() - begun)}; nothing was run"
    )
    if lacking:
        stages = sorted({out.stage for out in outs if out not in whole})
        click.echo("\n".join(f"error: {line}" for line in lacking), err=True)
        click.echo(
            "Where they are whole, `dbdflow push --again` sends them anew; or make them here: "
            f"`dbdflow reproduce {' '.join(stages)}`",
            err=True,
        )
        sys.exit(1)


def put_in_place(repo: Any, outs: Sequence[Output], *, force: bool) -> list[Output]:  # noqa: ANN401
    """Check out outputs, as far as dvc.yaml has them; which."""
    known = {out.fs_path for out in repo.index.outs}
    found = {str(Path(repo.root_dir, out.path)): out for out in outs}
    if paths := known & found.keys():
        repo.checkout(sorted(paths), force=force)
    return [found[path] for path in paths]
