"""Blur maps of a person's photographs: `dbdflow predict`, and the flow `predict` for a deployment."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from components.errors import InputError

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


def model_folder(run: str) -> Path:
    """The folder of a run's weights.

    Raises:
        InputError: neither a run of this checkout nor a folder with weights.
    """
    for folder in (Path("data/models") / run, Path(run)):
        if (folder / "model.safetensors").is_file():
            return folder
    trained = sorted(path.parent.name for path in Path("data/models").glob("*/model.safetensors"))
    known = ", ".join(trained) or "none here yet; `dvc repro` trains them"
    raise InputError(f"--model {run}: no run in data/models and no folder with model.safetensors; runs: {known}")


def photographs(photos: Path, out: Path) -> list[Path]:
    """The photographs that are meant, a file or all of a folder.

    Raises:
        InputError: none there, or `out` is where they lie.
    """
    paths = [photos] if photos.is_file() else list(pictures(photos).values())
    if out.resolve() == paths[0].resolve().parent:
        raise InputError(f"--out {out}: the photographs lie there, and maps would replace them; name another folder")
    return paths


def predict_maps(paths: Iterable[Path], run: str, out: Path, device: str) -> Iterator[Path]:
    """Write each photograph's map (its own size, uint8, white = in focus) as `out/<stem>.png`; yield as each is done.

    Raises:
        InputError: no such run, a depth teacher's weights, an unreadable photograph, no such device.
    """
    import numpy as np

    from components.data.images import read_photograph
    from components.data.maps import encode_map
    from components.inference import predict_photo
    from components.models import DETECTOR_NAMES
    from components.models.checkpoints import load_model
    from components.runtime import set_up
    from components.storage import atomic_path, read_json

    folder = model_folder(run)
    chosen = set_up(device=device, precision="float32", deterministic=False, threads=0).device
    model = load_model(folder / "model.safetensors").to(chosen).eval()
    if model.spec is None or model.spec.name not in DETECTOR_NAMES:
        raise InputError(f"--model {run}: {folder} holds a depth teacher; name a run that detects defocus blur")
    image_size = read_json(folder / "card.json")["params"]["image_size"]
    for path in paths:
        blur_map = predict_photo(model, np.asarray(read_photograph(path)), image_size=image_size, device=chosen)
        with atomic_path(out / f"{path.stem}.png") as temporary:
            temporary.write_bytes(encode_map(blur_map))
        yield out / f"{path.stem}.png"
