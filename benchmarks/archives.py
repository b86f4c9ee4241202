"""Random photographs in the published archives' layouts and sizes, as many as are asked for."""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from components.catalog.sets import PACKAGED_LISTS

TE1 = (PACKAGED_LISTS / "cuhk_te1.txt").read_text().split()
RGBA = (56, 144, 305, 425, 441, 447, 464, 489, 490, 491, 502, 535, 547, 553)
"""Labels of CUHK with an alpha channel."""


@dataclass(frozen=True)
class Counts:
    """Photographs of each set; the defaults are those that are published."""

    te1: int = 100
    tr1: int = 604
    motion: int = 296
    te2: int = 100
    dut_test: int = 500
    dut_train: int = 600
    ctcug: int = 150
    ebd: int = 1605


class Pictures:
    """Photo-like random pictures: smooth shading, edges and fine grain, cut from one large picture at random."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        small = self.rng.normal(0.5, 0.25, (40, 60, 3)).astype(np.float32)
        smooth = cv2.resize(small, (3600, 2400), interpolation=cv2.INTER_CUBIC)
        lines = cv2.resize((self.rng.random((150, 225)) > 0.5).astype(np.float32), (3600, 2400), interpolation=0)
        grain = self.rng.normal(0, 0.03, (2400, 3600, 1)).astype(np.float32)
        self.large = (np.clip(0.7 * smooth + 0.15 * lines[..., None] + grain, 0, 1) * 255).astype(np.uint8)

    def photograph(self, path: Path, height: int, width: int) -> None:
        """A photograph, JPEG at quality 95."""
        row, column = self.rng.integers(0, 2400 - height), self.rng.integers(0, 3600 - width)
        Image.fromarray(self.large[row : row + height, column : column + width]).save(path, format="JPEG", quality=95)

    def label(self, path: Path, height: int, width: int, mode: str = "L") -> None:
        """A label of one blob, white on black."""
        values = np.zeros((height, width), np.uint8)
        middle = (
            int(self.rng.integers(width // 4, 3 * width // 4)),
            int(self.rng.integers(height // 4, 3 * height // 4)),
        )
        cv2.ellipse(values, middle, (width // 4, height // 3), float(self.rng.integers(0, 180)), 0, 360, 255, -1)
        Image.fromarray(values).convert(mode).save(path)

    def pair(self, image: Path, label: Path, height: int, width: int, mode: str = "L") -> None:
        """A photograph and its label."""
        for path in (image, label):
            path.parent.mkdir(parents=True, exist_ok=True)
        self.photograph(image, height, width)
        self.label(label, height, width, mode)


def build(root: Path, counts: Counts) -> None:
    """Every set in its archive's layout."""
    pictures = Pictures(0)
    rest = [stem for number in range(1, 1001) if (stem := f"out_of_focus{number:04d}") not in TE1][: counts.tr1]
    motion = (f"motion{number:04d}" for number in range(1, counts.motion + 1))
    for stem in (*TE1[: counts.te1], *rest, *motion):
        suffix = ".JPG" if stem in TE1[::20] else ".jpg"
        mode = "RGBA" if stem.removeprefix("out_of_focus") in {f"{number:04d}" for number in RGBA} else "L"
        pictures.pair(root / f"cuhk/image/{stem}{suffix}", root / f"cuhk/gt/{stem}.png", 427, 640, mode)
    for number in range(1, counts.dut_test + 1):
        folders = [f"dut/DUT-DBD_Dataset/{name}-Testing" for name in ("DUT500S", "DUT500GT")]
        pictures.pair(root / folders[0] / f"{number}.jpg", root / folders[1] / f"{number}.bmp", 320, 320)
    for stem in (*rest, *(str(number) for number in range(1, counts.dut_train + 1))):
        pictures.pair(
            root / f"bundle/train_data/1204source/{stem}.jpg", root / f"bundle/train_data/1204gt/{stem}.bmp", 320, 320
        )
    for number in range(1, counts.ctcug + 1):
        pictures.pair(
            root / f"ctcug/CTCUG/CTCUG_images/{number}.jpg", root / f"ctcug/CTCUG/CTCUG_gt/{number}.png", 360, 480
        )
    for number in range(1, counts.ebd + 1):
        pictures.pair(root / f"ebd/EBD/image/{number}.jpg", root / f"ebd/EBD/gt/{number}.png", 1024, 1600)
    for stem in rest[: counts.te2]:
        (root / "maps/result/CUHK").mkdir(parents=True, exist_ok=True)
        pictures.label(root / f"maps/result/CUHK/{stem}.png", 427, 640)


def zipped(archive: Path, folder: Path, below: Path) -> Path:
    """A zip of a folder, members stored."""
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(folder.rglob("*")):
            file.write(path, path.relative_to(below))
    return archive
