"""Blur maps of a person's photographs: `dbdflow predict`, and the flow `predict` for a deployment."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from components.common.errors import InputError
from components.common.names import SUFFIXES, UNREAD, is_junk, not_read, same_name
from pipelines.running.detectors import find_detector
from pipelines.system.places import check_folder, check_places, is_folder, longest_name

READ = ", ".join(sorted(SUFFIXES))


@dataclass
class Plan:
    """What `predict` will do.

    Attributes:
        maps: photographs, each with the place of its map.
        left_out: what has no map, each with the reason: at first what cannot be a photograph.
        alone: one file was named and nothing else: what is wrong with it ends the command.
    """

    maps: dict[Path, Path] = field(default_factory=dict)
    left_out: dict[Path, str] = field(default_factory=dict)
    alone: bool = False

    @property
    def done(self) -> dict[Path, Path]:
        """Photographs that have their map, once `predict_maps` is through."""
        return {photograph: place for photograph, place in self.maps.items() if photograph not in self.left_out}


def plan_maps(photos: Sequence[Path], out: Path, sheet: Path | None = None, *, overwrite: bool = False) -> Plan:
    """The photographs that are meant, files or all of a folder, each with the place of its map: `out/<stem>.png`.

    Nothing is written, and no photograph is opened.

    Args:
        photos: photographs and folders; one that is named twice counts once.
        out: folder for the maps.
        sheet: another file that will be written.
        overwrite: whether files that are no maps of ours may lie where maps go. Photographs never may.

    Raises:
        InputError: none there, two whose maps would have one name, or something would be written over.
    """
    from components.catalog.pictures import is_ours, is_photograph

    plan = Plan(alone=len(photos) == 1 and not is_folder(photos[0]))
    check_folder(out)
    for path in {each.resolve(): each for named in photos for each in found_at(named, plan)}.values():
        plan.maps[path] = out / f"{path.stem}.png"
    if not plan.maps and not plan.left_out:
        raise InputError(f"{', '.join(map(str, photos))}: no picture in it; expected {READ}")
    if out.resolve() in {path.resolve().parent for path in plan.maps}:
        raise InputError(f"--out {out}: the photographs lie there, and maps would replace them; name another folder")
    check_names(plan)
    outputs = [*plan.maps.values(), *([sheet] if sheet else [])]
    of = {place: path.name for path, place in plan.maps.items()}
    spared = [*plan.maps, *filter(os.path.isfile, plan.left_out)]
    check_places(outputs, spared, overwrite=overwrite, ours=lambda path: is_ours(path, of.get(path, "")))
    if overwrite and (photograph := next(filter(is_photograph, of), None)):
        raise InputError(f"{photograph}: a picture in colour is there, and a map would replace it; name another place")
    return plan


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


def predict_maps(plan: Plan, model: str, device: str) -> Iterator[Path]:
    """Write each photograph's map (its own size, uint8, white = in focus) to its place.

    Yields:
        Each photograph when it has its map, or its reason among those left out.

    Raises:
        InputError: no such model, a depth teacher's weights, no such device, no room, or the only photograph is bad.
    """
    from components.catalog.pictures import encode_map
    from components.common.storage import write_whole

    detect = find_detector(model, device)
    for photograph, out in plan.maps.items():
        try:
            found = detect.picture(photograph)
        except InputError as error:
            if plan.alone:
                raise
            plan.left_out[photograph] = str(error).removeprefix(f"{photograph}: ")
        else:
            write_whole(out, encode_map(found, photograph.name))
        yield photograph
