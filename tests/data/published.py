"""Archives as the authors publish them: their layouts, names and defects, at a reduced number of random photographs."""

import zipfile
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from components.acquire.sources import MAPS, SET_ARCHIVES, TE2_MAPS
from components.catalog.sets import PACKAGED_LISTS
from tests.data.conftest import mask, photograph

TE1 = (PACKAGED_LISTS / "cuhk_te1.txt").read_text().split()
SIZE = (48, 64)


def pair(image: Path, label: Path, seed: int, size: tuple[int, int] = SIZE) -> None:
    """A random photograph and a label whose left third is white."""
    photograph(image, *size, seed=seed)
    mask(label, *size, white=size[1] // 3)


def zipped(archive: Path, *folders: Path, below: Path, padding: int = 0) -> Path:
    """A zip of folders, with the junk that a desktop adds; `padding` more bytes of it make the archive larger."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive, "w") as file:
        for folder in folders:
            for path in sorted(each for each in folder.rglob("*") if each.is_file()):
                file.write(path, path.relative_to(below))
        file.writestr("__MACOSX/._image", np.random.default_rng(0).bytes(4 + padding))
    return archive


def cuhk(root: Path, train: int = 4, test: int = 3) -> None:
    """`image` and `gt`: out-of-focus and motion blur, one photograph `.JPG`, one label with an alpha channel."""
    trained = [f"out_of_focus{number:04d}" for number in range(1, 200) if f"out_of_focus{number:04d}" not in TE1]
    for seed, stem in enumerate([*TE1[:test], *trained[:train], "motion0001"]):
        suffix = ".JPG" if stem == TE1[1] else ".jpg"
        pair(root / "image" / f"{stem}{suffix}", root / "gt" / f"{stem}.png", seed)
    path = root / "gt" / f"{TE1[0]}.png"
    with Image.open(path) as label:
        label.convert("RGBA").save(path)


def dut(root: Path, images: str, labels: str, stems: Iterable[str]) -> None:
    """One part of DUT: square, labels `.bmp` that are not strictly binary."""
    for seed, stem in enumerate(stems):
        pair(root / images / f"{stem}.jpg", root / labels / f"{stem}.bmp", 100 + seed, (64, 64))
        values = np.asarray(Image.open(root / labels / f"{stem}.bmp")).copy()
        values[:, 21] = 100
        Image.fromarray(values).save(root / labels / f"{stem}.bmp")


def ctcug(root: Path, count: int = 3) -> None:
    """CTCUG's folders."""
    for number in range(1, count + 1):
        pair(root / f"CTCUG/CTCUG_images/{number}.jpg", root / f"CTCUG/CTCUG_gt/{number}.png", 200 + number)


def ebd(root: Path, count: int = 4) -> None:
    """EBD's folders."""
    for number in range(1, count + 1):
        pair(root / f"EBD/image/{number}.jpg", root / f"EBD/gt/{number}.png", 300 + number, (80, 128))


def authors_maps(root: Path, te2: int = 2) -> None:
    """Result maps of TR-2 & DUT: a folder a test set; the names in CUHK's are CUHK-TE-2."""
    for stem in sorted(path.stem for path in (root.parent / "cuhk/image").iterdir() if "focus" in path.stem)[-te2:]:
        mask(root / f"result/CUHK/{stem}.png", *SIZE)
    mask(root / "result/DUT/1.png", 64, 64)


def publish(folder: Path, padding: int = 0) -> dict[str, Path]:
    """Everything that can be fetched without a person: address -> archive, with `padding` bytes of junk in each."""
    cuhk(folder / "cuhk")
    dut(folder / "dut", "DUT-DBD_Dataset/DUT500S-Testing", "DUT-DBD_Dataset/DUT500GT-Testing", "123")
    ebd(folder / "ebd")
    authors_maps(folder / "maps")
    images, labels = (archive.addresses[0] for archive in SET_ARCHIVES["cuhk"])
    made = partial(zipped, padding=padding)
    return {
        images: made(folder / "zip/image.zip", folder / "cuhk/image", below=folder / "cuhk"),
        labels: made(folder / "zip/gt.zip", folder / "cuhk/gt", below=folder / "cuhk"),
        SET_ARCHIVES["dut"][0].addresses[0]: made(folder / "zip/dut.zip", folder / "dut", below=folder / "dut"),
        SET_ARCHIVES["ebd"][0].addresses[0]: made(folder / "zip/ebd.zip", folder / "ebd", below=folder / "ebd"),
        MAPS[TE2_MAPS].addresses[0]: made(folder / "zip/maps.zip", folder / "maps", below=folder / "maps"),
    }
