"""Which photographs are meant, and where their files go: checked before any work, so that nothing is harmed."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from components.common.errors import InputError
from components.common.names import SUFFIXES, UNREAD, is_junk, not_read, same_name
from components.common.storage import file_hash
from pipelines.photographs.rows import Ledger, Row, read_ledger
from pipelines.system.places import check_folder, check_places, is_folder, longest_name

PAGE, TABLE = "index.html", "photographs.parquet"
"""Beside the maps of several photographs."""
READ = ", ".join(sorted(SUFFIXES))


@dataclass
class Plan:
    """What `predict` will do, and has done.

    Attributes:
        out: folder for the maps.
        alone: one file was named and nothing else: what is wrong with it ends the command.
        views: what is made of each photograph beside its map, names of `components.views.files.VIEWS`.
        ledger: what lies in that folder.
        maps: photographs, each with the place of its map.
        left_out: what has no map, each with the reason: at first what cannot be a photograph.
        rows: photographs that have their files.
    """

    out: Path
    alone: bool = False
    views: tuple[str, ...] = ()
    ledger: Ledger = field(default_factory=Ledger)
    maps: dict[Path, Path] = field(default_factory=dict)
    left_out: dict[Path, str] = field(default_factory=dict)
    rows: dict[Path, Row] = field(default_factory=dict)

    @property
    def waiting(self) -> list[Path]:
        """Photographs that have neither their files nor a reason why not."""
        return [path for path in self.maps if path not in self.rows and path not in self.left_out]

    @property
    def done(self) -> dict[Path, Path]:
        """Photographs that have their map."""
        return {photograph: place for photograph, place in self.maps.items() if photograph in self.rows}

    @property
    def told(self) -> tuple[Path, ...]:
        """The page and the table that tell of several photographs; none of one."""
        return () if self.alone else (self.out / PAGE, self.out / TABLE)


def plan_maps(
    photos: Sequence[Path], out: Path, sheet: Path | None = None, *, views: Sequence[str] = (), overwrite: bool = False
) -> Plan:
    """The photographs that are meant, files or all of a folder, each with the place of its map: `out/<stem>.png`.

    Nothing is written, and no photograph is opened.

    Args:
        photos: photographs and folders; one that is named twice counts once.
        out: folder for the maps.
        sheet: another file that will be written.
        views: what is made of each photograph beside its map; of several also a thumbnail.
        overwrite: whether files that are no maps of ours may lie where maps go. Photographs never may.

    Raises:
        InputError: none there, two whose maps would have one name, or something would be written over.
    """
    from components.views.files import THUMBNAIL

    alone = len(photos) == 1 and not is_folder(photos[0])
    check_folder(out)
    plan = Plan(out, alone, (*views, *([] if alone else [THUMBNAIL])), read_ledger(out))
    for path in once([each for named in photos for each in found_at(named, plan)], plan.left_out):
        plan.maps[path] = out / f"{path.stem}.png"
    if not plan.maps and not plan.left_out:
        raise InputError(f"{', '.join(map(str, photos))}: no picture in it; expected {READ}")
    if out.resolve() in {path.resolve().parent for path in plan.maps}:
        raise InputError(f"--out {out}: the photographs lie there, and maps would replace them; name another folder")
    check_names(plan)
    check_outputs(plan, sheet, overwrite)
    return plan


def once(found: Sequence[Path], left_out: dict[Path, str]) -> list[Path]:
    """Each photograph once: links to one that is there too are left out, of several links all but the first."""
    kept: dict[Path, Path] = {}
    for path in sorted(found, key=Path.is_symlink):  # what is no link comes first
        other = kept.setdefault(path.resolve(), path)
        if os.path.abspath(other) != os.path.abspath(path):
            left_out[path] = f"the same photograph as {other}"
    chosen = set(kept.values())
    return [path for path in dict.fromkeys(found) if path in chosen]


def check_outputs(plan: Plan, sheet: Path | None, overwrite: bool) -> None:
    """See to it that what will be written harms nothing.

    Raises:
        InputError: something that is not ours is in the way, or two files would go to one place.
    """
    from components.catalog.pictures import is_ours, is_photograph
    from components.views.files import is_made, places_of

    of = {place: path for path in plan.maps for place in places_of(path.stem, plan.out, plan.views).values()}
    owners = {place: plan.ledger.owner(str(place.relative_to(plan.out)), place) for place in of}

    def ours(place: Path) -> bool:
        if place in plan.told:
            return place.is_file() and file_hash(place) in plan.ledger.whole
        return bool(owners.get(place)) or (is_made(place, of[place].name) if place in of else is_ours(place))

    others = ((place, row.photograph) for place, row in owners.items() if row and not row.is_of(of[place]))
    if not overwrite and (other := next(others, None)):
        raise InputError(
            f"{other[0]}: was made of another photograph, {other[1]}, and would be replaced; name another --out, or "
            "add --overwrite"
        )
    spared = [*plan.maps, *filter(os.path.isfile, plan.left_out)]
    check_places([*of, *plan.told, *([sheet] if sheet else [])], spared, overwrite=overwrite, ours=ours)
    coloured = (place for place in of if not ours(place) and is_photograph(place)) if overwrite else iter(())
    if photograph := next(coloured, None):
        raise InputError(f"{photograph}: a picture in colour is there, and a map would replace it; name another place")


def found_at(named: Path, plan: Plan) -> list[Path]:
    """The photograph that is named, or all in the folder that is; what cannot be one is left out of the plan.

    Raises:
        InputError: it was named alone, and cannot be one.
    """
    if is_folder(named):
        return found_in(named, plan.left_out)
    if reason := no_photograph(named):
        if plan.alone:
            raise InputError(f"{named}: {reason}; name photographs ({READ}) or folders of them")
        plan.left_out[named] = reason
    return [] if reason else [named]


def found_in(folder: Path, left_out: dict[Path, str]) -> list[Path]:
    """The photographs of a folder; what is named like one and cannot be one goes to `left_out`."""
    found = []
    for path in sorted(folder.iterdir()):
        suffix = path.suffix.lower()
        if is_junk(path.name) or suffix not in SUFFIXES | UNREAD:
            continue
        if reason := no_photograph(path) or not_read(path):
            left_out[path] = reason
        else:
            found.append(path)
    read = {same_name(path.stem) for path in found}
    for path in [each for each in left_out if each.suffix.lower() in UNREAD and same_name(each.stem) in read]:
        del left_out[path]  # a camera's raw file beside its JPEG
    return found


def no_photograph(path: Path) -> str:
    """Why what is named like a photograph cannot be one; empty if it may."""
    if not os.path.lexists(path):
        return "no such file or folder"
    if path.is_dir():
        return "a folder; name it to have its photographs too"
    if not path.exists():
        return "a link to a file that is not there"
    return "" if path.is_file() else "neither a file nor a folder"


def check_names(plan: Plan) -> None:
    """Leave out what would have another's map's name, or one too long for its folder (named alone: refuse)."""
    maps: dict[str, Path] = {}
    for path, place in list(plan.maps.items()):
        other = maps.setdefault(same_name(path.stem), path)
        if other is not path:
            plan.left_out[path] = f"its map would have the name of that of {other}; give it an --out of its own"
            del plan.maps[path]
            continue
        longest = longest_name(place.parent)
        if (length := len(os.fsencode(place.name))) > longest:
            reason = f"its map's name has {length} bytes, and {place.parent} takes {longest}; rename it"
            if plan.alone:
                raise InputError(f"{path}: {reason}")
            plan.left_out[path] = reason
            del plan.maps[path]


def without_map(without: Mapping[Path, str]) -> str:
    """The photographs without a map, a line each."""
    many = "photographs" if len(without) > 1 else "photograph"
    return "\n".join([f"{len(without)} {many} without a map:", *(f"  {path}: {why}" for path, why in without.items())])
