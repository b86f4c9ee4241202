"""Weights in and out of files; a wrong or broken file is one clear error and changes nothing."""

import copy
import pickle

import pytest
import torch
from safetensors.torch import save_file

from components.errors import InputError
from components.models.checkpoints import load_model, load_published, load_weights, read_metadata, save_model
from components.models.published import to_published
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
    with pytest.raises(InputError, match=r"model.safetensors: not a readable safetensors file"):
        load_model(saved)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html><html>Not found</html>"])
def test_a_page_instead_of_weights_is_refused(tmp_path, suffix, content):
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"weights{suffix}: not a readable"):
        load_published(path, zeros())


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
    with pytest.raises(InputError, match=r"trap.pth: not a readable file of weights alone"):
        load_published(path, zeros())
    assert not trace.exists()
    path.write_bytes(pickle.dumps(Trap(trace), protocol=2))
    with pytest.raises(InputError, match=r"trap.pth"):
        load_published(path, zeros())
    assert not trace.exists()


def same(ours, theirs) -> bool:
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)
