"""What to look at before a proposal is believed: a page that loads nothing, and a contact sheet.

Colours: in focus green, out of focus violet, undecided grey; the photograph shows through.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from components.common.storage import atomic_path, write_whole

Pixels = NDArray[np.uint8]
COLOURS = {255: (0, 158, 115), 0: (150, 60, 170), 128: (140, 140, 140)}
"""Grey value of a proposal -> RGB."""
THUMB_WIDTH = 480
"""Pixels of a picture on the page."""
STYLE = (
    "body{font:16px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:1500px;padding:0 1rem;color:#1a1a1a;"
    "background:#fdfdfb}h2{font-size:1.05rem;margin:2rem 0 .4rem}.row{display:flex;gap:.8rem;flex-wrap:wrap}"
    "figure{margin:0;flex:1 1 300px;max-width:480px}img{width:100%;display:block}"
    "figcaption{font-size:.85rem;color:#555}"
    ".key span{display:inline-block;width:1em;height:1em;vertical-align:-.15em;margin:0 .3em 0 1em}"
    ".failed{border-left:4px solid #b3261e;padding-left:.8rem}code{font-size:.9em}"
)


@dataclass(frozen=True, eq=False)
class Reviewed:
    """One pair on the page; a failed one has a reason and no pictures."""

    stem: str
    figures: dict[str, str]
    """What was measured, in words."""
    failed: str = ""
    pictures: dict[str, Pixels] = field(default_factory=dict)
    """Caption -> small picture, (h, w) or (h, w, 3) RGB."""


def small(pixels: Pixels) -> Pixels:
    """A picture at the page's size."""
    height = max(1, round(pixels.shape[0] * THUMB_WIDTH / pixels.shape[1]))
    return np.asarray(cv2.resize(pixels, (THUMB_WIDTH, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def overlay(photograph: Pixels, proposal: Pixels) -> Pixels:
    """The photograph (h, w, 3) in the colours of its proposal (h, w)."""
    grey = photograph.astype(np.float32).mean(axis=2, keepdims=True)
    colours = np.zeros_like(photograph)
    for level, colour in COLOURS.items():
        colours[proposal == level] = colour
    return np.asarray(np.clip(0.55 * grey + 0.45 * colours, 0, 255), dtype=np.uint8)


def pictures_of(shallow: Pixels, aligned: Pixels, proposal: Pixels, confidence: Pixels) -> dict[str, Pixels]:
    """What the page shows of a pair."""
    return {
        "shallow": small(shallow),
        "wide, aligned": small(aligned),
        "proposal": small(overlay(shallow, proposal)),
        "confidence (white = certain)": small(confidence),
    }


def encoded(pixels: Pixels) -> str:
    """A picture as an address that holds it."""
    stored = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    _, coded = cv2.imencode(".jpg", stored, [cv2.IMWRITE_JPEG_QUALITY, 85])
    return "data:image/jpeg;base64," + base64.b64encode(coded.tobytes()).decode()


def section(each: Reviewed) -> str:
    """One pair as HTML."""
    if each.failed:
        return f'<section class="failed"><h2>{escape(each.stem)}</h2><p>Failed: {escape(each.failed)}</p></section>'
    facts = ", ".join(f"{name} {value}" for name, value in each.figures.items())
    figures = "".join(
        f'<figure><img src="{encoded(pixels)}" alt="{escape(caption)} of {escape(each.stem)}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
        for caption, pixels in each.pictures.items()
    )
    return f'<section><h2>{escape(each.stem)}</h2><p>{escape(facts)}</p><div class="row">{figures}</div></section>'


def write_page(path: Path, reviewed: Sequence[Reviewed]) -> None:
    """Write `review.html`."""
    names = {
        255: "in focus (white, 255)",
        0: "out of focus (black, 0)",
        128: "undecided (grey, 128): for you to decide",
    }
    key = "".join(f'<span style="background:rgb{COLOURS[level]}"></span>{name}' for level, name in names.items())
    failed = sum(bool(each.failed) for each in reviewed)
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Label proposals</title>'
        f"<style>{STYLE}</style></head><body><h1>Label proposals</h1>"
        f"<p>{len(reviewed) - failed} proposals, {failed} pairs failed. Correct them in LabelMe (<code>labelme "
        "EBD/image</code>) or paint <code>proposals/*.png</code>, then say <code>dbdflow import labels THIS_FOLDER"
        f'</code>.</p><p class="key">{key}</p>{"".join(map(section, reviewed))}</body></html>'
    )
    write_whole(path, text)


def write_sheet(path: Path, reviewed: Sequence[Reviewed]) -> None:
    """Write `contact_sheet.jpg`: photograph and proposal of every pair, two pairs a row; nothing where all failed."""
    strips = [
        cv2.resize(np.hstack([each.pictures["shallow"], each.pictures["proposal"]]), (800, 260))
        for each in reviewed
        if not each.failed
    ]
    if not strips:
        return
    if len(strips) % 2:
        strips.append(np.full_like(strips[0], 255))
    rows = [np.hstack(strips[i : i + 2]) for i in range(0, len(strips), 2)]
    with atomic_path(path) as temporary:
        Image.fromarray(np.vstack(rows)).save(temporary, format="JPEG", quality=85)
