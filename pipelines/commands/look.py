"""`dbdflow look`: a page on this machine on which photographs and their maps are looked at."""

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import click

from components.baselines import CLASSICAL
from components.common.cores import cores
from components.common.errors import InputError
from pipelines.system.environment import LOOPBACK, seen_from_here
from pipelines.system.stopping import Terminated, signals

if TYPE_CHECKING:
    from fastapi import FastAPI

HOST = LOOPBACK[0]
PORT = 8420
EXAMPLES = Path("data/examples")
TWO = 2


@click.command("look")
@click.option(
    "--model",
    "models",
    multiple=True,
    default=("small",),
    show_default=True,
    help=f"As of predict: a run, a folder or file of weights, or {', '.join(CLASSICAL)}. Twice: two side by side.",
)
@click.option("--port", type=click.IntRange(1, 65535), default=PORT, show_default=True)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
def command(*, models: tuple[str, ...], port: int, device: str) -> None:
    """Look at photographs, their maps, overlays and cut-outs, on a page of this machine; Ctrl-C ends it.

    The page takes photographs by drop, choice or paste. Nothing leaves this machine, and nothing is written.
    """
    if len(models) > TWO:
        raise InputError(f"--model: {len(models)} of them, expected one or two; the page has the others in a list")
    try:
        with signals(), listening(port) as listener:
            look(listener, tuple(dict.fromkeys(models)), device)
    except (KeyboardInterrupt, Terminated):
        click.echo("\nended")


def look(listener: socket.socket, models: tuple[str, ...], device: str) -> None:
    """Serve the page until Ctrl-C, which raises as ever.

    Raises:
        InputError: a model cannot be had.
    """
    from pipelines.running.detectors import at_hand
    from pipelines.servers.look import make_app
    from pipelines.servers.look_workers import Workers

    with Workers(cores(), models, device) as workers:
        click.echo(f"http://{HOST}:{listener.getsockname()[1]}   (Ctrl-C ends it)")
        serve(make_app(workers, list(dict.fromkeys([*models, *at_hand()])), examples()), listener)


def examples() -> dict[str, Path]:
    """The photographs of this checkout that may be shown, and the text on them, by name."""
    from components.catalog.images import find_images
    from pipelines.servers.look import WHOSE

    folder = seen_from_here(EXAMPLES).absolute()
    files = [*find_images(folder).values(), folder / WHOSE] if folder.is_dir() else []
    return {path.name: path for path in files if path.is_file()}


def serve(app: "FastAPI", listener: socket.socket) -> None:
    """Answer on a socket until a signal comes; whatever is at work then is left.

    Raises:
        KeyboardInterrupt: always, also of a process started in the background, where the system ignores Ctrl-C.
    """
    import uvicorn

    config = uvicorn.Config(app, lifespan="off", ws="none", log_level="critical", timeout_graceful_shutdown=0)
    uvicorn.Server(config).run([listener])
    raise KeyboardInterrupt


def listening(port: int) -> socket.socket:
    """A socket on the loopback.

    Raises:
        InputError: another program has the port, or it may not be had.
    """
    try:
        listener = socket.create_server((HOST, port))
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else each answer waits 40 ms for its end
        return listener
    except OSError as error:
        from pipelines.servers.services import port_at

        raise InputError(
            f"--port {port}: {os.strerror(error.errno or 0)}, at {HOST}; another program may listen there, or `dbdflow "
            f"look` already (http://{HOST}:{port}); end it, or name another: --port {port_at(max(port, 1024))}"
        ) from error
