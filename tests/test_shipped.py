"""The weights that ship, on photographs that may be shown: they see."""

import re
from pathlib import Path

import pytest
import torch

from components.common.storage import file_hash
from components.models.checkpoints import read_metadata, read_tensors
from dbdflow import Detector
from dbdflow.detector import WEIGHTS as SHIPPED
from pipelines.commands.ship import MOST

pytestmark = pytest.mark.usefixtures("one_thread")
WEIGHTS = SHIPPED / "small.safetensors"
CPU = torch.device("cpu")
EXAMPLES = Path(__file__).parent.parent / "data/examples"
shipped = pytest.mark.skipif(not WEIGHTS.exists(), reason="no weights ship yet")


@shipped
def test_they_find_what_is_in_focus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The flower (0.24 of its photograph) and the cat's face (0.59), wherever the command is called."""
    monkeypatch.chdir(tmp_path)
    detector = Detector.load("small")
    for name, share in {"flower": 0.24, "chelsea": 0.59}.items():
        focus = detector.map(EXAMPLES / f"{name}.jpg")
        assert focus.mean() == pytest.approx(share, abs=0.08), name
    height, width = focus.shape
    assert focus[height // 4 : height // 2, width // 3 : width // 2].mean() > 0.9  # between the cat's eyes
    assert focus[:, -width // 10 :].mean() < 0.1  # the room behind it


@shipped
def test_they_are_small_and_their_card_is_theirs() -> None:
    assert WEIGHTS.stat().st_size <= MOST
    assert {value.dtype for value in read_tensors(WEIGHTS).values()} <= {torch.float16, torch.int64}
    card = (SHIPPED / "README.md").read_text()
    assert f"`{file_hash(WEIGHTS)}`" in card
    assert f"`{read_metadata(WEIGHTS)['commit']}`" in card


def test_examples_are_few_and_their_authors_named() -> None:
    card = (EXAMPLES / "README.md").read_text()
    files = sorted(path.name for path in EXAMPLES.iterdir() if path.name != "README.md")
    assert files == sorted(re.findall(r"^\| `([\w.]+)` \|.* \[CC", card, re.MULTILINE))
    assert sum((EXAMPLES / name).stat().st_size for name in files) <= 600_000
