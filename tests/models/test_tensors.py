"""Files of weights as people have them: what is taken and said, what is refused and for which cause."""

import logging
import zipfile
from collections import OrderedDict

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from components.common.errors import InputError
from components.models.tensors import read_tensors

pytestmark = pytest.mark.usefixtures("one_thread")
WEIGHT = torch.arange(12.0).reshape(4, 3) - 6
STATE = {"a.weight": WEIGHT, "a.bias": torch.ones(4), "b.num_batches_tracked": torch.tensor(7)}
OTHER = {"c": torch.zeros(2)}
OPTIMIZER = {"state": {0: {"step": torch.tensor(1.0), "exp_avg": torch.ones(4, 3)}}, "param_groups": [{"lr": 1e-3}]}


def under(prefix, state=STATE):
    return {f"{prefix}{key}": value for key, value in state.items()}


def to(dtype):
    return {key: value.to(dtype) if value.is_floating_point() else value for key, value in STATE.items()}


def tied():
    return {"a.weight": WEIGHT, "b.weight": WEIGHT, "c.weight": WEIGHT[:2]}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (STATE, ""),
        (OrderedDict(STATE), ""),
        ({"state_dict": STATE, "epoch": 3, "optimizer": OPTIMIZER}, "taken from its `state_dict`"),
        ({"model": STATE, "best_mae": torch.tensor(0.1)}, "taken from its `model`"),
        ({"net": STATE, "scores": {"mae": torch.tensor(0.1)}}, "taken from its `net`"),
        ({"model_state_dict": STATE, "optimizer_state_dict": OPTIMIZER}, "taken from its `model_state_dict`"),
        ({"model": {"state_dict": STATE, "args": {}}}, "taken from its `model.state_dict`"),
        (under("module."), "`module.` left off before every name"),
        (under("_orig_mod."), "`_orig_mod.` left off before every name"),
        (under("module._orig_mod."), "`module._orig_mod.` left off before every name"),
        (
            under("module.") | {"n_averaged": torch.tensor(9)},
            "`module.` left off before every name; `n_averaged` left out",
        ),
        (
            {"state_dict": under("model.")},
            "taken from its `state_dict`; `model.` left off before every name",
        ),
        (to(torch.float16), "float16 taken as float32"),
        (to(torch.bfloat16), "bfloat16 taken as float32"),
        (to(torch.float64), "float64 taken as float32"),
        (
            {"net": under("module.", to(torch.float16))},
            "taken from its `net`; `module.` left off before every name; float16 taken as float32",
        ),
        ({**STATE, "a.weight": nn.Parameter(WEIGHT)}, ""),
        ({**STATE, "a.weight": WEIGHT.T.contiguous().T}, ""),
        ({**STATE, "a.bias": torch.ones(1).expand(4)}, ""),
        ({**STATE, "b.num_batches_tracked": torch.tensor(torch.inf)}, ""),
    ],
)
def test_one_set_of_weights_is_taken_and_the_taking_said(tmp_path, caplog, content, said):
    torch.save(content, tmp_path / "w.pth")
    with caplog.at_level(logging.WARNING):
        found = read_tensors(tmp_path / "w.pth")
    assert caplog.messages == ([f"{tmp_path}/w.pth: {said}"] if said else [])
    assert found.keys() == STATE.keys()
    assert all(torch.equal(found[key].float(), STATE[key].float()) for key in ("a.weight", "a.bias"))
    assert not any(value.requires_grad for value in found.values())


def test_names_of_which_one_lacks_the_prefix_stay(tmp_path):
    state = under("module.") | OTHER
    torch.save(state, tmp_path / "w.pth")
    assert read_tensors(tmp_path / "w.pth").keys() == state.keys()


