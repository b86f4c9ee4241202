"""`dbdflow verify` on a small real repository: what comes out again, what does not, and that nothing is touched."""

import re
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from pipelines.running.numbers import apart
from tests.flows.conftest import Checkout, until

DBDFLOW = str(Path(sys.executable).with_name("dbdflow"))
SCORES = 'printf \'{"set": "A", "mae": 0.5%s}\' $DRIFT > data/'
STAGES = {
    "same": {"cmd": "mkdir data/same && cp data/in.txt data/same/a", "deps": ["data/in.txt"], "outs": ["data/same"]},
    "near": {"cmd": f"mkdir data/near && {SCORES}near/scores.json", "deps": ["data/same"], "outs": ["data/near"]},
    "time": {"cmd": 'date +\'{"at": "%s%N"}\' > data/time.json', "deps": ["data/same"], "outs": ["data/time.json"]},
    "lost": {"cmd": "mkdir data/lost && echo > data/lost/b", "outs": ["data/lost"]},
    "after": {"cmd": "while [ -e $HOLD ]; do sleep 0.1; done; echo > data/after", "outs": ["data/after"]},
    "old": {"cmd": "cp params.yaml data/old", "deps": ["params.yaml"], "outs": ["data/old"]},
    "without": {"cmd": "cp data/lost/b data/without", "deps": ["data/lost"], "outs": ["data/without"]},
}


ENVIRONMENT = {"HOLD": "nothing", "DRIFT": "000"}
CHECKED = ("same", "near", "time", "old", "without")


@pytest.fixture
def recorded(checkout: Checkout, template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    """The repository, reproduced; `dvc.lock` is there, not committed."""
    monkeypatch.setenv("HOLD", str(tmp_path / "hold"))
    monkeypatch.setenv("DRIFT", "001")
    found = Checkout(tmp_path / "recorded")
    shutil.copytree(template, found.root)
    return found


OWN = {".git", ".dbdflow", "tmp"}
"""Folders of git, of this project, and of DVC for what passes."""


def contents(root: Path) -> dict[str, tuple[bytes, int]]:
    """Every file of the workspace and DVC's cache, with its bytes and its time of change."""
    kept = [path for path in root.rglob("*") if path.is_file() and not OWN & {*path.relative_to(root).parts}]
    return {str(path.relative_to(root)): (path.read_bytes(), path.stat().st_mtime_ns) for path in kept}


def verdicts(text: str) -> dict[str, str]:
    found = re.findall(r"^(\w+): ((?:same|different|failed|not checked).*?)(?: after \d+ s \[.*)?$", text, re.MULTILINE)
    return dict(found)


def test_each_stage_comes_out_again_or_is_named_and_nothing_is_touched(recorded: Checkout) -> None:
    (listing,) = [path for path in (recorded.root / ".dvc/cache").rglob("*.dir") if b'"b"' in path.read_bytes()]
    listing.unlink()
    recorded.write("params.yaml", "toy: {epochs: 4}\n")
    before = contents(recorded.root)
    done = recorded.run(DBDFLOW, "verify", "--sample", "9", "--seed", "3", *CHECKED)
    assert (done.returncode, done.stderr) == (1, ""), done.stdout
    said = verdicts(done.stdout)
    assert re.fullmatch(r"different \(data/time\.json: at \S+ -> \S+\)", said.pop("time"))
    assert said == {
        "same": "same bytes",
        "near": "same numbers (largest difference 1.0e-04: data/near/scores.json: mae 0.5 -> 0.5001)",
        "old": "not checked (out of date: params.yaml changed)",
        "without": "not checked (its input data/lost is not in the cache; `dbdflow pull data/lost` fetches it)",
    }
    assert "(--sample 9 --seed 3)" in done.stdout.splitlines()[-1]
    assert contents(recorded.root) == before
    assert not (recorded.root / ".dbdflow/verify").exists()


def test_ctrl_c_ends_it_and_leaves_nothing(recorded: Checkout, tmp_path: Path) -> None:
    (tmp_path / "hold").touch()
    before = contents(recorded.root)
    with recorded.start(DBDFLOW, "verify", "after", PYTHONUNBUFFERED="1") as process:
        until(lambda: list(recorded.root.glob(".dbdflow/logs/verify/*/after.log")))
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (130, "")
    assert out.splitlines()[-1] == "stopped by SIGINT"
    assert contents(recorded.root) == before
    assert not (recorded.root / ".dbdflow/verify").exists()


@pytest.mark.parametrize(
    ("kind", "texts", "size", "where"),
    [
        (".json", (b'{"a": {"b": [1, 2.0]}}', b'{"a": {"b": [1, 4.0]}}'), 0.5, "a.b.1 2 -> 4"),
        (".json", (b'{"a": true}', b'{"a": false}'), np.inf, "a 'True' -> 'False'"),
        (".json", (b'{"a": 1}', b'{"a": 1, "b": 2}'), np.inf, "b is new"),
        (".json", (b'{"a": "%s"}' % (b"0" * 64), b'{"a": "%s"}' % (b"1" * 64)), 0.0, ""),
        (".csv", (b"id,mae\nx,0.25\n", b"id,mae\nx,0.5\n"), 0.25, "row 2.mae 0.25 -> 0.5"),
        (".json", (b'{"a": NaN}', b'{"a": 1}'), np.inf, "a nan -> 1"),
        (".json", (b"{", b"{}"), np.inf, "cannot be read"),
        (
            ".html",
            (b"a <b>%s</b>" % (b"0" * 10), b"a <b>%s with changes</b>" % (b"1" * 10)),
            0.0,
            "names another commit",
        ),
        (".html", (b"a\nb", b"a\nc"), np.inf, "other text from line 2 on"),
        (".bin", (b"a", b"b"), np.inf, "other bytes, no numbers to compare"),
    ],
)
def test_how_far_two_files_are_apart(
    tmp_path: Path, kind: str, texts: tuple[bytes, bytes], size: float, where: str
) -> None:
    paths = [tmp_path / name for name in ("before", "now")]
    for path, content in zip(paths, texts, strict=True):
        path.write_bytes(content)
    found = apart(*paths, kind)
    assert found.size == size
    assert found.where.startswith(where)


def test_arrays_are_compared_value_by_value(tmp_path: Path) -> None:
    maps = np.zeros((2, 3), np.uint8)
    for name, array in {"map": maps, "one": maps + 1, "three": maps + 3}.items():
        np.save(tmp_path / f"{name}.npy", array)
    found = {name: apart(tmp_path / "map.npy", tmp_path / f"{name}.npy", ".npy") for name in ("one", "three")}
    assert found["one"].size == 0.0, "a level is rounding"
    assert (found["three"].size, found["three"].where) == (2 / 255, "by 3 of 255 levels")
    np.save(tmp_path / "a.npy", np.array([0.5, np.nan, 100.0]))
    np.save(tmp_path / "b.npy", np.array([0.5, np.nan, 101.0]))
    assert apart(tmp_path / "a.npy", tmp_path / "b.npy", ".npy").size == pytest.approx(1 / 101)
