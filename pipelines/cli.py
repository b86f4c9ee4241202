"""The command `dbdflow`: what a person asks for beside `dvc repro`."""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click

from components.errors import InputError
from pipelines import environment
from pipelines.detectors import CLASSICAL, DEFAULT
from pipelines.photographs import plan_maps, predict_maps, told
from pipelines.places import check_folder
from pipelines.progress import Progress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

POSITIVE = click.Choice(["focus", "blur"])
GREY_TOLERANCE = 0.20
"""Of a label that is scored: the most that any of the paper's sets needs (DUT)."""
SHEETS = {".jpeg", ".jpg", ".png"}


ELSEWHERE = {
    "ci": "pipelines.ci",
    "diff": "pipelines.diff",
    "import": "pipelines.incoming",
    "label": "pipelines.label",
    "pull": "pipelines.pull",
    "push": "pipelines.push",
    "reproduce": "pipelines.reproduce_command",
    "status": "pipelines.status",
    "sweep": "pipelines.sweep",
    "up": "pipelines.up",
    "verify": "pipelines.verify",
}
"""Commands that lie in modules of their own (`command`), imported when they are asked for: some take half a second."""


class Group(click.Group):
    """Shows what a user can put right as one message, without a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *ELSEWHERE])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in ELSEWHERE:
            return super().get_command(ctx, cmd_name)
        command: click.Command = import_module(ELSEWHERE[cmd_name]).command
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; exit code 2 for bad input, 130 for Ctrl-C."""
        try:
            return super().invoke(ctx)
        except InputError as error:
            click.echo(f"error: {error}", err=True)
            sys.exit(2)
        except KeyboardInterrupt:
            click.echo("interrupted; files written so far are whole and stay", err=True)
            sys.exit(130)


@click.group(cls=Group)
@click.version_option(package_name="dbdflow")
def main() -> None:
    """Defocus blur detection: maps of your photographs, scores of anybody's maps, data sets made ready."""
    environment.apply()


@main.command()
@click.argument("photos", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--model",
    default=DEFAULT,
    show_default=True,
    help="A run of data/models, a folder with model.safetensors, a .safetensors file, a published checkpoint "
    f"(.pt, .pth), or a method: {', '.join(CLASSICAL)}. As it is: the weights that ship with the project.",
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
def predict(
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
    from components.data.images import accept

    accept(max_megapixels)
    plan = plan_maps(photos, out, sheet, overwrite=overwrite)
    with click.progressbar(length=len(plan.maps), label="photographs", file=sys.stderr) as bar:
        for _ in predict_maps(plan, model, device):
            bar.update(1)
    done = plan.done
    click.echo(f"{len(done)} maps in {out} (white = in focus)")
    if sheet and done:
        from pipelines.sheet import write_sheet

        write_sheet(sheet, done)
        click.echo(f"{sheet}: photograph, map, cut-out")
    if plan.left_out:
        click.echo(told(plan.left_out), err=True)
        sys.exit(1)


@main.command()
@click.option("--maps", required=True, type=click.Path(path_type=Path), help="Folder of maps.")
@click.option("--labels", required=True, type=click.Path(path_type=Path), help="Folder of labels, same file stems.")
@click.option("--maps-positive", type=POSITIVE, default="focus", show_default=True, help="What white means in maps.")
@click.option("--labels-positive", type=POSITIVE, default="focus", show_default=True, help="... and in labels.")
@click.option("--resize", is_flag=True, help="Bring maps of another size to their label's, bilinearly.")
@click.option("--iou", type=click.Choice(["pooled", "per_image"]), default="pooled", show_default=True)
@click.option(
    "--json", "as_json", is_flag=True, help="Print JSON: mae, f_beta, f_beta_published, f_beta_max, iou, images."
)
def score(
    *, maps: Path, labels: Path, maps_positive: str, labels_positive: str, resize: bool, iou: str, as_json: bool
) -> None:
    """MAE, F-beta and IoU of a folder of maps by the paper's rules (F-beta and IoU: blurred region positive)."""
    from components.evaluation import score_pairs

    found, truth = pictures(maps), pictures(labels)
    if missing := sorted(found.keys() ^ truth.keys()):
        where = maps if missing[0] in truth else labels
        raise InputError(
            f"{where}: no picture named {missing[0]!r} ({len(missing)} without a partner in {maps} and {labels}); "
            "every map needs its label and every label its map"
        )

    read_as: Counter[tuple[Path, str]] = Counter()
    scores = score_pairs(
        read_pairs(found, truth, maps_positive, labels_positive, read_as),
        resize=resize,
        iou="pooled" if iou == "pooled" else "per_image",
    )
    for (folder, reading), count in sorted(read_as.items()):
        if reading:
            click.echo(f"{folder}: {count} of {len(truth)} read as: {reading}", err=True)
    if as_json:
        click.echo(json.dumps(scores))
        return
    click.echo(f"MAE    {scores['mae']:.4f}\nF_beta {scores['f_beta']:.4f}  (threshold 0.5, blurred = positive)")
    click.echo(f"       {scores['f_beta_published']:.4f}  (published code: all called blurred where that is more)")
    click.echo(f"IoU    {scores['iou']:.4f}  ({iou}, blurred = positive)\n{scores['images']} images")


def pictures(folder: Path) -> dict[str, Path]:
    """The pictures of a folder, by stem.

    Raises:
        InputError: no such folder, no picture in it, or two with one stem.
    """
    from components.data.images import find_all
    from components.data.names import SUFFIXES

    found = find_all(folder)
    if not found:
        raise InputError(f"{folder}: no picture in it; expected {', '.join(sorted(SUFFIXES))}")
    return found


def read_pairs(
    maps: dict[str, Path],
    labels: dict[str, Path],
    maps_positive: str,
    labels_positive: str,
    read_as: Counter[tuple[Path, str]],
) -> Iterator[tuple[str, "NDArray[np.uint8]", "NDArray[np.uint8]"]]:
    """Each (file, map with 255 = in focus, label with 1 = in focus); `read_as` counts what files were taken for."""
    from components.data.masks import read_map, read_mask

    for stem, path in maps.items():
        found, label = read_map(path), read_mask(labels[stem], GREY_TOLERANCE)
        read_as.update([(path.parent, found.read_as), (labels[stem].parent, label.read_as)])
        yield (
            str(path),
            found.levels if maps_positive == "focus" else 255 - found.levels,
            (label.white if labels_positive == "focus" else ~label.white).astype("uint8"),
        )


@main.command()
@click.argument("name", metavar="SET", type=click.Choice(["cuhk", "dut", "ctcug", "ebd"]))
@click.option("--raw", required=True, type=click.Path(path_type=Path), help="The set in its archive's own layout.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the prepared set.")
@click.option("--image-size", type=click.IntRange(32), default=320, show_default=True, help="Network input, pixels.")
@click.option("--partial", is_flag=True, help="Accept fewer images than the published set has.")
def prepare(name: str, raw: Path, out: Path, image_size: int, partial: bool) -> None:
    """Make a data SET ready: labels to one polarity (1 = in focus) and to {0, 1}, an index, a validation report."""
    from components.data.prepare import holds_others, prepare_set

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


if __name__ == "__main__":
    main()