def test_tied_tensors_and_files_of_older_torch_and_of_a_gpu(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:3")
    for modern in (True, False):
        torch.save(tied(), tmp_path / "w.pt.tar", _use_new_zipfile_serialization=modern)
        found = read_tensors(tmp_path / "w.pt.tar")
        assert all(torch.equal(found[key], value) for key, value in tied().items())
        assert {str(value.device) for value in found.values()} == {"cpu"}


@pytest.mark.parametrize(("name", "prefix"), [("w.pth", "module."), ("w.safetensors", "module."), ("w", "")])
def test_safetensors_are_told_by_content(tmp_path, caplog, name, prefix):
    save_file(under(prefix), tmp_path / name)
    found = read_tensors(tmp_path / name)
    assert all(torch.equal(found[key], value) for key, value in STATE.items())
    assert len(caplog.messages) == len(prefix and [prefix])


def quantised():
    return torch.quantize_per_tensor(WEIGHT, 0.1, 0, torch.qint8)


REFUSED = {
    "int key": (
        {**STATE, 3: WEIGHT},
        "the key 3 is of type int, expected a name; write the network's state dict alone",
    ),
    "int keys": ({0: WEIGHT}, "the key 0 is of type int"),
    "quantised": (lambda: {"q": quantised()}, r"q is quantised \(torch.qint8\); expected dense real numbers"),
    "sparse": (lambda: {"s": WEIGHT.to_sparse()}, r"s is sparse \(torch.sparse_coo\); expected dense"),
    "sparse rows": (lambda: {"s": WEIGHT.to_sparse_csr()}, r"s is sparse \(torch.sparse_csr\)"),
    "complex": ({"z": WEIGHT.to(torch.complex64)}, "z is of type torch.complex64; expected dense real numbers"),
    "float8": ({"f": WEIGHT.to(torch.float8_e4m3fn)}, "f is of type torch.float8_e4m3fn; expected dense"),
    "meta": ({"m": torch.empty(3, device="meta")}, r"m is a tensor without values \(on the meta device\)"),
    "NaN": ({"n": torch.tensor([0, torch.nan])}, "n has 1 of 2 values that are NaN or infinite in float32"),
    "infinite": ({"n": torch.full((2, 3), torch.inf)}, "n has 6 of 6 values that are NaN or infinite"),
    "too large": ({"n": torch.tensor([1e300], dtype=torch.float64)}, "n has 1 of 1 values .* in float32"),
    "expanded": ({"e": torch.ones(1).expand(10**9)}, r"4000000000 bytes of tensors in a file of \d+; save them whole"),
    "empty": ({}, "expected a state dict, found an empty dict; write the network's state dict alone"),
    "empty inside": ({"state_dict": {}}, r"found a dict with 'state_dict' \(dict\) in it"),
    "other values": ({**STATE, "epoch": 3}, r"found a dict with 'epoch' \(int\) in it"),
    "numbers": ({"mae": torch.tensor(0.1)}, "found a dict of single numbers"),
    "a list": ([WEIGHT], "expected a state dict, found an object of type list"),
    "a tensor": (WEIGHT, "expected a state dict, found an object of type Tensor"),
    "two sets": ({"model": STATE, "ema": STATE}, "holds 2 sets of weights, `model`, `ema`, expected one"),
    "a module": (
        nn.Linear(2, 2),
        "not a file of weights alone: an object torch.nn.modules.linear.Linear is in it, which could run anything and "
        "was not opened; write the network's state dict alone",
    ),
}


@pytest.mark.filterwarnings("ignore:Sparse", "ignore:torch.quantize_per_tensor")
@pytest.mark.parametrize(("content", "message"), REFUSED.values(), ids=REFUSED)
def test_other_things_are_refused_with_their_cause(tmp_path, content, message):
    torch.save(content() if callable(content) and not isinstance(content, nn.Module) else content, tmp_path / "w.pth")
    with pytest.raises(InputError, match=rf"^{tmp_path}/w\.pth: .*{message}") as caught:
        read_tensors(tmp_path / "w.pth")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not weights but an empty file; expected a file of safetensors or of torch"),
        (b"<html><title>Sign in</title>", "not weights but a web page titled 'Sign in'"),
        (b"\x89PNG....", "not weights but a PNG image"),
        (b"\x80\x02}q", r"not a readable file of weights \(\w+: .*\); fetch it again \(cut short\?\)"),
        (b"\x40" + bytes(7) + b'{"a":', r"not a readable file of weights \(SafetensorError: "),
        (b"PK\x03\x04 cut", r"not a readable file of weights \(BadZipFile: "),
    ],
)
def test_what_is_no_file_of_weights(tmp_path, suffix, content, message):
    (path := tmp_path / f"w{suffix}").write_bytes(content)
    with pytest.raises(InputError, match=rf"^{path}: {message}"):
        read_tensors(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_file_cut_short(tmp_path, share):
    torch.save({"w": torch.rand(1000)}, path := tmp_path / "w.pth")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(InputError, match=r"w\.pth: not a readable file of weights .*; fetch it again \(cut short\?\)"):
        read_tensors(path)


def test_archives_that_are_no_weights(tmp_path):
    with zipfile.ZipFile(path := tmp_path / "w.pth", "w") as archive:
        archive.writestr("midas.pt", b"weights")
    with pytest.raises(
        InputError, match=r"a zip archive that holds midas\.pt; unpack it, and name the file of weights"
    ):
        read_tensors(path)
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("data.pkl", "constants.pkl", "code/__torch__.py"):
            archive.writestr(f"net/{name}", b"")
    with pytest.raises(InputError, match="a TorchScript program, which is not opened; write the network's state dict"):
        read_tensors(path)


def test_a_folder_is_named(tmp_path):
    with pytest.raises(InputError, match=rf"{tmp_path}: a folder; name the file of weights in it"):
        read_tensors(tmp_path)
