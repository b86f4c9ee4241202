"""Proposals to be corrected by hand, and corrections read back: LabelMe's JSON, or the PNG files themselves.

White (255) = in focus, black (0) = out of focus, grey (128) = undecided, everywhere.
"""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from components.data.images import find_images, read_grey, upright_size
from components.errors import InputError
from components.labelling.propose import IN_FOCUS, OUT_OF_FOCUS, UNDECIDED
from components.storage import atomic_dir, atomic_path, read_json

LEVELS = {"out of focus": OUT_OF_FOCUS, "undecided": UNDECIDED, "in focus": IN_FOCUS}
"""What a polygon is called, and its grey value."""
IMAGES, PROPOSALS, LABELS = "EBD/image", "proposals", "EBD/gt"
"""Folders below the one that `dbdflow label` fills; the first and last are EBD's own layout."""
MIN_AREA = 64
"""Pixels of a region below which it gets no polygon."""
SMOOTH_PX = 1.0
"""How far a polygon may lie from the border that it follows."""
FORMAT_VERSION = "5.5.0"
"""Of LabelMe's files."""


def polygons(proposal: NDArray[np.uint8]) -> list[dict[str, Any]]:
    """Regions of a proposal (h, w) as LabelMe's shapes: outer borders, larger ones first, so that holes lie above."""
    found: list[tuple[float, dict[str, Any]]] = []
    for name, level in LEVELS.items():
        region = (proposal == level).astype(np.uint8)
        contours, _ = cv2.findContours(region, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        for contour in contours:
            area = float(cv2.contourArea(contour))
            points = cv2.approxPolyDP(contour, SMOOTH_PX, True)[:, 0]
            if area >= MIN_AREA and len(points) > 2:
                shape = {"label": name, "points": points.astype(float).tolist(), "shape_type": "polygon"}
                found.append((area, shape | {"group_id": None, "description": "", "flags": {}}))
    found.sort(key=lambda each: -each[0])
    return [shape for _, shape in found]


def write_labelme(path: Path, photograph: Path, proposal: NDArray[np.uint8]) -> None:
    """Write LabelMe's file for a photograph that lies beside it."""
    height, width = proposal.shape
    contents = {
        "version": FORMAT_VERSION,
        "flags": {},
        "shapes": polygons(proposal),
        "imagePath": photograph.name,
        "imageData": None,
        "imageHeight": height,
        "imageWidth": width,
    }
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(contents), encoding="utf-8")


def drawn(path: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    """The mask (h, w) that the polygons of a LabelMe file make; what no polygon covers is undecided.

    Raises:
        InputError: it is no LabelMe file, of another size, or holds a shape that is not known here.
    """
    contents = read_json(path)
    mask = np.full(size, UNDECIDED, dtype=np.uint8)
    try:
        found = (int(contents["imageHeight"]), int(contents["imageWidth"]))
        shapes = [(shape["label"], shape.get("shape_type", "polygon"), shape["points"]) for shape in contents["shapes"]]
        outlines = [np.asarray(points, dtype=np.float64).reshape(-1, 2) for _, _, points in shapes]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: not a file of LabelMe ({error!r}); save it again there, or remove it") from error
    if found != size:
        raise InputError(f"{path}: of {found[1]}x{found[0]} pixels, the photograph has {size[1]}x{size[0]}; replace it")
    for (name, kind, _), outline in zip(shapes, outlines, strict=True):
        if name not in LEVELS or kind != "polygon":
            raise InputError(
                f"{path}: a {kind} called {name!r}; expected polygons called {', '.join(LEVELS)}: rename or remove it"
            )
        cv2.fillPoly(mask, [np.rint(outline).astype(np.int32)], LEVELS[name])
    return mask


def read_mask(folder: Path, photograph: Path) -> NDArray[np.uint8]:
    """The corrected mask (h, w) of a photograph: the newer of its LabelMe file and its PNG file.

    Raises:
        InputError: neither is there, it cannot be read, or has another size than the photograph.
    """
    size = upright_size(photograph)
    shapes, painted = photograph.with_suffix(".json"), folder / PROPOSALS / f"{photograph.stem}.png"
    there = [path for path in (shapes, painted) if path.is_file()]
    if not there:
        raise InputError(f"{painted}: no such file, nor {shapes}; run `dbdflow label` again, or remove {photograph}")
    newest = max(there, key=lambda path: path.stat().st_mtime_ns)
    if newest == shapes:
        return drawn(shapes, (size[0], size[1]))
    mask = read_grey(painted)
    if mask.shape != size:
        raise InputError(
            f"{painted}: of {mask.shape[1]}x{mask.shape[0]} pixels, the photograph has {size[1]}x{size[0]}; replace it"
        )
    return mask


def import_corrections(folder: Path) -> int:
    """Write the labels of a folder that `dbdflow label` filled, once its proposals are corrected; how many.

    They go to `EBD/gt`, whole or not at all: white = in focus.

    Raises:
        InputError: no such folder, or a mask has pixels that are undecided.
    """
    photographs = find_images(folder / IMAGES)
    if not photographs:
        raise InputError(f"{folder / IMAGES}: no photographs in it; name a folder that `dbdflow label` filled")
    with atomic_dir(folder / LABELS) as labels:
        for photograph in photographs.values():
            mask = read_mask(folder, photograph)
            undecided = float(np.mean((mask != 0) & (mask != 255)))
            if undecided > 0:
                raise InputError(
                    f"{photograph}: {undecided:.1%} of its mask are still undecided, expected 0 or 255 everywhere; "
                    f"correct {photograph.with_suffix('.json').name} in LabelMe or {PROPOSALS}/{photograph.stem}.png"
                )
            Image.fromarray(mask).save(labels / f"{photograph.stem}.png")
    return len(photographs)
