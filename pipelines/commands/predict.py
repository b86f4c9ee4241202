"""`dbdflow predict`: blur maps of a person's photographs."""

import math
import sys
from contextlib import closing
from pathlib import Path

import click

from components.baselines import CLASSICAL
from components.common.errors import InputError
from pipelines.photographs.copies import check_copies, chosen, copy_all
from pipelines.photographs.making import Job
from pipelines.photographs.plan import Plan, plan_maps, without_map
from pipelines.photographs.predicting import job_of, predict_maps, resume

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
@click.option("--bits", type=click.Choice(["8", "16"]), default="8", show_default=True, help="Of a map's levels.")
@click.option("--overlay", is_flag=True, help="Also OUT/overlay: the photographs, tinted where they are out of focus.")
@click.option("--cut-out", is_flag=True, help="Also OUT/cut-out: the photographs, as opaque as they are in focus.")
@click.option("--blur", is_flag=True, help="Also OUT/blur: the photographs, what is out of focus blurred further.")
@click.option("--sheet", type=click.Path(path_type=Path), help="A picture (.png, .jpg) of photographs, maps, cut-outs.")
@click.option(
    "--sharper-than",
    type=click.FloatRange(0, 1),
    metavar="SHARE",
    help="With --copy-to: photographs of whose area at least this share, 0 to 1, is in focus. It is how much is sharp, "
    "not how sharp it is: a face before a soft background may have 0.1, a landscape 0.9, a shaken photograph 0.",
)
@click.option("--copy-to", type=click.Path(path_type=Path), help="Folder for copies of them, and of raw files beside.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--overwrite", is_flag=True, help="Write over files that are none of predict's; never a photograph.")
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
    bits: str,
    overlay: bool,
    cut_out: bool,
    blur: bool,
    sheet: Path | None,
    sharper_than: float | None,
    copy_to: Path | None,
    device: str,
    overwrite: bool,
    max_megapixels: int,
) -> None:
    """Blur maps of PHOTOS (photographs, or folders of them) at their own size; white = in focus.

    Of several photographs, OUT also gets index.html, to look at them, and photographs.parquet, a row each
    (docs/photographs.md). Interrupted or called again, it goes on with what has no map yet.

    A map is made at the size that the network was trained at, and brought to the photograph's size bilinearly. (The
    published code does that by nearest neighbour, and so do the scores of the tables.)
    """
    check_options(sheet, sharper_than, copy_to)
    from components.catalog.images import accept

    accept(max_megapixels)
    views = [name for name, wanted in {"overlay": overlay, "cut-out": cut_out, "blur": blur}.items() if wanted]
    plan = plan_maps(photos, out, sheet, views=views, overwrite=overwrite)
    if copy_to:
        check_copies(copy_to, out, plan.maps)
    job = job_of(plan, model, 16 if bits == "16" else 8)
    if told := resume(plan, job):
        click.echo(told, err=True)
    watch(plan, job, model, device)
    click.echo(f"{len(plan.rows)} maps in {out} (white = in focus)")
    if plan.told:
        click.echo(" and ".join(map(str, plan.told)))
    if sheet and plan.rows:
        from pipelines.photographs.sheet import write_sheet

        write_sheet(sheet, plan.done)
        click.echo(f"{sheet}: photograph, map, cut-out")
    failed = [without_map(plan.left_out)] if plan.left_out else []
    if copy_to and sharper_than is not None:
        failed += copies(plan, sharper_than, copy_to)
    if failed:
        click.echo("\n".join(failed), err=True)
        sys.exit(1)


def check_options(sheet: Path | None, sharper_than: float | None, copy_to: Path | None) -> None:
    """Refuse options that say nothing, or half of something."""
    if sheet and sheet.suffix.lower() not in SHEETS:
        raise InputError(f"--sheet {sheet}: expected a name that ends in {', '.join(sorted(SHEETS))}")
    if (sharper_than is None) != (copy_to is None):
        raise InputError("--sharper-than and --copy-to go together: how much is to be in focus, and the folder")
    if sharper_than is not None and math.isnan(sharper_than):
        raise InputError("--sharper-than nan: expected a share from 0 to 1")


def watch(plan: Plan, job: Job, model: str, device: str) -> None:
    """Make what waits, and show how far it is."""
    with (
        click.progressbar(length=len(plan.waiting), label="photographs", show_pos=True, file=sys.stderr) as bar,
        closing(predict_maps(plan, job, model, device)) as made,
    ):
        for _ in made:
            bar.update(1)


def copies(plan: Plan, share: float, folder: Path) -> list[str]:
    """Copy the photographs of which enough is in focus, and say so; what is to be said of those that were not."""
    found = chosen(plan.rows, share)
    copied = copy_all(found, folder)
    click.echo(
        f"{len(found)} of {len(plan.rows)} photographs have at least {share:g} in focus; in {folder}: "
        f"{len(copied.new)} files new, {len(copied.there)} were there"
    )
    refused = [f"  {path}: {why}" for path, why in copied.refused.items()]
    return [f"{len(refused)} not copied:", *refused] if refused else []
