"""`dbdflow push`: the outputs that `dvc.lock` records, to a DVC remote."""

import sys
import time

import click

from pipelines.repo.outputs import recorded
from pipelines.repo.remote import opened
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
    outs = recorded(root, outputs)
    with opened(root, remote, "push") as (_, exchange):
        lacking, sent, there = exchange.send(outs, again=again)
    click.echo(f"{sent} objects sent, {there} were there, in {duration(time.monotonic() - begun)}")
    if git(root, "status", "--porcelain", "--", "dvc.lock"):
        click.echo(
            "dvc.lock is not committed: others need it to know what belongs together "
            "(`git add dvc.lock && git commit`, and push the commit)"
        )
    if lacking:
        click.echo("\n".join(f"error: {line}" for line in lacking), err=True)
        sys.exit(1)
