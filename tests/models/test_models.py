"""Numbers, shapes and properties of all models on a tiny backbone: needs no reference material."""

import copy

import numpy as np
import pytest
import torch

from components.common.errors import InputError
from components.models.registry import build_model
from components.train.objectives import Projectors
from tests.models import tiny
from tests.parity_tools import assert_close, named_tensors


@pytest.fixture(scope="module", params=tiny.MODELS)
def model(request):
    """Each tiny model, filled, in eval mode; not to be changed."""
    return tiny.build_tiny(request.param)


def test_outputs_are_the_recorded_ones(model):
    name = model.spec.name
    with np.load(tiny.GOLDENS) as file:
        golden = {key: file[key] for key in file.files if key.startswith(f"{name}/")}
    ours = tiny.outputs(name)
    assert set(ours) == set(golden)
    assert_close(ours, golden)


def test_encode_gives_the_features_of_forward_with_the_channels_it_says(model):
    with torch.no_grad():
        features, encoded = model(tiny.images()).features, model.encode(tiny.images())
    assert tuple(feature.shape[1] for feature in encoded) == model.feature_channels
    assert [tuple(feature.shape[2:]) for feature in encoded] == [(2, 2), (4, 4), (8, 8), (16, 16)]
    assert all(torch.equal(a, b) for a, b in zip(features, encoded, strict=True))


def test_encode_of_a_frozen_teacher_runs_no_decoder(model):
    model = copy.deepcopy(model)
    ran = []
    decoder = [module for name, module in model.named_modules() if name and not name.startswith(("backbone", "rfbs"))]
    for module in decoder:
        module.register_forward_hook(lambda *_: ran.append(1))
    model.encode(tiny.images())
    assert ran == []
    model(tiny.images())
    assert ran != []


def test_training_reaches_every_weight(model):
    model = copy.deepcopy(model).train()
    output = model(torch.cat([tiny.images(), -tiny.images()]))
    maps = [output.depth] if model.spec.name == "midas" else [output.logits, *output.sides, *output.depth_sides]
    if model.spec.name == "rdffnet":
        maps.append(output.depth)
    sum((each**2).mean() for each in (*maps, *output.features)).backward()
    without = [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert without == []


def test_memory_format_changes_no_number(model):
    plain = tiny.outputs(model.spec.name)
    other = copy.deepcopy(model).to(memory_format=torch.channels_last)
    with torch.no_grad():
        ours = named_tensors(other(tiny.images().to(memory_format=torch.channels_last)))
    key = "depth" if model.spec.name == "midas" else "logits"
    np.testing.assert_allclose(ours[key][..., ::2, ::2], plain[f"{model.spec.name}/{key}"], atol=2e-5)


def test_final_depth_of_rdffnet_is_a_choice():
    assert tiny.build_tiny("rdffnet")(tiny.images()).depth.shape == (1, 1, 64, 64)
    options = {"width": 8, "final_depth": False}
    published = build_model("rdffnet", "resnet10t", backbone_kwargs=tiny.BACKBONE, **options)
    assert published.eval()(tiny.images()).depth is None
    assert published(tiny.images()).depth_sides[0].shape == (1, 1, 4, 4)


def test_midas_from_scratch_starts_above_zero():
    torch.manual_seed(0)
    net = build_model("midas", "resnet10t", backbone_kwargs=tiny.BACKBONE, width=16).eval()
    assert (net(tiny.images()).depth > 0).float().mean() > 0.9


def test_images_that_do_not_divide_are_refused():
    with pytest.raises(InputError, match=r"48 x 64 pixels.*multiples of 32"):
        tiny.build_tiny("pdnet")(torch.zeros(1, 3, 48, 64))


def test_wide_images_keep_their_shape():
    assert tiny.build_tiny("dffnet")(torch.zeros(2, 3, 32, 96)).logits.shape == (2, 1, 32, 96)


@pytest.mark.parametrize(
    ("name", "kwargs", "message"),
    [
        ("dfnet", {}, r"'dfnet': no such model; did you mean 'dffnet'\?"),
        ("pdnet", {"final_depth": True}, r"'pdnet' with options .*final_depth"),
    ],
)
def test_wrong_names_and_options_are_refused(name, kwargs, message):
    with pytest.raises(InputError, match=message):
        build_model(name, "resnet10t", backbone_kwargs=tiny.BACKBONE, **kwargs)


def test_projectors_are_plain_channel_maps():
    projectors = Projectors((3, 2), (5, 4))
    levels = (torch.randn(2, 3, 2, 2), torch.randn(2, 2, 4, 4))
    for conv, level, projected in zip(projectors.convs, levels, projectors(levels), strict=True):
        expected = torch.einsum("oi,bihw->bohw", conv.weight[:, :, 0, 0], level)
        torch.testing.assert_close(projected, expected)
    assert [tuple(weight.shape) for weight in projectors.parameters()] == [(5, 3, 1, 1), (4, 2, 1, 1)]
    with pytest.raises(ValueError, match="zip"):
        Projectors((3, 2), (5,))


def test_projectors_start_xavier_normal():
    torch.manual_seed(0)
    weight = Projectors((300,), (200,)).convs[0].weight.detach()
    assert float(weight.std()) == pytest.approx((2 / 500) ** 0.5, rel=0.02)  # 60000 draws: standard error 0.3 %
    assert float((weight.abs() > 2 * weight.std()).float().mean()) == pytest.approx(0.0455, abs=0.004)  # normal
