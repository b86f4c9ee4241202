"""300 seeded mutations of a valid params file: each ends with the right value, or in one line for each wrong key."""

import json
import random
import re
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from components.common.errors import InputError
from components.common.yaml_files import parse_yaml
from components.params import load_params, parse_params

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "presets" / "smoke.yaml").read_text(encoding="utf-8")
LINES = TEXT.splitlines()
VALUE: dict[str, Any] = parse_yaml(TEXT, "smoke.yaml")
Case = tuple[bytes, dict[str, Any] | None]
"""A file, and the mapping that it means; None: it is refused."""


def leaves(pattern: str) -> list[tuple[int, list[str]]]:
    """Number and path of each line with one key and a value that a pattern takes."""
    found, path = [], list[tuple[int, str]]()
    for number, line in enumerate(LINES):
        if key := re.match(r"( *)([\w-]+):", line):
            path = [each for each in path if each[0] < len(key[1])] + [(len(key[1]), key[2])]
            if re.match(rf" *[\w-]+: {pattern}( #.*)?$", line):
                found.append((number, [name for _, name in path]))
    return found


NUMBERS = leaves(r"-?\d[\d.e+-]*")
WHOLE = [leaf for leaf in NUMBERS if leaf[1][-1] == "seed"]
RATES = [leaf for leaf in NUMBERS if leaf[1][-1].endswith("learning_rate")]
NO_NUMBER = (
    ".nan", ".inf", "-.inf", "-1", "99999999999999999999", "1e400", "1e20", "yes", "true", "'8'", "1:36", "[1]",
    "{a: 1}", "", "~", "2001-01-01", "2001-13-45", "!!python/object:os.system 1", "*nobody", "&x {y: *x}", "0x", "a: b",
    "9" * 5000, "[" * 900 + "]" * 900, "!!int x", "!!bool x", "\x07", "[1",
)  # fmt: skip
WHOLE_NUMBERS = {"0": 0, "4294967295": 2**32 - 1, "010": 10, "0o10": 8, "0x1F": 31, "1_000": 1000, "+7": 7}
RATE_NUMBERS = {"1e-3": 0.001, "5.0e-4": 0.0005, "1": 1.0, ".5": 0.5, "1_0.5": 10.5}
NO_NAMES = (
    "d/net", ".net", "d@net", "D_Net", "n\u00e9t", "d net", "-net", "n" * 65, "..", "a.b", "", "external", "a\nb",
)  # fmt: skip


def with_line(number: int, *lines: str) -> bytes:
    return "\n".join([*LINES[:number], *lines, *LINES[number + 1 :], ""]).encode()


def with_value(leaf: tuple[int, list[str]], word: str) -> bytes:
    return with_line(leaf[0], LINES[leaf[0]].partition(":")[0] + f": {word}")


def changed(path: list[str], value: object) -> dict[str, Any]:
    values = deepcopy(VALUE)
    section = values
    for name in path[:-1]:
        section = section[name]
    section[path[-1]] = value
    return values


def encoded(rng: random.Random) -> Case:
    text = f"# caf\u00e9\n{TEXT}"
    good = [text.encode(), text.encode("utf-8-sig"), text.replace("\n", "\r\n").encode(), text.encode() + b"\n\n..."]
    bad = [text.encode(name) for name in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "cp500")]
    chosen = rng.choice([*good, *bad])
    return chosen, VALUE if chosen in good else None


def no_number(rng: random.Random) -> Case:
    return with_value(rng.choice(NUMBERS), rng.choice(NO_NUMBER)), None


def a_number(rng: random.Random) -> Case:
    leaf, words = rng.choice([*((leaf, WHOLE_NUMBERS) for leaf in WHOLE), *((leaf, RATE_NUMBERS) for leaf in RATES)])
    word = rng.choice(list(words))
    return with_value(leaf, word), changed(leaf[1], words[word])


def a_line_off(rng: random.Random) -> Case:
    number = rng.choice(NUMBERS)[0]
    line = LINES[number]
    return rng.choice([with_line(number), with_line(number, line, line), with_line(number, f"\t{line}")]), None


def cut(rng: random.Random) -> Case:
    return TEXT.encode()[: rng.randrange(TEXT.index("\npredict:"))], None


def named(rng: random.Random) -> Case:
    good = ("d-net", "_net", "n" * 64, "net2", "no")
    name = rng.choice([*good, *NO_NAMES])
    text = re.sub(r"\bd_dffnet\b", lambda _: json.dumps(name), TEXT)
    return text.encode(), json.loads(json.dumps(VALUE).replace('"d_dffnet"', f'"{name}"')) if name in good else None


MUTATIONS: list[Callable[[random.Random], Case]] = [encoded, no_number, a_number, a_line_off, cut, named]


@pytest.mark.parametrize("seed", range(0, 300, 20))
def test_a_mutated_file_has_the_right_value_or_is_refused_in_lines(seed: int, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    for each in range(seed, seed + 20):
        mutate = MUTATIONS[each % len(MUTATIONS)]
        data, means = mutate(random.Random(each))
        path.write_bytes(data)
        if means is not None:
            assert load_params(path) == parse_params(means, "expected"), f"seed {each}"
            continue
        with pytest.raises(InputError) as caught:
            load_params(path)
        lines = str(caught.value).split("\n")
        assert all(line.startswith(f"{path}: ") and line.isprintable() for line in lines), f"seed {each}: {lines}"
        assert max(map(len, lines)) < len(str(path)) + 400, f"seed {each}"
        assert len(lines) == 1 or mutate is cut, f"seed {each}: {lines}"


@pytest.mark.parametrize("name", NO_NAMES[:-3])
def test_a_name_that_can_be_no_folder_is_refused_with_the_rule(name: str) -> None:
    for section in ("stage1_runs", "stage1_depth_runs", "stage2_runs", "baselines"):
        first = next(iter(VALUE[section].values()))
        with pytest.raises(InputError, match="is no name; expected 1 to 64 of a-z, 0-9, _ and -, the first one no -"):
            parse_params(changed([section, name], first), "params.yaml")
