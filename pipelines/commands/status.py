"""The command `dbdflow status`: what of the published data, weights and maps is here, and how to get the rest."""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import click

from components.acquire.layout import FoundPart, find_part, folders_below, members
from components.acquire.obtain import by_hand, check_kept
from components.acquire.sources import (
    BACKBONES,
    BY_HAND,
    CHECKPOINTS,
    MAPS,
    MIDAS,
    SET_ARCHIVES,
    TE2,
    TE2_MAPS,
    Archive,
)
from components.catalog.images import find_images
from components.catalog.sets import CUHK, RENDERED, SETS, DataSet, Part
from components.common import ledger
from components.common.errors import InputError
from components.common.ledger import BACKBONES_FOLDER
from components.incoming.maps import AUTHORS_MAPS
from components.params import load_params
from components.prepare.pairs import pair_part
from components.prepare.splits import read_stems
from components.scoring.external_methods import folders_in
from pipelines.commands.needs import needs
from pipelines.system.environment import EXTERNAL, INBOX, checkout, seen_from_here

RAW = Path("data/raw")
PAPER = Path("presets/paper.yaml")
State = Literal["present", "other", "partial", "missing", "broken"]
"""`other`: here, used, and not the published file."""
COLOURS: dict[State, str] = {
    "present": "green",
    "other": "yellow",
    "partial": "yellow",
    "missing": "red",
    "broken": "red",
}


@dataclass(frozen=True)
class Line:
    """One thing: whether it is here, what was found of it, what it is needed for, and what to do."""

    item: str
    state: State
    found: str
    needed_for: str
    remedy: str


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: a list of item, state, found, needed_for, remedy.")
def command(*, as_json: bool) -> None:
    """What of the published data, weights, checkpoints and maps is here, what it is needed for, how to get the rest."""
    checkout()
    shown, paper = seen_from_here(Path("params.yaml")), seen_from_here(PAPER)
    params = load_params(shown)
    rendered = params.download.source == "rendered"
    lines = list(survey(needs(load_params(paper) if rendered else params)))
    if as_json:
        click.echo(json.dumps([asdict(line) for line in lines], indent=1))
        return
    if rendered:
        click.echo(f"{params.name} ({shown}) renders its photographs and needs nothing of this. The paper's experiment")
        click.echo(f"(`cp {paper} {shown}`, then `dbdflow reproduce`) does:\n")
    for line in lines:
        show(line)
    counts = {state: sum(line.state == state for line in lines) for state in COLOURS}
    click.echo("\n" + ", ".join(f"{count} {state}" for state, count in counts.items() if count) + ".")
    click.echo(
        "`dbdflow reproduce` makes what can be made with what is here. It stops at what it cannot fetch; to go on\n"
        "without that, name it in `download.without` in params.yaml: the report then says what is missing, and why."
    )


def inbox() -> Path:
    """Where things come in."""
    return seen_from_here(INBOX)


def show(line: Line) -> None:
    """Print one line, and beneath it what it is for and what to do."""
    click.echo(f"{click.style(f'{line.state:8}', fg=COLOURS[line.state])} {line.item:30} {line.found}")
    if line.state != "present":
        remedy = line.remedy.replace("; or ", f"\n{'':9}or ")
        click.echo(f"{'':9}for {line.needed_for}\n{'':9}{remedy}")


def survey(wanted: dict[str, str]) -> Iterator[Line]:
    """Every part of a set, list, file of weights and folder of maps, in this order."""
    for name in SET_ARCHIVES:
        for part in SETS[name].parts:
            yield of_part(SETS[name], part, wanted[f"{name}/{part.name}"])
    yield of_te2(wanted[TE2])
    for archive in (MIDAS, *CHECKPOINTS.values()):
        yield of_file(archive, wanted[archive.name])
    for backbone in dict.fromkeys([*BACKBONES, *ledger.read(inbox()).get("backbones", {})]):
        yield of_backbone(backbone, wanted.get(backbone, "presets with this backbone, which the paper's is not"))
    for name, archive in MAPS.items():
        yield of_maps(archive, f"the line of published maps beside {AUTHORS_MAPS[name][0]}")


def of_part(dataset: DataSet, part: Part, needed_for: str) -> Line:
    """One part of a set: as imported, in its raw folder, or as archives that wait to be unpacked."""
    item = dataset.name if len(dataset.parts) == 1 else f"{dataset.name} ({part.name})"
    place = BY_HAND.get(dataset.name, {}).get(part.name, "")
    archives = () if place else SET_ARCHIVES[dataset.name]
    for folder in (inbox() / dataset.name, seen_from_here(RAW) / dataset.name):
        found = None if (folder / RENDERED).exists() else find_part(dataset, part, list(folders_below([folder])), True)
        if found is not None:
            return counted(dataset, found, item, needed_for, folder)
    here = [archive.file for archive in archives if (inbox() / archive.file).exists()]
    if here and len(here) == len(archives):
        remedy = f"`dvc repro download@{dataset.name}` unpacks it"
        return Line(item, "partial", f"{', '.join(here)}, not unpacked yet", needed_for, remedy)
    return Line(item, "missing", begun(archives, here), needed_for, get(dataset.name, archives, place))


