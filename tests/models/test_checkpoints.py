"""Weights in and out of files; a wrong or broken file is one clear error and changes nothing."""

import copy
import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from components.common.errors import InputError
from components.models.checkpoints import load_model, load_published, load_weights, read_metadata, save_model
from components.models.published import architecture, to_published
from components.models.registry import build_model
from tests.models import tiny


@pytest.fixture(scope="module")
def dffnet():
    """Not to be changed."""
    return tiny.build_tiny("dffnet")


@pytest.fixture
def saved(tmp_path, dffnet):
    path = tmp_path / "model.safetensors"
    save_model(path, dffnet, {"run": "dffnet", "stage": "1"})
    return path


def zeros():
    model = build_model("dffnet", "resnet10t", backbone_kwargs=tiny.BACKBONE, width=8)
    for value in model.state_dict().values():
        value.zero_()
    return model


@pytest.mark.parametrize("name", tiny.MODELS)
def test_a_saved_model_comes_back_whole(tmp_path, name):
    model = tiny.build_tiny(name)
    save_model(tmp_path / "m.safetensors", model, {})
    loaded = load_model(tmp_path / "m.safetensors")
    assert loaded.spec == model.spec
    assert not loaded.training
    assert type(loaded) is type(model)
    assert same(loaded.state_dict(), model.state_dict())


def test_metadata_comes_back(saved):
    assert read_metadata(saved) == {"run": "dffnet", "stage": "1"}


def test_equal_models_make_equal_files(tmp_path, saved, dffnet):
    other = tmp_path / "other.safetensors"
    copied = copy.deepcopy(dffnet).to(memory_format=torch.channels_last)
    save_model(other, copied, {"stage": "1", "run": "dffnet"})
    assert other.read_bytes() == saved.read_bytes()


def test_a_failed_save_leaves_the_old_file(saved, dffnet):
    before = saved.read_bytes()
    with pytest.raises(TypeError):
        save_model(saved, dffnet, {"run": object()})
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pt"])
def test_published_files_load_without_what_is_never_used(tmp_path, dffnet, suffix):
    unused = {"resnest.layer3_2.0.conv1.weight": torch.ones(2, 2), "resnest.fc.bias": torch.ones(3)}
    state = {**to_published("dffnet", dffnet.state_dict()), **unused}
    path = tmp_path / f"published{suffix}"
    if suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    model = zeros()
    assert sorted(load_published(path, model)) == ["resnest.fc.bias", "resnest.layer3_2.0.conv1.weight"]
    assert same(model.state_dict(), dffnet.state_dict())


def test_published_tensors_that_no_one_knows_are_refused(tmp_path, dffnet):
    state = {**to_published("dffnet", dffnet.state_dict()), "agg1.side5.bias": torch.ones(1)}
    save_file(state, tmp_path / "rdffnet.safetensors")
    with pytest.raises(
        InputError, match=r"rdffnet.safetensors: .*dffnet on resnet10t.*agg1.side5.bias is not in the model"
    ):
        load_published(tmp_path / "rdffnet.safetensors", zeros())


def test_weights_of_another_model_are_refused(saved):
    model = tiny.build_tiny("pdnet")
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(
        InputError, match=r"model.safetensors: holds dffnet on resnet10t, .* fit pdnet on resnet10t"
    ) as told:
        load_weights(saved, model)
    assert "reduce.0.weight is missing" in str(told.value)
    assert "attention.convs.0.weight is not in the model" in str(told.value)
    assert same(model.state_dict(), before)


def test_weights_of_another_width_are_refused(saved):
    model = build_model("dffnet", "resnet10t", backbone_kwargs=tiny.BACKBONE, width=16)
    with pytest.raises(InputError, match=r"aggregation.lifts.0.* is \(16, 16, 3, 3\), expected \(32, 32, 3, 3\)"):
        load_weights(saved, model)


def test_a_truncated_file_is_refused(saved):
    saved.write_bytes(saved.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"model.safetensors: not a readable file of weights \(SafetensorError"):
        load_model(saved)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize(
    ("content", "looks"), [(b"", "an empty file"), (b"<!DOCTYPE html><html>Not found</html>", "a web page")]
)
def test_a_page_instead_of_weights_is_refused(tmp_path, suffix, content, looks):
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    for load in (load_model, lambda path: load_published(path, zeros())):
        with pytest.raises(InputError, match=rf"weights{suffix}: not weights but {looks}; expected a file of safetens"):
            load(path)


def test_a_foreign_safetensors_file_is_no_model(tmp_path):
    save_file({"x": torch.ones(1)}, tmp_path / "x.safetensors")
    with pytest.raises(InputError, match="no description of a model"):
        load_model(tmp_path / "x.safetensors")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone.safetensors: no such file"):
        load_model(tmp_path / "gone.safetensors")


