"""`dbdflow score`: anybody's maps held against labels, by the tables' rules."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from components.common.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

POSITIVE = click.Choice(["focus", "blur"])
GREY_TOLERANCE = 0.20
"""Of a label that is scored: the most that any of the paper's sets needs (DUT)."""


@click.command("score")
@click.option("--maps", required=True, type=click.Path(path_type=Path), help="Folder of maps.")
@click.option("--labels", required=True, type=click.Path(path_type=Path), help="Folder of labels, same file stems.")
@click.option("--maps-positive", type=POSITIVE, default="focus", show_default=True, help="What white means in maps.")
@click.option("--labels-positive", type=POSITIVE, default="focus", show_default=True, help="... and in labels.")
@click.option("--resize", is_flag=True, help="Bring maps of another size to their label's, bilinearly.")
@click.option("--iou", type=click.Choice(["pooled", "per_image"]), default="pooled", show_default=True)
@click.option(
    "--json", "as_json", is_flag=True, help="Print JSON: mae, f_beta, f_beta_published, f_beta_max, iou, images."
)
def command(
    *, maps: Path, labels: Path, maps_positive: str, labels_positive: str, resize: bool, iou: str, as_json: bool
) -> None:
    """MAE, F-beta and IoU of a folder of maps by the paper's rules (F-beta and IoU: blurred region positive)."""
    from components.scoring.evaluation import score_pairs

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
    from components.catalog.images import find_all
    from components.common.names import SUFFIXES

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
    from components.catalog.masks import of_numbers, read_map, read_mask

    numbers = of_numbers(maps.values())
    for stem, path in maps.items():
        found, label = read_map(path, numbers=numbers), read_mask(labels[stem], GREY_TOLERANCE)
        read_as.update([(path.parent, found.read_as), (labels[stem].parent, label.read_as)])
        yield (
            str(path),
            found.levels if maps_positive == "focus" else 255 - found.levels,
            (label.white if labels_positive == "focus" else ~label.white).astype("uint8"),
        )
