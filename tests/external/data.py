"""Maps and labels small enough to score by hand: a prepared set of two photographs, 2 x 4 pixels, and a method."""

from pathlib import Path

import numpy as np
from PIL import Image

from tests.report.synthetic import write_prepared

YAML = "method: Some method\nrow: cenet\nwhite: in_focus\nresize: none\nsource: its authors' page\n"
LABEL = np.array([[1, 1, 0, 0], [1, 1, 0, 0]], dtype=np.uint8)  # 1 = in focus
MAPS = {  # 255 = in focus
    "a": np.array([[255, 255, 0, 0], [255, 255, 0, 0]], dtype=np.uint8),
    "b": np.array([[255, 255, 51, 51], [255, 0, 0, 0]], dtype=np.uint8),
}
MAE = {"a": 0.0, "b": (2 * 51 / 255 + 1) / 8}
IOU_POOLED = 8 / 9  # of both: 4 + 4 blurred pixels found of 4 + 4, and one that is in focus


def prepared(root: Path, name: str = "ctcug", test_set: str = "CTCUG", part: str = "") -> Path:
    """A prepared set with the photographs `a` and `b` under `root`; `a` is in the test set `part` too."""
    size = len(MAPS)
    write_prepared(
        root / name,
        name=name,
        images=np.zeros((size, *LABEL.shape, 3), np.uint8),
        labels=np.stack([LABEL] * size),
        splits=[[test_set, part] if part else [test_set], [test_set]],
        dof=["", ""],
        stems=list(MAPS),
    )
    return root


def method(root: Path, test_set: str = "CTCUG", folder: str = "mine", **changed: str) -> Path:
    """`root` with a method's folder and its maps of `a` and `b`; `changed` replaces values of `method.yaml`."""
    lines = [line.split(": ") for line in YAML.splitlines()]
    maps = root / folder / test_set
    maps.mkdir(parents=True)
    text = "".join(f"{key}: {changed.get(key, value)}\n" for key, value in lines)
    (root / folder / "method.yaml").write_text(text)
    for stem, values in MAPS.items():
        Image.fromarray(values).save(maps / f"{stem}.png")
    return root
