"""The one reader of YAML: version 1.2 in UTF-8, read as DVC reads it, so that nobody sees another value than DVC.

`yes` is text, `1:36` too, `010` is ten, `1e-3` a number.
"""

import io
import re
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from components.common.errors import InputError

DEEPEST = 32
"""Levels of lists and mappings in one another, more than any file of the project has."""


def read_yaml(path: Path) -> Any:  # noqa: ANN401 (YAML)
    """What a file holds, None where it is empty.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: it is a folder, another encoding than UTF-8 (a byte order mark and CRLF are fine), or no YAML 1.2:
            a key twice, tabs to indent.
    """
    return parse_yaml(read_text(path), str(path))


def read_commented(path: Path) -> Any:  # noqa: ANN401 (ruamel's own mapping)
    """The same, to be changed and written by `dump_yaml`: comments, order and form of the rest stay.

    Raises:
        FileNotFoundError, InputError: see `read_yaml`.
    """
    text = read_text(path)
    parse_yaml(text, str(path))
    try:
        return _writer().load(text)
    except (YAMLError, ValueError) as error:  # it takes a little less
        raise InputError(_refused(str(path), error)) from error


def dump_yaml(value: object) -> str:
    """YAML 1.2 text of a plain value, or of one that `read_commented` gave."""
    text = io.StringIO()
    _writer().dump(value, text)
    return text.getvalue()


def parse_yaml(text: str, source: str) -> Any:  # noqa: ANN401 (YAML)
    """What a text holds; `source` names it in errors.

    Raises:
        InputError: see `read_yaml`.
    """
    try:
        value = YAML(typ="safe").load(text)  # as DVC: its C parser where there is one
    except (YAMLError, ValueError, LookupError, RecursionError) as error:  # ruamel lets errors of values through
        raise InputError(_refused(source, error)) from error
    _check_depth(value, source)
    return value


def read_text(path: Path) -> str:
    """A file's UTF-8 text, line ends as `\\n`, without a byte order mark.

    Raises:
        FileNotFoundError, InputError: see `read_yaml`.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (IsADirectoryError, NotADirectoryError) as error:
        raise InputError(f"{path}: expected a file; it is in or is a folder") from error
    except UnicodeDecodeError as error:
        wide = error.object[:2] in (b"\xff\xfe", b"\xfe\xff")
        line = error.object[: error.start].count(b"\n") + 1
        found = "UTF-16" if wide else f"byte 0x{error.object[error.start]:02x} in line {line}"
        raise InputError(f"{path}: not UTF-8 (found {found}); save it as UTF-8") from error


def _refused(source: str, error: Exception) -> str:
    """One line: what is wrong, and where if that is known."""
    mark = getattr(error, "problem_mark", None)
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    problem = str(getattr(error, "problem", None) or error).partition("\n")[0].strip()
    if isinstance(error, UnicodeError):
        problem = "not UTF-8; save it as UTF-8"
    if isinstance(error, RecursionError):
        problem = f"nested deeper than {DEEPEST} levels"
    if "cannot start any token" in problem:
        problem += "; indent with spaces, not tabs"
    return f"{source}: not valid YAML 1.2: {place}{re.sub(r'[^ -~]', '?', problem)[:200]}"


def _check_depth(value: object, source: str) -> None:
    """Refuse what is nested too deep; a value that holds itself is."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(DEEPEST):
        inner = [item for each in level for item in (each.values() if isinstance(each, dict) else each)]
        level = list({id(item): item for item in inner if isinstance(item, dict | list)}.values())
        if not level:
            return
    raise InputError(f"{source}: not valid YAML 1.2: nested deeper than {DEEPEST} levels, or in itself")


def _writer() -> YAML:
    yaml = YAML()
    yaml.width = 1000  # an address stays on one line
    return yaml
