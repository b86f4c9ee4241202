"""`dbdflow pull`: the outputs that `dvc.lock` records, from a DVC remote, into the workspace; nothing is run."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from pipelines.repo.remote import Output, Store, Trouble, check_out, opened, recorded, transfer
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
    begun = time.monotonic()
    troubles, fetched, whole = pull(repository(), outputs, remote, force=force)
    click.echo(
        f"{whole} outputs in place, {fetched} objects fetched and checked, "
        f"in {duration(time.monotonic() - begun)}; nothing was run"
    )
    if troubles:
        click.echo("\n".join(told(troubles)), err=True)
        sys.exit(1)


def pull(root: Path, words: Sequence[str], remote: str | None, *, force: bool) -> tuple[list[Trouble], int, int]:
    """What could not be had; the number of objects fetched; the number of outputs in place.

    Raises:
        InputError: no `dvc.lock`, no such output, no remote, or it does not answer.
    """
    outs = recorded(root, words)
    with opened(root, remote, "pull") as (repo, store):
        fetched, troubles = 0, []
        for part in (0, 1):  # listings first: they say what else there is
            places = store.places(outs)[part]
            wanted = {oid: using for oid, using in places.items() if not store.has(oid)}
            found = transfer(store, wanted, store.fetch, "pull")
            fetched += len(wanted) - len(found)
            troubles += found
        whole = put_in_place(repo, store, outs, force=force)
    return troubles, fetched, whole


def put_in_place(repo: Any, store: Store, outs: Sequence[Output], *, force: bool) -> int:  # noqa: ANN401
    """Check out the outputs that are whole in the cache; how many."""
    _, files = store.places(outs)
    broken = {out for oid, using in files.items() if not store.has(oid) for out, _ in using}
    whole = [out.path for out in outs if store.has(out.oid) and out not in broken]
    check_out(repo, whole, force=force)
    return len(whole)


def told(troubles: Sequence[Trouble]) -> list[str]:
    """What is the matter, and what to do."""
    stages = sorted({out.stage for trouble in troubles for out in trouble.outputs})
    return [
        *(f"error: {trouble.message}" for trouble in troubles),
        "Where they are whole, `dbdflow push --again` sends them anew; or make them here: "
        f"`dbdflow reproduce {' '.join(stages)}`",
    ]
