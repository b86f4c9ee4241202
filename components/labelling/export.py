"""Proposals to be corrected by hand, and corrections read back: LabelMe's JSON, or the PNG files themselves.

White (255) = in focus, black (0) = out of focus, grey (128) = undecided, everywhere.
"""

import codecs
import hashlib
import json
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from components.catalog.images import find_images, upright_size
from components.catalog.masks import of_numbers, read_map
from components.catalog.pictures import encode_map, is_ours
from components.common.errors import InputError
from components.common.storage import write_whole
from components.labelling.propose import IN_FOCUS, OUT_OF_FOCUS, UNDECIDED

LEVELS = {"out of focus": OUT_OF_FOCUS, "undecided": UNDECIDED, "in focus": IN_FOCUS}
"""What a polygon is called, and its grey value."""
IMAGES, PROPOSALS, LABELS = "EBD/image", "proposals", "EBD/gt"
"""Folders below the one that `dbdflow label` fills; the first and last are EBD's own layout."""
DONE = ".done"
"""Below the same: what each pair was made from, what was measured, and what its proposal showed."""
MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
"""Byte order marks and the encoding that they announce."""
EDGE_PX = 1.0
"""By which a point may lie beyond the photograph's edge."""
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
    write_whole(path, json.dumps(contents))


