"""Maps from models: as half floats by hand, of the photograph's size, white = in focus."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from components.datasets.loader import normalise
from components.maps.inference import by_best, predict_maps, probability
from components.models.network import DefocusOutput
from components.models.registry import build_model
from tests.models.tiny import picture_of

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = torch.device("cpu")


class BrightIsSharp(nn.Module):
    """Says that what is brighter than mid grey is in focus: logits of 20 and -20."""

    def forward(self, images: torch.Tensor) -> DefocusOutput:
        self.sides = images.shape[-2:]
        return DefocusOutput(40 * (images.mean(1, keepdim=True) > 0).float() - 20, (), ())


class Says(nn.Module):
    """Says the same logits of whatever it sees."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, images: torch.Tensor) -> DefocusOutput:
        return DefocusOutput(self.logits, (), ())


def test_probabilities_by_hand() -> None:
    # sigmoid: 0 -> 0.5; ln 3 -> 0.75; -ln 4 -> 0.2
    logits = torch.tensor([[[[0.0, np.log(3)], [-np.log(4), 50.0]]]])
    black = np.zeros((1, 2, 2, 3), np.uint8)
    (maps,) = predict_maps(Says(logits), black, batch_size=1, device=CPU, best=False)
    assert (maps.dtype, maps.shape) == (np.float16, (1, 2, 2))
    assert maps == pytest.approx(np.array([[[0.5, 0.75], [0.2, 1]]]), abs=2**-13)
    assert probability(Says(logits.bfloat16()), torch.zeros(1, 3, 2, 2), best=False)[0, 0, 0, 0] == 0.5


def test_maps_of_the_recipe_best_by_hand() -> None:
    """Logits 0 and ln 3 beside each other, mirrored ln 3 and 0: their mean, three times, is 1.5 ln 3."""
    logits = torch.tensor([[[[0.0, np.log(3)]]]])
    found = probability(Says(logits), torch.zeros(1, 3, 1, 2), best=True)
    assert found[0, 0, 0].tolist() == pytest.approx([3**1.5 / (1 + 3**1.5)] * 2)
    single = probability(Says(logits), torch.zeros(1, 3, 1, 2), best=True, mirror=False)
    assert single[0, 0, 0].tolist() == pytest.approx([0.5, 3**3 / (1 + 3**3)])


def test_a_photograph_and_its_mirror_image_have_mirrored_maps() -> None:
    torch.manual_seed(0)
    model = build_model("dffnet", "resnet10t", backbone_kwargs={"channels": [8, 16, 32, 64]}, width=8).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        maps, mirrored = (probability(model, each, best=True) for each in (images, images.flip(-1)))
    assert torch.equal(maps.flip(-1), mirrored)


@pytest.mark.parametrize(("training", "found"), [("best1", True), ("stage1", False)])
def test_runs_of_the_recipe_best_are_known_by_their_card(training: str, found: bool) -> None:
    assert by_best({"params": {"model": {"training": training}}}) == found
    assert not by_best({"params": {"published": {}}})


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_maps_are_the_models_forward(batch_size: int) -> None:
    torch.manual_seed(0)
    model = build_model("dffnet", "resnet10t", backbone_kwargs={"channels": [8, 16, 32, 64]}, width=8).eval()
    images = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3), dtype=np.uint8)
    batches = list(predict_maps(model, images, batch_size=batch_size, device=CPU, best=False))
    assert [len(batch) for batch in batches] == {1: [1] * 5, 2: [2, 2, 1], 5: [5]}[batch_size]
    with torch.no_grad():
        logits = model(normalise(torch.from_numpy(images).permute(0, 3, 1, 2))).logits
    expected = 1 / (1 + np.exp(-logits[:, 0].numpy().astype(np.float64)))
    found = np.concatenate(batches).astype(np.float64)
    assert (
        np.abs(found - expected).max() < 2**-11
    )  # half a step of half floats below 1, and a bit of another batch size


def test_no_image_no_map() -> None:
    black = np.zeros((0, 8, 8, 3), np.uint8)
    assert list(predict_maps(BrightIsSharp(), black, batch_size=2, device=CPU, best=False)) == []


@pytest.mark.parametrize(("height", "width"), [(48, 96), (33, 20), (1, 7), (64, 64)])
def test_a_photographs_map_has_its_size(height: int, width: int) -> None:
    model = BrightIsSharp()
    photo = np.full((height, width, 3), 200, dtype=np.uint8)
    found = picture_of(model, photo, 64)
    assert (found.shape, found.dtype) == ((height, width), np.uint8)
    assert model.sides == (64, 64)
    assert (found == 255).all()


def test_white_is_in_focus_where_the_model_says_so() -> None:
    photo = np.zeros((40, 100, 3), dtype=np.uint8)
    photo[:, 60:] = 255
    found = picture_of(BrightIsSharp(), photo, 64)
    assert (found[:, :55] == 0).all()
    assert (found[:, 65:] == 255).all()
    (prepared,) = predict_maps(BrightIsSharp(), photo[None, :, ::2], batch_size=1, device=CPU, best=False)
    assert prepared.tolist() == [[[0] * 30 + [1] * 20] * 40]


def test_photographs_are_resized_as_in_training() -> None:
    """Anti-aliased bilinear, by Pillow."""
    seen = []

    class Sees(BrightIsSharp):
        def forward(self, images: torch.Tensor) -> DefocusOutput:
            seen.append(images)
            return super().forward(images)

    photo = np.random.default_rng(0).integers(0, 256, (90, 150, 3), dtype=np.uint8)
    picture_of(Sees(), photo, 32)
    small = np.asarray(Image.fromarray(photo).resize((32, 32), Image.Resampling.BILINEAR))
    assert torch.equal(seen[0], normalise(torch.from_numpy(small.transpose(2, 0, 1)[None].copy())))
