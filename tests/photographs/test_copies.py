"""`--sharper-than SHARE --copy-to FOLDER`: what is copied, and that nothing there is harmed."""

import os
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from pipelines.cli import main
from tests.photographs.faked import detect

SHARES = {"a": 0.05, "b": 0.3, "c": 0.31, "d": 1.0}


@pytest.fixture(autouse=True)
def _shoot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four photographs of 100 pixels, of which so many are in focus as `SHARES` says; one with a raw file beside it."""
    monkeypatch.chdir(tmp_path)
    Path("shoot").mkdir()
    for name in SHARES:
        Image.new("RGB", (10, 10), "blue").save(f"shoot/{name}.png")
        os.utime(f"shoot/{name}.png", (10**9, 10**9))
    Path("shoot/c.CR2").write_bytes(b"raw")

    def levels(photograph: Path) -> np.ndarray:
        return np.uint8(255 * (np.arange(100) < round(100 * SHARES[photograph.stem]))).reshape(10, 10)

    detect(monkeypatch, levels)


def copies(share: object, folder: str = "best", code: int = 0) -> Result:
    done = CliRunner().invoke(main, ["predict", "shoot", "--sharper-than", str(share), "--copy-to", folder])
    assert done.exit_code == code, done.output
    return done


@pytest.mark.parametrize(
    ("share", "names"),
    [
        (0, ["a.png", "b.png", "c.CR2", "c.png", "d.png"]),
        (0.3, ["b.png", "c.CR2", "c.png", "d.png"]),
        (0.301, ["c.CR2", "c.png", "d.png"]),
        (1, ["d.png"]),
    ],
)
def test_at_least_this_share_and_raw_files_beside(share: float, names: list[str]) -> None:
    told = copies(share).stdout.splitlines()[-1]
    photographs = len([name for name in names if name != "c.CR2"])
    assert told == (
        f"{photographs} of 4 photographs have at least {share:g} in focus; "
        f"in best: {len(names)} files new, 0 were there"
    )
    assert sorted(path.name for path in Path("best").iterdir()) == names
    for name in names:
        assert Path("best", name).read_bytes() == Path("shoot", name).read_bytes()
        assert Path("best", name).stat().st_mtime == Path("shoot", name).stat().st_mtime
    assert len(list(Path("shoot").iterdir())) == 5  # nothing is moved


def test_again_copies_nothing_and_another_file_stays() -> None:
    copies(0.3)
    assert copies(0.3).stdout.endswith("0 files new, 4 were there\n")
    Path("best/b.png").write_text("mine")
    Path("best/c.png").unlink()
    Path("best/d.png").unlink()
    Path("best/d.png").symlink_to("nowhere")
    done = copies(0.3, code=1)
    assert done.stdout.endswith("1 files new, 1 were there\n")
    assert done.stderr.endswith(
        "2 not copied:\n  shoot/b.png: another file is at best/b.png, and stays\n"
        "  shoot/d.png: another file is at best/d.png, and stays\n"
    )
    assert Path("best/b.png").read_text() == "mine"
    assert Path("best/d.png").is_symlink()
    assert sorted(path.name for path in Path("best").iterdir()) == ["b.png", "c.CR2", "c.png", "d.png"]


@pytest.mark.parametrize(
    ("folder", "told"),
    [
        ("shoot", "--copy-to shoot: photographs that were named lie there; name another folder"),
        ("maps", "--copy-to maps: the maps go there; name another folder"),
        (
            "shoot/a.png/x",
            "shoot/a.png/x: cannot make this folder (shoot/a.png is none); name one that you may write to",
        ),
    ],
)
def test_a_folder_that_cannot_be_one_is_told_before_any_work(folder: str, told: str) -> None:
    done = copies(0.3, folder, code=2)
    assert done.stderr.startswith("error: ")
    assert told.replace("shoot/a.png is", "") in done.stderr.replace(f"{Path.cwd()}/shoot/a.png is", "")
    assert not Path("maps").exists()


@pytest.mark.parametrize("words", [["--sharper-than", "0.3"], ["--copy-to", "best"]])
def test_one_without_the_other(words: list[str]) -> None:
    done = CliRunner().invoke(main, ["predict", "shoot", *words])
    assert (done.exit_code, done.stderr) == (
        2,
        "error: --sharper-than and --copy-to go together: how much is to be in focus, and the folder\n",
    )


def test_a_share_is_none_of_a_hundred() -> None:
    assert "30.0 is not in the range 0<=x<=1" in copies(30, code=2).stderr
