"""`dbdflow worker`: this machine works for a scheduler."""

import asyncio
import os

import click


@click.command("worker")
@click.argument("scheduler", metavar="ADDRESS")
@click.option(
    "--parts", type=click.IntRange(1), default=1, show_default=True, help="Offer one of N parts of the machine."
)
@click.option("--health-port", type=click.IntRange(0, 65535), default=0, help="On the loopback; by default any.")
def command(*, scheduler: str, parts: int, health_port: int) -> None:
    """Run steps of reproductions for the scheduler at ADDRESS (tcp://host:8786) until Ctrl-C.

    Offers all cores, GPUs and memory; CUDA_VISIBLE_DEVICES chooses GPUs. Checkouts have to lie on a disk that this
    machine shares with those who ask, at the same path. Whoever reaches the scheduler can run programs here:
    docs/cluster.md says how to keep others out.
    """
    from pipelines.running.engine import work
    from pipelines.running.resources import Machine

    offer = Machine.here().share(parts)
    click.echo(f"worker {os.getpid()} of {scheduler}: {offer}; Ctrl-C ends it")
    asyncio.run(work(scheduler, offer, health_port))
