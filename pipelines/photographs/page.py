"""`index.html` beside the maps: photographs with their maps, sorted, filtered, opened; it loads nothing from elsewhere.

Ten thousand photographs are half a megabyte: thumbnails are files, loaded as they come near to what is seen.
"""

import base64
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pipelines.photographs.rows import Row
from pipelines.photographs.table import readable

HERE = Path(__file__).parent


def render_page(rows: Mapping[Path, Row], left_out: Mapping[Path, str], out: Path) -> str:
    """The page of photographs and their maps in the folder `out`, and of those that have no map."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from components.views.files import THUMBNAIL, VIEWS

    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    script = (HERE / "page.js").read_text(encoding="utf-8")
    return environment.get_template("page.html.j2").render(
        style=(HERE / "page.css").read_text(encoding="utf-8"),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        data=for_script(data_of(rows, out, VIEWS[THUMBNAIL].folder)),
        left_out={readable(path): readable(why) for path, why in left_out.items()},
    )


def data_of(rows: Mapping[Path, Row], out: Path, thumbnails: str) -> dict[str, Any]:
    """What the page's script knows: folders as addresses relative to the page, and an array a photograph.

    It holds the number of its folder, its name's stem and suffix as addresses, width, height, share in focus and
    confidence.
    """
    folders: dict[str, int] = {}
    photographs = []
    for path, row in rows.items():
        folder = folders.setdefault(address(os.path.relpath(path.parent.absolute(), out.absolute())), len(folders))
        width, height, share, confidence = (row.values[each] for each in ("width", "height", "in_focus", "confidence"))
        name = (address(path.stem), address(path.suffix))
        photographs.append([folder, *name, width, height, round(share, 4), round(confidence, 3)])
    return {"folders": list(folders), "thumbnails": address(thumbnails), "photographs": photographs}


def address(path: str) -> str:
    """A path as part of an address, whatever its bytes."""
    return quote(os.fsencode(path))


def for_script(data: object) -> str:
    """JSON that may stand in a page's script element."""
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
