"""Blur maps of a person's photographs: `dbdflow predict`, and the flow `predict` for a deployment."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from components.errors import InputError
from pipelines.detectors import find_detector

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"}


def pictures(folder: Path) -> dict[str, Path]:
    """The pictures of a folder by lower-case stem.

    Raises:
        InputError: no such folder, no picture in it, or two with one stem.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; name one that holds pictures ({', '.join(sorted(SUFFIXES))})")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in SUFFIXES and not path.name.startswith("."):
            other = found.setdefault(path.stem.lower(), path)
            if other is not path:
                raise InputError(f"{path} and {other.name}: two pictures with one name; remove or rename one of them")
    if not found:
        raise InputError(f"{folder}: no picture in it; expected {', '.join(sorted(SUFFIXES))}")
    return found


def plan_maps(photos: Sequence[Path], out: Path, sheet: Path | None = None) -> dict[Path, Path]:
    """The photographs that are meant, files or all of a folder, each with the place of its map: `out/<stem>.png`.

    Args:
        photos: photographs and folders; one that is named twice counts once.
        out: folder for the maps.
        sheet: another file that will be written.

    Raises:
        InputError: none there, two whose maps would have one name, or a photograph where something would be written.
    """
    named = [path for each in photos for path in ([each] if each.is_file() else pictures(each).values())]
    paths = list({path.resolve(): path for path in named}.values())
    if out.resolve() in {path.resolve().parent for path in paths}:
        raise InputError(f"--out {out}: the photographs lie there, and maps would replace them; name another folder")
    maps: dict[str, Path] = {}
    for path in paths:
        other = maps.setdefault(path.stem.lower(), path)
        if other is not path:
            raise InputError(f"{other} and {path}: their maps would have one name in {out}; predict them one by one")
    plan = {path: out / f"{path.stem}.png" for path in paths}
    keep_apart(plan, [*plan.values(), *([sheet] if sheet else [])])
    return plan


def keep_apart(inputs: Collection[Path], outputs: Iterable[Path]) -> None:
    """See to it that no input is overwritten, by whatever name or link it is reached.

    Raises:
        InputError: an output is an input.
    """
    of = {(status.st_dev, status.st_ino): path for path in inputs for status in [path.stat()]}
    for output in outputs:
        if output.exists() and (status := output.stat()) and (photograph := of.get((status.st_dev, status.st_ino))):
            raise InputError(
                f"{output}: is the photograph {photograph} itself, and would be replaced; name another place"
            )


def predict_maps(plan: Mapping[Path, Path], model: str, device: str) -> Iterator[Path]:
    """Write each photograph's map (its own size, uint8, white = in focus) to its place; yield as each is done.

    Raises:
        InputError: no such model, a depth teacher's weights, an unreadable photograph, no such device.
    """
    from components.data.maps import encode_map
    from components.storage import atomic_path

    detect = find_detector(model, device)
    for photograph, out in plan.items():
        found = detect(photograph)
        with atomic_path(out) as temporary:
            temporary.write_bytes(encode_map(found))
        yield out
