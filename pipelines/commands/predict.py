"""`dbdflow predict`: blur maps of a person's photographs."""

import sys
from pathlib import Path

import click

from components.baselines import CLASSICAL
from components.common.errors import InputError
from pipelines.running.photographs import plan_maps, predict_maps, without_map

SHEETS = {".jpeg", ".jpg", ".png"}


@click.command("predict")
@click.argument("photos", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--model",
    default="small",
    show_default=True,
    help="A run of data/models, a folder with model.safetensors, a .safetensors file, a published checkpoint "
    f"(.pt, .pth), an exported .onnx file, or a method: {', '.join(CLASSICAL)}. As it is: the weights that ship with "
    "the project.",
)
@click.option("--out", default="maps", show_default=True, type=click.Path(path_type=Path), help="Folder for the maps.")
@click.option("--sheet", type=click.Path(path_type=Path), help="A picture (.png, .jpg) of photographs, maps, cut-outs.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--overwrite", is_flag=True, help="Write over files that are no maps of predict; never a photograph.")
@click.option(
    "--max-megapixels",
    type=click.IntRange(1),
    default=512,
    show_default=True,
    help="Larger photographs are not read; one takes 3 bytes a pixel (a JPEG less), and its map 1.",
)
def command(
    *,
    photos: tuple[Path, ...],
    model: str,
    out: Path,
    sheet: Path | None,
    device: str,
    overwrite: bool,
    max_megapixels: int,
) -> None:
    """Blur maps of PHOTOS (photographs, or folders of them) at their own size; white = in focus.

    A map is made at the size that the network was trained at, and brought to the photograph's size bilinearly. (The
    published code does that by nearest neighbour, and so do the scores of the tables.)
    """
    if sheet and sheet.suffix.lower() not in SHEETS:
        raise InputError(f"--sheet {sheet}: expected a name that ends in {', '.join(sorted(SHEETS))}")
    from components.catalog.images import accept

    accept(max_megapixels)
    plan = plan_maps(photos, out, sheet, overwrite=overwrite)
    with click.progressbar(length=len(plan.maps), label="photographs", file=sys.stderr) as bar:
        for _ in predict_maps(plan, model, device):
            bar.update(1)
    done = plan.done
    click.echo(f"{len(done)} maps in {out} (white = in focus)")
    if sheet and done:
        from pipelines.running.sheet import write_sheet

        write_sheet(sheet, done)
        click.echo(f"{sheet}: photograph, map, cut-out")
    if plan.left_out:
        click.echo(without_map(plan.left_out), err=True)
        sys.exit(1)