def drawn(path: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    """The mask (h, w) that the polygons of a LabelMe file make; what no polygon covers is undecided.

    Raises:
        InputError: it is no LabelMe file, of another size, or holds a shape that is not known here or has no area.
    """
    contents = read_hand_made(path)
    check_labelme(path, contents)
    found = (contents["imageHeight"], contents["imageWidth"])
    shapes = [(shape["label"], shape.get("shape_type", "polygon"), shape["points"]) for shape in contents["shapes"]]
    outlines = [np.asarray(points, dtype=np.float64).reshape(-1, 2) for _, _, points in shapes]
    if (named := Path(str(contents.get("imagePath") or path.name).replace("\\", "/"))).stem != path.stem:
        raise InputError(f"{path}: its `imagePath` is {named.name}, of another photograph; rename one of the two")
    if found != size:
        raise InputError(f"{path}: of {found[1]}x{found[0]} pixels, the photograph has {size[1]}x{size[0]}; replace it")
    mask = np.full(size, UNDECIDED, dtype=np.uint8)
    for number, ((name, kind, _), outline) in enumerate(zip(shapes, outlines, strict=True), start=1):
        if reason := not_drawn(name, kind, outline, size):
            raise InputError(f"{path}: shape {number} of {len(shapes)}, a {kind} called {name!r}: {reason}")
        cv2.fillPoly(mask, [np.rint(outline).astype(np.int32)], LEVELS[name])
    return mask


def check_labelme(path: Path, contents: Any) -> None:  # noqa: ANN401 (whatever the file holds)
    """Check that a file is one of LabelMe.

    Raises:
        InputError: a key is not there, or holds something else; a shape is told by its number.
    """
    if not isinstance(contents, dict):
        raise InputError(f"{path}: not a file of LabelMe: found {type(contents).__name__}, expected an object")
    for key, kind in (("imageHeight", int), ("imageWidth", int), ("shapes", list)):
        if not isinstance(contents.get(key), kind):
            found = json.dumps(contents[key])[:40] if key in contents else "nothing"
            raise InputError(f"{path}: not a file of LabelMe: `{key}`: found {found}; open it and save it again there")
    for number, shape in enumerate(contents["shapes"], start=1):
        if reason := no_shape(shape):
            raise InputError(f"{path}: shape {number} of {len(contents['shapes'])}: {reason}; draw it again")


def no_shape(shape: Any) -> str:  # noqa: ANN401 (whatever the file holds)
    """What keeps an entry of `shapes` from being one; empty if nothing does."""
    if not isinstance(shape, dict) or not isinstance(shape.get("points"), list):
        return "it has no list of `points`"
    if not isinstance(shape.get("label"), str):
        return "it has no `label`"
    for point in shape["points"]:
        if not (isinstance(point, list) and len(point) == 2 and all(type(each) in {int, float} for each in point)):
            return f"the point {json.dumps(point)[:40]}, expected two numbers"
        if any(isinstance(each, int) and each.bit_length() > 64 for each in point):
            return f"the point {json.dumps(point)[:40]} lies outside every photograph"
    return ""


def not_drawn(name: object, kind: object, outline: NDArray[np.float64], size: tuple[int, int]) -> str:
    """Why a shape is no region of the photograph; empty if it is."""
    height, width = size
    if name not in LEVELS or kind != "polygon":
        return f"expected polygons called {', '.join(LEVELS)}; rename it, or draw it as one"
    if len(outline) < 3:
        return f"{len(outline)} points, expected at least 3; draw it again"
    if not np.isfinite(outline).all():
        return "a coordinate is no number; draw it again"
    outside = ((outline < -EDGE_PX) | (outline > np.array([width, height]) + EDGE_PX)).any(axis=1)
    if outside.any():
        x, y = outline[outside][0]
        return f"the point ({x:g}, {y:g}) lies outside the photograph of {width}x{height} pixels; move it"
    filled = cv2.fillPoly(np.zeros(size, np.uint8), [np.rint(outline).astype(np.int32)], 1)
    inside = filled.sum() > cv2.polylines(np.zeros(size, np.uint8), [np.rint(outline).astype(np.int32)], True, 1).sum()
    return "" if inside else "its points lie on one line, and enclose nothing; draw it again"


def read_hand_made(path: Path) -> Any:  # noqa: ANN401 (whatever the file holds)
    """A JSON file that a person made: UTF-8, or with the mark of another Unicode encoding at its start.

    Raises:
        InputError: it is not JSON, of another encoding, or says one thing twice.
    """
    data = path.read_bytes()
    marked = next((name for mark, name in MARKS.items() if data.startswith(mark)), "utf-8")
    try:
        return json.loads(data.decode(marked), object_pairs_hook=partial(once, path), strict=False)
    except InputError:
        raise
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: byte {data[error.start]:#04x} at {error.start} is not {marked.upper()}; save it as UTF-8"
        ) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not valid JSON ({error}); correct it there, or save it again in LabelMe") from error


def once(path: Path, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object.

    Raises:
        InputError: one of its keys stands in it twice.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise InputError(f"{path}: the key {twice!r} stands twice in one object; keep the one that is meant")
    return found


def mask_hash(mask: NDArray[np.uint8]) -> str:
    """sha256 of the values of a mask (h, w): the same for a file that was saved again and not changed."""
    return hashlib.sha256(f"{mask.shape}".encode() + mask.tobytes()).hexdigest()


def proposed_masks(painted: Path, shapes: Path, label: NDArray[np.uint8]) -> dict[str, str]:
    """By file name: the hash of what it shows before anybody corrects it."""
    return {painted.name: mask_hash(label), shapes.name: mask_hash(drawn(shapes, (label.shape[0], label.shape[1])))}


def corrected_mask(folder: Path, photograph: Path) -> NDArray[np.uint8]:
    """The corrected mask (h, w) of a photograph: its LabelMe file or its PNG file, whichever shows something new.

    The record in `.done` says what they showed at first, so copies and checkouts change nothing.

    Raises:
        InputError: neither is there, one cannot be read or has another size than the photograph, both are corrected
            and differ, or there are two and no record.
    """
    shapes, painted = photograph.with_suffix(".json"), folder / PROPOSALS / f"{photograph.stem}.png"
    there = {
        path: read(path, upright_size(photograph))
        for path, read in ((painted, painted_mask), (shapes, drawn))
        if path.is_file()
    }
    if not there:
        raise InputError(f"{painted}: no such file, nor {shapes}; run `dbdflow label` again, or take {photograph} away")
    if len(there) == 1 or np.array_equal(there[painted], there[shapes]):
        return next(iter(there.values()))
    record = folder / DONE / f"{photograph.stem}.json"
    before = read_hand_made(record).get("masks", {}) if record.is_file() else {}
    if not before:
        raise InputError(
            f"{painted} and {shapes.name}: they differ, and {record}, which tells which one was corrected, is not "
            "there; put it back, or take the file that does not count out of the folder"
        )
    changed = [path for path, mask in there.items() if mask_hash(mask) != before.get(path.name)]
    if len(changed) == 2:
        raise InputError(
            f"{painted} and {shapes.name}: both were corrected, and differ; take the one that does not count out of "
            "the folder"
        )
    return there[changed[0]] if changed else there[painted]


def painted_mask(path: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    """The mask (h, w) of a PNG file: 0, 255, and 128 for undecided.

    Raises:
        InputError: it cannot be read, or has another size than the photograph.
    """
    mask = read_map(path, numbers=of_numbers([path])).levels
    if mask.shape != size:
        raise InputError(
            f"{path}: of {mask.shape[1]}x{mask.shape[0]} pixels, the photograph has {size[1]}x{size[0]}; replace it"
        )
    return mask


def label_of(folder: Path, photograph: Path) -> NDArray[np.uint8]:
    """The label (h, w) of a photograph, 255 = in focus, once its mask is corrected.

    Raises:
        InputError: see `corrected_mask`; or some of it is undecided.
    """
    mask = corrected_mask(folder, photograph)
    undecided = float(np.mean((mask != OUT_OF_FOCUS) & (mask != IN_FOCUS)))
    if undecided > 0:
        raise InputError(
            f"{photograph}: {undecided:.1%} of its mask are still undecided, expected 0 or 255 everywhere; "
            f"correct {photograph.with_suffix('.json').name} in LabelMe or {PROPOSALS}/{photograph.stem}.png"
        )
    return mask


def import_corrections(folder: Path) -> tuple[int, list[str]]:
    """Write the labels of a folder that `dbdflow label` filled, once its proposals are corrected, to `EBD/gt`.

    White = in focus. What cannot be used is left out, and its older label with it.

    Returns:
        How many were written, and what is wrong with the others.

    Raises:
        InputError: no such folder.
    """
    photographs = find_images(folder / IMAGES)
    if not photographs:
        raise InputError(f"{folder / IMAGES}: no photographs in it; name a folder that `dbdflow label` filled")
    wrong = []
    for photograph in photographs.values():
        place = folder / LABELS / f"{photograph.stem}.png"
        try:
            mask = label_of(folder, photograph)
            if place.exists() and not is_ours(place):
                raise InputError(f"{place}: changed by hand since it was written; take it out of the folder to have it")
        except InputError as error:
            wrong.append(str(error))
            if place.exists() and is_ours(place):
                place.unlink()
            continue
        write_whole(place, encode_map(mask))
    return len(photographs) - len(wrong), wrong
