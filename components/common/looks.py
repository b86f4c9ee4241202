"""What a file seems to be, told by how it begins: for messages about files that are not what they should be."""

import re
from pathlib import Path

START = 2**12
"""Bytes that are looked at."""
MAGIC = {
    b"PK\x03\x04": "a zip archive",
    b"PK\x05\x06": "an empty zip archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!": "a rar archive",
    b"\x1f\x8b": "a gzip archive",
    b"\xff\xd8\xff": "a JPEG image",
    b"\x89PNG": "a PNG image",
    b"BM": "a BMP image",
    b"%PDF": "a PDF file",
    b"\x89HDF": "an HDF5 file (Keras, MATLAB)",
    b"\x93NUMPY": "a NumPy array",
    b"version https://git-lfs": "a Git LFS pointer in place of the file (`git lfs pull` fetches it)",
}
PAGE = re.compile(r"<(!doctype\s+html|html|head|body)\b", re.IGNORECASE)
TITLE = re.compile(r"<title[^>]*>\s*([^<]{1,80}?)\s*<", re.IGNORECASE)


def looks_like(path: Path) -> str:
    """What a file seems to be, with its article; a web page with its title."""
    with path.open("rb") as file:
        start = file.read(START)
    if not start:
        return "an empty file"
    known = next((what for magic, what in MAGIC.items() if start.startswith(magic)), None)
    return known or marked_up(start) or "a file of another kind"


def marked_up(start: bytes) -> str | None:
    """What a text in angle brackets or braces seems to be, None if it is none: what servers send instead of a file."""
    wide = start.startswith((b"\xff\xfe", b"\xfe\xff"))
    text = start.decode("utf-16" if wide else "utf-8-sig", errors="replace").lstrip()
    if text.startswith("<") and PAGE.search(text):
        title = TITLE.search(text)
        return f"a web page titled {' '.join(title[1].split())!r}" if title else "a web page"
    if text.startswith("<?xml"):
        return "an XML text, such as servers send with an error"
    return "a JSON text, such as servers send with an error" if re.match(r'\{\s*"', text) else None