class Trap:
    """An object whose unpickling writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_no_pickle_is_executed(tmp_path):
    trace = tmp_path / "executed"
    path = tmp_path / "trap.pth"
    torch.save({"weight": Trap(trace)}, path)
    with pytest.raises(InputError, match=r"trap.pth: not a file of weights alone: an object io.open is in it"):
        load_published(path, zeros())
    assert not trace.exists()
    path.write_bytes(pickle.dumps(Trap(trace), protocol=2))
    with pytest.raises(InputError, match=r"trap.pth: not a file of weights alone: an object io.open is in it"):
        load_published(path, zeros())
    assert not trace.exists()


def same(ours, theirs) -> bool:
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


def without_counters(state):
    return {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}


@pytest.mark.parametrize(
    ("change", "factor"),
    [
        (without_counters, 1),
        (lambda state: {key: value.half() for key, value in state.items()}, 1),
        (lambda state: {"state_dict": {f"module.{key}": value.double() for key, value in state.items()}}, 1),
        (lambda state: {key: nn.Parameter(2 * value.float()) for key, value in without_counters(state).items()}, 2),
    ],
)
def test_a_published_file_as_others_saved_it_is_the_same_network(tmp_path, dffnet, change, factor):
    torch.save(change(to_published("dffnet", dffnet.state_dict())), tmp_path / "w.pth")
    model = zeros()
    load_published(tmp_path / "w.pth", model)
    ours = dict(model.named_parameters())
    for key, value in dffnet.named_parameters():
        torch.testing.assert_close(ours[key], factor * value, rtol=1e-3, atol=1e-4)
        assert ours[key].dtype == torch.float32


DFFNET, PDNET = (f"what looks like {name} of D-DFFNet's authors" for name in ("dffnet", "pdnet"))


@pytest.mark.parametrize(
    ("change", "looks", "why"),
    [
        (
            lambda state: {
                **state,
                "resnest.conv1.0.weight": torch.ones(2, 2),
                "resnest.conv1.1.weight": torch.ones(1),
            },
            DFFNET,
            "resnest.conv1.0.weight is (2, 2), expected {0} (the first of 2)",
        ),
        (
            lambda state: {**state, "agg1.conv5.bias": torch.ones(1, dtype=torch.int64)},
            DFFNET,
            "agg1.conv5.bias is torch.int64, expected torch.float32",
        ),
        (
            lambda state: (
                {key: value for key, value in state.items() if not key.startswith("agg1.side")}
                | {"x": state["agg1.conv5.bias"]}
            ),
            PDNET,
            "agg1.side1.weight is missing (the first of 8); x is not in the model",
        ),
        (
            lambda state: {**state, "head.weight": state["agg1.conv5.weight"] + 1},
            DFFNET,
            "their head.weight is not in the model",
        ),
        (
            lambda state: {"layer1.0.conv1.weight": torch.ones(1), "agg1.conv5.bias": torch.ones(1)},
            "what looks like a ResNet",
            "{1} is missing (the first of {2}); layer1.0.conv1.weight is not in the model",
        ),
    ],
)
def test_what_does_not_fit_names_the_first_of_each_kind_as_its_file_does(tmp_path, dffnet, change, looks, why):
    state, path = to_published("dffnet", dffnet.state_dict()), tmp_path / "w.pth"
    weights = [key for key in state if not key.endswith("num_batches_tracked")]
    torch.save(change(state), path)
    with pytest.raises(InputError) as told:
        load_published(path, zeros())
    why = why.format(tuple(state["resnest.conv1.0.weight"].shape), weights[0], len(weights) - 1)
    assert str(told.value) == (
        f"{path}: holds {looks}, which does not fit dffnet on resnet10t: {why}; name the checkpoint of this model, or "
        "the model, backbone and options of this checkpoint"
    )


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("{", "its description of a model cannot be read"),
        ('{"spec": {"name": "dffnet", "depth": 3}, "metadata": {}}', r"cannot be read \(TypeError"),
        ('{"metadata": {}}', r"cannot be read \(KeyError: 'spec'\)"),
    ],
)
def test_a_damaged_description_is_named(tmp_path, header, message):
    save_file({"x": torch.ones(1)}, tmp_path / "x.safetensors", {"dbdflow": header})
    with pytest.raises(InputError, match=rf"x\.safetensors: .*{message}.*another version of dbdflow"):
        load_model(tmp_path / "x.safetensors")


@pytest.mark.parametrize(
    ("keys", "what"),
    [
        (["conv1.weight", "layer1.0.conv1.weight", "fc.bias"], "what looks like a ResNet"),
        (["conv1.0.weight", "layer1.0.conv2.fc1.weight"], "what looks like a ResNeSt"),
        (["features.0.weight", "classifier.0.weight"], "what looks like a VGG"),
        (["features.0.0.weight", "features.1.conv.0.0.weight"], "what looks like a MobileNet or EfficientNet of torch"),
        (["conv_stem.weight", "blocks.0.0.conv_pw.weight"], "what looks like a MobileNet or EfficientNet of timm"),
        (["cls_token", "blocks.0.attn.qkv.weight"], "what looks like a Vision Transformer"),
        (["layers.0.blocks.0.attn.qkv.weight"], "what looks like a Swin Transformer"),
        (["stages.0.blocks.0.conv_dw.weight"], "what looks like a ConvNeXt"),
        (["pretrained.model.blocks.0.attn.qkv.weight", "scratch.layer1_rn.weight"], "what looks like MiDaS v3 (DPT)"),
        (["pretrained.layer1.0.weight", "pretrained.layer1.3.0.conv_dw.weight"], "what looks like MiDaS v2.1 small"),
        (["pretrained.layer1.0.weight", "pretrained.layer1.4.0.conv1.weight"], "what looks like MiDaS v2.1"),
        (["pretrained.blocks.0.attn.qkv.weight", "depth_head.projects.0.bias"], "what looks like Depth Anything"),
        (["resnest.conv1.0.weight", "agg1.conv5.bias"], "what looks like pdnet of D-DFFNet's authors"),
        (["backbone.encoder.conv1.weight"], "what looks like a network of dbdflow, without the description"),
        (["x"], "tensors of no network known here"),
    ],
)
def test_networks_are_told_by_the_names_of_their_tensors(keys, what):
    assert architecture(keys).startswith(what)
