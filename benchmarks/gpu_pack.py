"""What travels to a GPU that has no network: source, wheels, photographs; and how it is used there.

The standard library alone: nothing else may be there before the wheels are unpacked.
"""

import io
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
LIMIT = 64 * 2**20
WHEELS = ("pydantic", "pydantic_core", "annotated_types", "typing_inspection", "ruamel_yaml", "ruamel_yaml_clib")
QUALITIES = (90, 80, 70, 60)
COMMIT = "COMMIT"
"""File beside a source that has travelled: its commit."""


@dataclass(frozen=True)
class Beside:
    """What lies beside a source that has travelled."""

    wheels: Path | None
    photographs: Path | None
    encoder: Path | None
    parity: Path | None

    @classmethod
    def of(cls, root: Path) -> "Beside":
        """Beside the source at `root`; the reference's tensors may lie in `shared` there too."""
        shared = Path(os.environ.get("DBDFLOW_SHARED", root.parent / "shared"))

        def there(*paths: Path) -> Path | None:
            return next((path for path in paths if path.exists()), None)

        parent = root.parent
        packed = (parent / COMMIT).exists()
        return cls(
            wheels=there(parent / "wheels") if packed else None,
            photographs=there(parent / "photographs") if packed else None,
            encoder=there(parent / "encoder.safetensors") if packed else None,
            parity=there(*([parent / "parity"] if packed else []), shared / "parity"),
        )


def commit() -> str:
    """The commit of this source: git's word, or what travelled with it."""
    if (told := ROOT.parent / COMMIT).exists():
        return told.read_text(encoding="ascii").strip()
    words = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def fits(wheel: str) -> bool:
    """Whether a wheel is for this Python and machine, by its name; of CPython's, 3.11's does not fit 3.12.

    >>> fits("annotated_types-0.7.0-py3-none-any.whl"), fits("a-1.0-cp27-cp27m-win32.whl")
    (True, False)
    """
    python, _, system = wheel.removesuffix(".whl").rsplit("-", 3)[1:]
    own = {"py3", f"cp{sys.version_info.major}{sys.version_info.minor}"}
    machine = platform.machine()
    suits = [each for each in system.split(".") if each == "any" or (each.startswith("manylinux") and machine in each)]
    return bool(own & set(python.split(".")) and suits)


def package_of(wheel: str) -> str:
    """The package of a wheel, spelt one way.

    >>> package_of("ruamel.yaml.clib-0.2.14-cp312-cp312-manylinux2014_x86_64.whl")
    'ruamel_yaml_clib'
    """
    return wheel.partition("-")[0].replace(".", "_").replace("-", "_").lower()


def use_wheels(folder: Path | None, into: Path) -> list[Path]:
    """Unpack the wheels of a folder that fit, and put them on the path of this process and of those it starts.

    They come first: where the machine has such a package of its own, the one that travelled is used.
    """
    used = sorted(path for path in folder.glob("*.whl") if fits(path.name)) if folder else []
    shutil.rmtree(into, ignore_errors=True)
    for wheel in used:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(into)
    path = [str(into)] if used else []
    sys.path[:0] = path
    search = [*path, str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(search)
    return used


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    return (
        path.stat().st_size
        if path.is_file()
        else sum(each.stat().st_size for each in path.rglob("*") if each.is_file())
    )


def pack(folder: Path, wheels: Path | None, photographs: Path | None, encoder: Path | None) -> str | int:
    """Make the folder that travels; an error's line, or 0. What was in it before is not touched: it has to be new."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        return f"error: {folder}: not an empty folder; name a new one"
    if photographs and not all((photographs / name).is_dir() for name in ("image", "gt")):
        return f"error: {photographs}: expected folders image/ and gt/ in it"
    folder.mkdir(parents=True, exist_ok=True)
    source(folder)
    if wheels:
        (folder / "wheels").mkdir()
        for path in sorted(wheels.glob("*.whl")):
            if package_of(path.name) in WHEELS:
                shutil.copy(path, folder / "wheels")
    if encoder:
        shutil.copy(encoder, folder / "encoder.safetensors")
    if (parity := Beside.of(ROOT).parity) is not None:
        shutil.copytree(parity, folder / "parity", ignore=shutil.ignore_patterns("__pycache__"))
    if photographs:
        room = LIMIT - size_of(folder)
        quality = next(
            (each for each in QUALITIES if photographed(photographs, folder / "photographs", each) <= room), 0
        )
        print(f"photographs: JPEG at quality {quality}" if quality else "photographs: too large at every quality")
    for path in sorted(folder.iterdir()):
        print(f"{size_of(path) / 2**20:6.1f} MiB  {path.name}")
    total = size_of(folder)
    print(f"{total / 2**20:6.1f} MiB  in all, of {LIMIT // 2**20}")
    lacking = [
        name
        for name in WHEELS[:-1]
        if not wheels or not any(package_of(each.name) == name for each in wheels.glob("*.whl"))
    ]
    if lacking:
        print(f"no wheel of {', '.join(lacking)}: the machine has to have them (--wheels FOLDER brings them)")
    if total > LIMIT:
        return f"error: {folder}: {total / 2**20:.1f} MiB, more than {LIMIT // 2**20}; leave out photographs"
    print(f"there: python {folder.name}/source/benchmarks/gpu_day.py --out $OUT")
    return 0


def source(folder: Path) -> None:
    """This source at its commit; what is not committed stays."""
    (folder / COMMIT).write_text(f"{commit().removesuffix('-dirty')}\n", encoding="ascii")
    archive = subprocess.run(["git", "-C", str(ROOT), "archive", "HEAD"], stdout=subprocess.PIPE, check=True)
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as members:
        members.extractall(folder / "source", filter="data")


def photographed(photographs: Path, into: Path, quality: int) -> int:
    """Write photographs as JPEG, labels as they are; bytes of all."""
    from PIL import Image, ImageOps  # noqa: PLC0415 (not the standard library's)

    shutil.rmtree(into, ignore_errors=True)
    (into / "image").mkdir(parents=True)
    shutil.copytree(photographs / "gt", into / "gt")
    for path in sorted((photographs / "image").iterdir()):
        with Image.open(path) as image:
            ImageOps.exif_transpose(image).convert("RGB").save(into / "image" / f"{path.stem}.jpg", quality=quality)
    return size_of(into)
