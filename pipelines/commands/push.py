"""`dbdflow push`: the outputs that `dvc.lock` records, to a DVC remote."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click

from pipelines.repo.remote import Trouble, opened, recorded, transfer
from pipelines.repo.revisions import git, repository
from pipelines.system.progress import duration


@click.command("push")
@click.argument("outputs", nargs=-1, metavar="[OUTPUT|STAGE...]")
@click.option("--remote", "-r", metavar="NAME", help="By default the default one (`dvc remote default`).")
@click.option("--again", is_flag=True, help="Send what is there already too: puts right what is damaged there.")
def command(*, outputs: tuple[str, ...], remote: str | None, again: bool) -> None:
    """Send outputs to a DVC remote; every object is held to its hash before it leaves.

    Exit code 1: something is damaged or missing here; it is named, and everything else is sent.
    """
    begun, root = time.monotonic(), repository()
    troubles, sent, there = push(root, outputs, remote, again=again)
    click.echo(f"{sent} objects sent, {there} were there, in {duration(time.monotonic() - begun)}")
    if git(root, "status", "--porcelain", "--", "dvc.lock"):
        click.echo(
            "dvc.lock is not committed: others need it to know what belongs together "
            "(`git add dvc.lock && git commit`, and push the commit)"
        )
    if troubles:
        click.echo("\n".join(f"error: {trouble.message}" for trouble in troubles), err=True)
        sys.exit(1)


def push(root: Path, words: Sequence[str], remote: str | None, *, again: bool) -> tuple[list[Trouble], int, int]:
    """What could not be sent; the number of objects sent; the number that were there.

    Raises:
        InputError: no `dvc.lock`, no such output, no remote, or it does not answer.
    """
    outs = recorded(root, words)
    sent, there, troubles = 0, 0, list[Trouble]()
    with opened(root, remote, "push") as (_, store):
        tops, files = store.places(outs)
        for places in (files, tops):  # what lists others goes after them, and not without them
            broken = {out for trouble in troubles for out in trouble.outputs}
            whole = {oid: using for oid, using in places.items() if not any(out in broken for out, _ in using)}
            present = set() if again else store.present(whole)
            wanted = {oid: using for oid, using in whole.items() if oid not in present}
            found = transfer(store, wanted, store.send, "push")
            sent, there = sent + len(wanted) - len(found), there + len(present)
            troubles += found
    return troubles, sent, there
