"""`dbdflow prepare`: a data set made ready, outside any checkout too."""

from pathlib import Path

import click

from components.common.errors import InputError
from pipelines.system.places import check_folder
from pipelines.system.progress import Progress


@click.command("prepare")
@click.argument("name", metavar="SET", type=click.Choice(["cuhk", "dut", "ctcug", "ebd"]))
@click.option("--raw", required=True, type=click.Path(path_type=Path), help="The set in its archive's own layout.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the prepared set.")
@click.option("--image-size", type=click.IntRange(32), default=320, show_default=True, help="Network input, pixels.")
@click.option("--partial", is_flag=True, help="Accept fewer images than the published set has.")
def command(name: str, raw: Path, out: Path, image_size: int, partial: bool) -> None:
    """Make a data SET ready: labels to one polarity (1 = in focus) and to {0, 1}, an index, a validation report."""
    from components.prepare.build import holds_others, prepare_set

    check_folder(out)
    if holds_others(out):
        raise InputError(f"--out {out}: no prepared set, and it would be replaced; name a new or empty folder")
    progress = Progress(f"prepare {name}")
    read_as = prepare_set(
        name,
        raw,
        out,
        image_size=image_size,
        partial=partial,
        progress=lambda done, total: progress.show(done, total, "photographs"),
    )
    for reading, count in read_as.items():
        click.echo(f"{count} labels: {reading}")
    click.echo(f"{out}: ready; see {out / 'validation.json'}")
