"""The command `dbdflow import`: what a person downloaded, unpacked or corrected, brought in."""

import re
import sys
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

import click

from components.acquire.sources import BACKBONES, CHECKPOINTS, ITEMS, MAPS, MIDAS, SET_ARCHIVES, TE2
from components.common.errors import InputError
from pipelines.system.environment import EXTERNAL, INBOX, checkout, seen_from_here
from pipelines.system.progress import Progress

METHOD_MAPS = "maps"
LABELS = "labels"
NAMES = (*ITEMS, *BACKBONES, METHOD_MAPS, LABELS)


@click.command("import")
@click.argument("item", metavar="ITEM")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH...")
@click.option("--partial", is_flag=True, help="Accept less than was published, and add to what was imported before.")
@click.option("--anyway", is_flag=True, help="Accept weights of another hash than the published file's.")
@click.option("--method", default="", help="For `maps`: a row of the tables, e.g. lbp; or another name.")
@click.option("--white", type=click.Choice(["in_focus", "out_of_focus"]), help="For `maps`: what white means in them.")
@click.option("--resize", type=click.Choice(["none", "bilinear", "nearest"]), default="none", show_default=True)
@click.option(
    "--test-set", default="", help="For `maps`: the test set of all of them, where no folder is called after one."
)
def command(
    *,
    item: str,
    paths: tuple[Path, ...],
    partial: bool,
    anyway: bool,
    method: str,
    white: Literal["in_focus", "out_of_focus"] | None,
    resize: Literal["none", "bilinear", "nearest"],
    test_set: str,
) -> None:
    """Bring in a set, weights, a list, maps or corrected labels, from folders or archives that lie anywhere.

    ITEM is a data set (cuhk, dut, ctcug, ebd), the list cuhk_te2, weights (midas_v21, published_..., or any timm
    model's ImageNet weights by its name: resnest101e, vgg16, mobilenetv2_100), the authors' result maps (maps_...),
    `maps` of any method, or `labels`: proposals of `dbdflow label` that were corrected. A folder `depth` beside
    CUHK's photographs is kept with them. Maps are kept as they are; scoring brings those of another size to their
    label's as --resize says (the authors' own code: nearest; `predict` is bilinear). `dbdflow status` says what is
    there, and where to get the rest.
    """
    if item != LABELS:  # they stay where they are
        checkout()
    of_any = item == METHOD_MAPS
    said = of_method(paths, method, white, resize, test_set) if of_any else known(item, paths, partial, anyway)
    click.echo(f"{item}: {said}")


def known(item: str, paths: tuple[Path, ...], partial: bool, anyway: bool) -> str:
    """Bring in something that is known by its name."""
    from components.incoming import maps, sets, weights

    inbox = seen_from_here(INBOX)
    if item in SET_ARCHIVES:
        bar = Progress(f"import {item}")
        return sets.import_set(
            item, paths, inbox, partial=partial, progress=lambda done, total: bar.show(done, total, "labels")
        )
    if item in MAPS:
        row, cuhk = maps.AUTHORS_MAPS[item]
        return maps.import_maps(row, maps.authors_facts(item), paths, seen_from_here(EXTERNAL), cuhk=cuhk)
    path = only(paths)
    if item == TE2:
        return sets.import_te2(path, inbox, partial=partial)
    if item == MIDAS.name or item in CHECKPOINTS:
        return weights.import_weights(item, path, inbox, anyway=anyway)
    if item not in NAMES or item in BACKBONES:
        check_backbone(item)
        return weights.import_backbone(item, path, inbox, anyway=anyway)
    return corrections(path)


def corrections(path: Path) -> str:
    """Bring in corrected labels; those that cannot be used are named, and the command's exit code is 1."""
    from components.labelling.export import import_corrections

    count, wrong = import_corrections(path)
    said = f"{count} labels in {path / 'EBD' / 'gt'}"
    if wrong:
        click.echo(f"labels: {said}")
        click.echo("\n".join([f"{len(wrong)} left out:", *(f"  {each}" for each in wrong)]), err=True)
        sys.exit(1)
    return said


def check_backbone(item: str) -> None:
    """Refuse an item of another name that is no timm model."""
    from components.models.timm_import import import_timm

    if not import_timm().is_model(item):
        near = get_close_matches(item, [*NAMES, *import_timm().list_models()], n=3, cutoff=0.4)
        raise InputError(
            f"{item!r}: neither an item that can be imported nor a timm model; nearest: {', '.join(near) or 'none'} "
            f"(items: {', '.join(NAMES)})"
        )


def only(paths: tuple[Path, ...]) -> Path:
    """The one path; more are refused."""
    if len(paths) > 1:
        raise InputError(f"{paths[1]}: one path too many; name one file or folder")
    return paths[0]


def of_method(
    paths: tuple[Path, ...],
    method: str,
    white: Literal["in_focus", "out_of_focus"] | None,
    resize: Literal["none", "bilinear", "nearest"],
    test_set: str,
) -> str:
    """Bring in published maps of any method."""
    from components.incoming.maps import Facts, import_maps
    from components.scoring.external_methods import NO_ROW
    from components.scoring.paper_tables import paper_tables

    rows = {row.run: row.method.partition(" [")[0] for table in paper_tables() for row in table.rows}
    if not re.fullmatch(r"\w[\w.-]*", method):
        raise InputError(
            f"--method {method!r}: expected a row of the paper's tables ({', '.join(rows)}) or another name"
        )
    if white is None:
        raise InputError("--white: say what white means in these maps, in_focus or out_of_focus")
    row = method if method in rows else NO_ROW
    facts = Facts(rows.get(method, method), row, white, resize, ", ".join(map(str, paths)))
    said = import_maps(method, facts, paths, seen_from_here(EXTERNAL), test_set=test_set)
    return said if row != NO_ROW else f"{said} (no row of the paper's tables is called {method})"
