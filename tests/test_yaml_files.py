"""YAML is read once and for all as DVC reads it, 1.2 in UTF-8; what is no such file is one line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.common.errors import InputError
from components.common.yaml_files import dump_yaml, parse_yaml, read_commented, read_yaml
from components.params import load_params
from pipelines.changes.run import experiment_of
from pipelines.commands.reproduce import parsed
from pipelines.commands.sweep import read_axes
from pipelines.repo.fingerprint import Pipeline, load
from pipelines.repo.params_check import check_params
from pipelines.running.experiments import Request, changed_params

VALUES = {
    "yes": "yes", "no": "no", "on": "on", "1:36": "1:36", "010": 10, "0o10": 8, "1e-3": 0.001, "1_000": 1000, "~": None,
    "true": True, ".5": 0.5, "'8'": "8",
}  # fmt: skip


@pytest.mark.parametrize(("word", "value"), VALUES.items())
def test_a_word_has_the_value_of_yaml_1_2_wherever_it_stands(tmp_path: Path, word: str, value: object) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(f"name: {word}\n")
    files = (read_yaml(path), read_commented(path), load(path), Pipeline(tmp_path).scope)
    assert [*(each["name"] for each in files), parsed(f"name={word}")[1]] == [value] * 5
    assert experiment_of(path.read_text()) == str(value)
    assert parse_yaml(dump_yaml({"a": value}), "again") == {"a": value}


def test_the_values_of_a_sweep_are_yaml_1_2() -> None:
    assert read_axes(["name=yes,010,1e-3"]) == {"name": ["yes", 10, 0.001]}


def test_a_text_that_looks_like_a_number_stays_one() -> None:
    lock = {"md5": "12345678901234567890123456789e12", "value": "1e-3", "date": "2001-01-01"}
    assert parse_yaml(dump_yaml(lock), "dvc.lock") == lock


WRONG = {
    "utf-16": ("a: 1\n".encode("utf-16"), "not UTF-8 (found UTF-16); save it as UTF-8"),
    "latin-1": (b"a: 1\nb: caf\xe9\n", "not UTF-8 (found byte 0xe9 in line 2); save it as UTF-8"),
    "tab": (b"a:\n\tb: 1\n", "not valid YAML 1.2: line 2, column 1: found character that cannot start any token; ind"),
    "twice": (b"a: 1\na: 2\n", "not valid YAML 1.2: line 2, column 1: found duplicate key"),
    "itself": (b"a: &x {b: *x}\n", "not valid YAML 1.2: nested deeper than 32 levels, or in itself"),
}
READERS: list[Callable[[Path], Any]] = [
    load_params,
    load,
    read_commented,
    lambda path: check_params(path.parent),
    lambda path: Pipeline(path.parent),
    lambda path: changed_params(path.parent, Request(values={"a": 1})),
]


@pytest.mark.parametrize(("data", "message"), WRONG.values(), ids=WRONG)
def test_every_reader_tells_in_one_line_what_is_wrong(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(data)
    (tmp_path / "components").mkdir()
    (tmp_path / "components/params.py").touch()
    for reader in READERS:
        with pytest.raises(InputError) as caught:
            reader(path)
        assert str(caught.value).startswith(f"{path}: {message}")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("key", "before"), [("download.without", "without: []"), ("published", "published: {}")])
def test_a_name_of_nothing_is_refused_before_a_stage_starts(tmp_path: Path, root: Path, key: str, before: str) -> None:
    text = (root / "presets/smoke.yaml").read_text(encoding="utf-8")
    run = "{cuhkk: {model: dffnet, backbone: resnest101e, backbone_options: {}, beside: dffnet}}"
    after = before.replace("[]", "[cuhkk]").replace("{}", run)
    assert before in text
    (tmp_path / "params.yaml").write_text(text.replace(before, after))
    (tmp_path / "components").mkdir()
    (tmp_path / "components/params.py").touch()
    with pytest.raises(InputError, match=rf"params\.yaml: `{key}`: 'cuhkk': nothing of this name; did you mean 'cuhk'"):
        check_params(tmp_path)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (
            "backbone: resnet10t",
            "backbone: resnet99t",
            r"`depth_teacher`: the backbone 'resnet99t' is no model of timm; nearest names: resnet",
        ),
        ("lbp:lbp", "lbp:lpb", r"`baselines\.lbp\.function`: .*lbp\.py has no function 'lpb'; did you mean lbp\?"),
    ],
)
def test_what_the_code_does_not_have_is_refused_before_a_stage_starts(
    tmp_path: Path, root: Path, before: str, after: str, message: str
) -> None:
    text = (root / "presets/miniature.yaml").read_text(encoding="utf-8")
    assert before in text
    (tmp_path / "params.yaml").write_text(text.replace(before, after))
    (tmp_path / "components").symlink_to(root / "components")
    with pytest.raises(InputError, match=r"params\.yaml: " + message):
        check_params(tmp_path)


@pytest.mark.parametrize("data", [b"\xef\xbb\xbfa: caf\xc3\xa9\nb: 1\n", b"a: caf\xc3\xa9\r\nb: 1\r\n"])
def test_a_byte_order_mark_and_line_ends_of_windows_change_nothing(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.yaml").write_bytes(data)
    assert read_yaml(tmp_path / "x.yaml") == read_commented(tmp_path / "x.yaml") == {"a": "caf\u00e9", "b": 1}
