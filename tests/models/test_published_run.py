"""The authors' checkpoints as runs, by the stage as a person starts it: `python -m pipelines.stages.published`."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from ruamel.yaml import YAML

from components.catalog.images import read_photograph
from components.common.availability import gap_of
from components.common.errors import InputError
from components.common.storage import file_hash
from components.models.checkpoints import load_model, read_metadata
from pipelines.cli import main
from pipelines.stages.published import find_checkpoint
from tests import parity_tools
from tests.models.tiny import picture_of
from tests.stages import stage

RUN = "published_d_dffnet_cuhk1"
LEDGER = "imported: {}\nsha256: {}\n"


def checkout(folder: Path, root: Path, without: list[str] | None = None) -> Path:
    """A folder with the paper's parameters and an inbox in which nothing lies."""
    yaml = YAML()
    params = yaml.load((root / "presets/paper.yaml").read_text())
    params["download"]["without"] = without or []
    yaml.dump(params, folder / "params.yaml")
    (folder / "inbox").mkdir()
    (folder / "inbox/sources.yaml").write_text(LEDGER)
    return folder


def published(folder: Path, run: str = RUN) -> subprocess.CompletedProcess[str]:
    """Run the stage in `folder`, into `out/`."""
    return stage("published", folder, run=run, inbox="inbox", out="out")


@pytest.fixture(scope="module")
def made(shared, reference, root, tmp_path_factory):
    """The run made of a checkpoint in the published format: every published key, those that nothing uses too."""
    folder = checkout(tmp_path_factory.mktemp("published"), root)
    shapes = parity_tools.reference_shapes(shared, "dffnet")
    state = {key: parity_tools.reference_value(reference, key, shape) for key, shape in shapes.items()}
    torch.save(state, folder / f"inbox/{RUN}.pth")
    done = published(folder)
    assert done.returncode == 0, done.stderr
    yield folder
    shutil.rmtree(folder)


def test_a_published_checkpoint_predicts_what_the_published_code_does(made, shared, reference):
    model = load_model(made / "out/model.safetensors")
    with torch.no_grad():
        ours = parity_tools.named_tensors(model(torch.from_numpy(reference.images(1))))
    parity_tools.assert_close(ours, parity_tools.goldens(shared, "dffnet"))


def test_it_lies_there_as_a_trained_run_does(made):
    card = json.loads((made / "out/card.json").read_text())
    weights = made / f"inbox/{RUN}.pth"
    assert card["published"] is True
    assert (card["run"], card["model"], card["backbone"]) == (RUN, "dffnet", "resnest101e")
    assert (card["weights"]["file"], card["weights"]["sha256"]) == (weights.name, file_hash(weights))
    assert card["params"]["image_size"] == 320
    assert (made / "out/history.csv").read_text() == "epoch\n"
    assert read_metadata(made / "out/model.safetensors") == {"run": RUN}
    assert sorted(path.name for path in (made / "out").iterdir()) == ["card.json", "history.csv", "model.safetensors"]


def test_the_command_predicts_with_the_file_itself(made, shared, tmp_path):
    (photograph,) = (shared / "real/cuhk/image").glob("out_of_focus0142.*")
    words = ["predict", photograph, "--model", made / f"inbox/{RUN}.pth", "--out", tmp_path, "--device", "cpu"]
    done = CliRunner().invoke(main, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    pixels = np.asarray(read_photograph(photograph))
    model = load_model(made / "out/model.safetensors")
    expected = picture_of(model, pixels, 320)
    with Image.open(tmp_path / "out_of_focus0142.png") as image:
        np.testing.assert_array_equal(np.asarray(image), expected)


def test_a_file_of_other_weights_is_one_error_and_leaves_nothing(root, tmp_path):
    folder = checkout(tmp_path, root)
    torch.save({"x": torch.ones(1)}, folder / f"inbox/{RUN}.pth")
    done = published(folder)
    assert done.returncode == 2
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(
        f"error: inbox/{RUN}.pth: holds tensors of no network known here, which does not fit dffnet on resnest"
    )
    assert "Traceback" not in done.stderr
    assert not (folder / "out").exists()
    assert (folder / f"inbox/{RUN}.pth").exists()


def test_without_the_checkpoint_the_run_is_not_available(root, tmp_path):
    folder = checkout(tmp_path, root, without=[RUN])
    done = published(folder)
    assert done.returncode == 0, done.stderr
    gap = gap_of(folder / "out")
    assert gap is not None
    assert gap.reason == f"{RUN} is among `download.without`"
    assert [path.name for path in (folder / "out").iterdir()] == ["not_available.json"]


def test_a_run_that_is_no_published_checkpoint_is_named():
    assert find_checkpoint(RUN).file == f"{RUN}.pth"
    told = r"published\.published_d_dfnet_cuhk1: no published checkpoint .* mean 'published_d_dffnet_cuhk1'"
    with pytest.raises(InputError, match=told):
        find_checkpoint("published_d_dfnet_cuhk1")
