"""Every model against the golden tensors of the published code: same weights, same input, same outputs."""

import pytest
import torch

from components.models.published import from_published, published_key, to_published
from components.models.registry import build_model
from tests import parity_tools

CASES = {
    "dffnet": ("resnest101e", {}),
    "dffnet_without_dffm": ("resnest101e", {}),
    "dffnet_vgg16": ("vgg16", {}),
    "pdnet": ("resnest101e", {}),
    "rdffnet": ("resnest101e", {"final_depth": False}),
    "midas": ("resnext101_32x8d", {}),
}
MAPS = {
    "dffnet": {"logits", "side0", "side1", "side2", "side3"},
    "dffnet_without_dffm": {"logits", "side0", "side1", "side2", "side3"},
    "dffnet_vgg16": {"logits", "side0", "side1", "side2", "side3"},
    "pdnet": {"logits"},
    "rdffnet": {"logits", *(f"{kind}{level}" for kind in ("side", "depth_side") for level in range(4))},
    "midas": {"depth"},
}
DROPPED = {
    "dffnet": {"resnest.layer3_2", "resnest.layer4_2"},
    "dffnet_without_dffm": {
        *("resnest.layer3_2", "resnest.layer4_2"),
        *(f"agg1.conv_upsample{number}" for number in (1, 2, 3, 6)),
    },
    "dffnet_vgg16": set(),
    "pdnet": {"resnest.layer3_2", "resnest.layer4_2", "rfb1_1", "rfb2_1", "rfb3_1", "rfb4_1"},
    "rdffnet": {"resnest.layer3_2", "resnest.layer4_2"},
    "midas": {"scratch.refinenet4.resConfUnit1"},
}


@pytest.fixture(scope="module", params=CASES)
def model(request):
    """Each model once, for all tests of this file."""
    backbone, kwargs = CASES[request.param]
    return build_model(request.param, backbone, **kwargs)


def test_outputs_equal_the_published_ones(model, shared, reference):
    parity_tools.fill_as_reference(model, reference)
    model.eval()
    with torch.no_grad():
        ours = parity_tools.named_tensors(model(torch.from_numpy(reference.images(1))))
    golden = parity_tools.goldens(shared, model.spec.name)
    assert set(ours) == set(golden)
    assert {name for name in golden if not name.startswith("feature")} == MAPS[model.spec.name]
    parity_tools.assert_close(ours, golden)


def test_every_published_tensor_has_one_place(model, shared):
    published = parity_tools.reference_shapes(shared, model.spec.name)
    own = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    state, dropped = from_published(model.spec.name, published, own)
    assert state == own
    assert {_owner(key) for key in dropped} == DROPPED[model.spec.name]
    assert len(dropped) + len(own) == len(published)


def test_names_go_there_and_back(model):
    own = {key: key for key in model.state_dict()}
    published = to_published(model.spec.name, own)
    assert len(published) == len(own)
    assert from_published(model.spec.name, published, own) == (own, [])


def test_a_tensor_that_neither_side_knows_keeps_its_name():
    state, dropped = from_published("pdnet", {"agg1.side9.bias": 1, "rfb1_1.x": 2, "agg1.conv5.bias": 3}, ["head.bias"])
    assert state == {"agg1.side9.bias": 1, "head.bias": 3}
    assert dropped == ["rfb1_1.x"]
    assert published_key("pdnet", "head.bias") == "agg1.conv5.bias"


def _owner(key: str) -> str:
    """The part of the network that a dropped key belongs to."""
    parts = key.split(".")
    depth = {"rfb1_1": 1, "rfb2_1": 1, "rfb3_1": 1, "rfb4_1": 1, "scratch": 3}.get(parts[0], 2)
    return ".".join(parts[:depth])
