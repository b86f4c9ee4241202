"""What is looked for before anything starts: the files that `pretrained` names, of what is trained here."""

import shutil
from pathlib import Path

import pytest

from components.common.errors import InputError
from pipelines.repo.params_check import check_params

START = "dbdflow/weights/small.safetensors"


@pytest.fixture
def checkout(tmp_path: Path, root: Path) -> Path:
    for name in ("params.yaml", "components/params.py", START):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / name, tmp_path / name)
    return tmp_path


def put(checkout: Path, old: str, new: str) -> None:
    """In the section of the depth teacher, which stands before those of the runs."""
    params = checkout / "params.yaml"
    before, section, rest = params.read_text().partition("\ndepth_teacher:\n")
    assert old in rest
    params.write_text(before + section + rest.replace(old, new, 1))


def test_a_file_that_was_there_is_looked_for_again(checkout: Path) -> None:
    check_params(checkout)
    check_params(checkout)
    (checkout / START).unlink()
    with pytest.raises(InputError, match=rf"`pretrained` of dffnet: {checkout / START}: no such file; name one of"):
        check_params(checkout)


def test_the_depth_teachers_start(checkout: Path) -> None:
    """Only where it is trained here: MiDaS's published weights have no other start."""
    put(checkout, "pretrained: false", "pretrained: mine.safetensors")
    missing = rf"`pretrained` of depth_teacher: {checkout}/mine\.safetensors: no such file"
    with pytest.raises(InputError, match=missing):
        check_params(checkout)
    shutil.copy(checkout / START, checkout / "mine.safetensors")
    check_params(checkout)
    (checkout / "mine.safetensors").unlink()
    with pytest.raises(InputError, match=missing):
        check_params(checkout)
    put(checkout, "source: trained", "source: midas_v21")
    check_params(checkout)
