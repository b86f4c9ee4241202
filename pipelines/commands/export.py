"""`dbdflow export`: a network as a file that runs without this project."""

import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from components.common.errors import InputError

KINDS = (".onnx", ".torchscript")
EXAMPLES = Path("data/examples")
"""Photographs of this checkout."""


@click.command("export")
@click.argument("model")
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--check",
    type=click.Path(path_type=Path),
    help="Folder of photographs on which the file is held against torch. As it is: data/examples of this checkout.",
)
@click.option(
    "--int8",
    type=click.Path(path_type=Path),
    help="Folder of photographs like yours, 20 or more: ONNX with 8-bit convolutions, calibrated by them.",
)
@click.option(
    "--one-pass",
    is_flag=True,
    help="Where a map is the mean of two passes, of a photograph and its mirror image: the first alone, half the time.",
)
@click.option("--licence", help="Of the weights, as the file states it. As it is: that of the weights that ship.")
@click.option("--overwrite", is_flag=True, help="Write over a file.")
def command(
    *,
    model: str,
    out: Path,
    check: Path | None,
    int8: Path | None,
    one_pass: bool,
    licence: str | None,
    overwrite: bool,
) -> None:
    """Write MODEL (a network that predict takes) to OUT, a name that ends in .onnx or .torchscript.

    The file takes photographs, float32 (batch, 3, height, width), RGB in [0, 1], any batch, height and width multiples
    of 32, and gives maps, float32 (batch, 1, height, width), 1 = in focus. It appears only if its maps are torch's, to
    1e-4, on 20 crops of photographs. docs/export.md has a program that uses it.
    """
    from pipelines.system.places import check_places
    from pipelines.system.stopping import Terminated, signals

    if out.suffix not in KINDS:
        raise InputError(f"{out}: expected a name that ends in {' or '.join(KINDS)}")
    if int8 and out.suffix != ".onnx":
        raise InputError(f"--int8 {int8}: 8 bits are of ONNX alone; name a file that ends in .onnx")
    check_places([out], overwrite=overwrite)
    path = weights_file(model)
    calibrates = photographs_of("--int8", int8) if int8 else []
    checks = photographs_of("--check", check or examples())
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    try:
        with signals():
            said = export(path, out, checks, calibrates, licence, mirror=not one_pass)
    except Terminated:
        click.echo(f"terminated; {out} was not written", err=True)
        sys.exit(143)
    click.echo("\n".join(said))


def examples() -> Path:
    """This checkout's photographs.

    Raises:
        InputError: this is none.
    """
    from pipelines.system.environment import seen_from_here

    folder = seen_from_here(EXAMPLES)
    if not folder.is_dir():
        raise InputError(f"{folder}: no photographs to check by; name a folder of some by --check")
    return folder


def photographs_of(option: str, folder: Path) -> list[Path]:
    """The photographs of a folder, at least one.

    Raises:
        InputError: there is none.
    """
    from pipelines.photographs.plan import found_in
    from pipelines.system.places import is_folder

    if not is_folder(folder):
        raise InputError(f"{option} {folder}: no such folder; name one of photographs")
    found = found_in(folder, {})
    if not found:
        raise InputError(f"{option} {folder}: no photographs in it; name a folder of some")
    return found


def export(
    path: Path, out: Path, checks: Sequence[Path], calibrates: Sequence[Path], licence: str | None, *, mirror: bool
) -> list[str]:
    """Write a file of weights as a program, whole or not at all.

    Args:
        path: the weights.
        out: where to.
        checks, calibrates: photographs.
        licence: of the weights, if it is not that of the weights that ship.
        mirror: see `probability`; False where there is one pass anyway is an error.

    Returns:
        what is said of it, a line each.

    Raises:
        InputError: broken weights, a package is not installed, its maps are not torch's, or nothing to leave out.
    """
    from components.export.program import SHIPPED, Program, facts
    from components.export.writing import write
    from dbdflow.detector import WEIGHTS, opened

    network, side, best = opened(path)
    if not (mirror or best):
        raise InputError(f"--one-pass: {path} makes its maps in one pass as it is; leave the option out")
    program = Program(network, best=best, mirror=mirror)
    stated = licence or (SHIPPED if path.parent == WEIGHTS else "not stated")
    about = facts(path, program, side=side, licence=stated)
    said = write(out, program, about, checks=checks, calibrates=calibrates, watch=shown)
    return [f"{out}: {out.stat().st_size / 1e6:.1f} MB; 1 = in focus; licence of the weights: {stated}", *said]


def weights_file(model: str) -> Path:
    """The file of a network's weights.

    Raises:
        InputError: nothing has this name, or it is a classical method, which has none.
    """
    from pipelines.running.detectors import resolved

    found, _ = resolved(model)
    if not isinstance(found, Path):
        raise InputError(f"{model}: a classical method, which is no network; name a run, or a file of weights")
    return found


def shown(done: str, count: int, things: Iterable[Any]) -> Iterator[Any]:
    """Pass things on, and say on standard error how far it is."""
    from pipelines.system.progress import Progress

    progress = Progress("export")
    for number, thing in enumerate(things):
        progress.show(number, count, done)
        yield thing
    progress.show(count, count, done)