def counted(dataset: DataSet, found: FoundPart, item: str, needed_for: str, folder: Path) -> Line:
    """How many pairs of a part are there, and whether they match."""
    labels = len(members(found.labels, dataset))
    images = len(members(found.images, dataset)) if found.images else 0
    have = f"{min(images, labels)} of {found.part.expected} pairs in {folder}"
    complete = images == labels == found.part.expected
    try:
        if complete:
            pair_part(dataset, found.part, folder, partial=False)
    except InputError as error:
        return Line(item, "broken", have, needed_for, f"{error}")
    if complete:
        return Line(item, "present", have, needed_for, "")
    more = f" ({images} photographs, {labels} labels)" if images != labels else ""
    remedy = f"import the rest with `dbdflow import {dataset.name} FOLDER`, or set prepare.partial: true"
    return Line(item, "partial", have + more, needed_for, remedy)


def begun(archives: Sequence[Archive], here: Sequence[str]) -> str:
    """What is there of a set that is not complete."""
    parts = [archive.file for archive in archives if list(inbox().glob(f".{archive.file}*"))]
    words = [f"{', '.join(here)} fetched"] if here else []
    words += [f"{', '.join(parts)} begun"] if parts else []
    return "; ".join(words) or "nothing of it"


def get(item: str, archives: Sequence[Archive], place: str) -> str:
    """How to get what is missing: fetched by its stage, or by hand."""
    addresses = [address for archive in archives for address in archive.addresses]
    hand = by_hand(item, "; ".join([*addresses, *(each.by_hand for each in archives if each.by_hand)] or [place]))
    stage = {MIDAS.name: "depth_teacher", **dict.fromkeys(SET_ARCHIVES, f"download@{item}"), TE2: "download@cuhk"}
    return f"`dvc repro {stage.get(item, f'published@{item}')}` fetches it; or {hand}" if addresses else hand


def of_te2(needed_for: str) -> Line:
    """The list of CUHK-TE-2."""
    (expected,) = (each.expected for each in CUHK.listed if each.file == f"{TE2}.txt")
    for path in (inbox() / f"{TE2}.txt", seen_from_here(RAW) / "cuhk" / f"{TE2}.txt"):
        if path.exists() and not (path.parent / RENDERED).exists():
            count = len(read_stems(path))
            state: State = "present" if count == expected else "partial"
            return Line(TE2, state, f"{count} of {expected} names in {path}", needed_for, by_hand(TE2))
    archive = MAPS[TE2_MAPS]
    return Line(TE2, "missing", begun([archive], []), needed_for, get(TE2, [archive], ""))


def of_file(archive: Archive, needed_for: str) -> Line:
    """A file of weights."""
    path = inbox() / archive.file
    if not path.exists():
        return Line(archive.name, "missing", begun([archive], []), needed_for, get(archive.name, [archive], ""))
    try:
        note = check_kept(archive, archive.name, inbox())
    except InputError as error:
        return Line(archive.name, "broken", str(path), needed_for, str(error))
    found = f"{path}, {path.stat().st_size / 1e6:.0f} MB"
    if note:
        return Line(archive.name, "other", f"{found}: {note['not_published']}", needed_for, replace_it(archive.name))
    return Line(archive.name, "present", found, needed_for, "")


def replace_it(item: str) -> str:
    """What a person can do who has something else than the published file."""
    return f"it is used as it is; say `dbdflow import {item} FILE` with the published one to replace it"


def of_backbone(name: str, needed_for: str) -> Line:
    """ImageNet weights of a backbone: imported, or in timm's cache."""
    imported = inbox() / BACKBONES_FOLDER / f"{name}.safetensors"
    cached = list(Path(os.environ["HF_HOME"], "hub").glob(f"models--timm--{name}.*"))
    sha256 = ledger.imported(inbox(), name, "backbones")
    if imported.exists() and (note := ledger.stand_in(inbox(), name, imported.name, sha256)):
        return Line(name, "other", f"{imported}: {note['not_published']}", needed_for, replace_it(name))
    if here := [path for path in (imported, *cached) if path.exists()]:
        return Line(name, "present", str(here[0]), needed_for, "")
    remedy = (
        f"timm fetches it with the first training; without a network: {by_hand(name, f'timm/{name} on Hugging Face')}"
    )
    return Line(name, "missing", "neither imported nor in timm's cache", needed_for, remedy)


def of_maps(archive: Archive, needed_for: str) -> Line:
    """The authors' result maps, as imported."""
    folder = seen_from_here(EXTERNAL) / AUTHORS_MAPS[archive.name][0]
    sets = {path.name: len(find_images(path)) for path in folders_in(folder)} if folder.is_dir() else {}
    if sets:
        return Line(archive.name, "present", ", ".join(f"{name}: {n} maps" for name, n in sets.items()), needed_for, "")
    return Line(archive.name, "missing", "nothing of it", needed_for, by_hand(archive.name, archive.addresses[0]))
