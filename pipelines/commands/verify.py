"""`dbdflow verify`: whether what `dvc.lock` records comes out again, computed anew beside the workspace."""

import random
import sys
import time
from collections import Counter

import click

from pipelines.system.progress import duration


@click.command("verify")
@click.argument("words", nargs=-1, metavar="[STAGE|OUTPUT...]")
@click.option("--sample", type=click.IntRange(1), metavar="N", help="That many stages, at random; by default 1.")
@click.option("--all", "every", is_flag=True, help="All stages that dvc.lock records, or all that are named.")
@click.option("--seed", type=int, help="Of the choice; by default another one each time, which is said.")
@click.option(
    "--tolerance",
    type=click.FloatRange(0),
    default=1e-3,
    show_default=True,
    help="Largest difference between numbers that are the same, relative to what exceeds 1.",
)
def command(*, words: tuple[str, ...], sample: int | None, every: bool, seed: int | None, tolerance: float) -> None:
    """Compute recorded stages again and say whether the same bytes come out, or the same numbers.

    The workspace and DVC's cache stay as they are. Exit code 0: all the same; 1: one differs or failed; 3: some could
    not be checked.
    """
    from pipelines.repo.revisions import repository
    from pipelines.running.recompute import Asked, Verdict, recompute
    from pipelines.system.stopping import Stop, by_signals

    if every and sample:
        raise click.UsageError("--all and --sample exclude each other")
    wanted = None if every or (words and not sample) else sample or 1
    asked = Asked(words, wanted, random.randrange(10**6) if seed is None else seed, tolerance)
    begun, stop, found = time.monotonic(), Stop(), list[Verdict]()
    with by_signals(stop):
        for verdict in recompute(repository(), asked, stop):
            found.append(verdict)
    counts = Counter(verdict.kind for verdict in found)
    counted = ", ".join(f"{count} {kind}" for kind, count in counts.items()) or "nothing checked"
    chosen = f" (--sample {wanted} --seed {asked.seed})" if wanted else ""
    click.echo(f"{counted}{chosen}, in {duration(time.monotonic() - begun)}; the workspace and the cache are as before")
    if stop.is_set():
        click.echo(stop.reason)
        sys.exit(stop.code)
    if counts["different"] or counts["failed"]:
        sys.exit(1)
    checked = len(found) - counts["not checked"]
    sys.exit(3 if checked < (wanted or len(found)) or not checked else 0)
